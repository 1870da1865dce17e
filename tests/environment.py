"""The environment of the tests. Loaded with ``-p`` before pytest-django reads the settings.

Settings are read at import, so the environment is made first: nothing of the developer's own reaches a test.
"""

import gc
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

for _name in [name for name in os.environ if name.startswith("PERSEUS_") or name in ("REDIS_URL", "DATABASE_URL")]:
    del os.environ[_name]

gc.set_threshold(50_000, 20, 100)  # as in manage.py

_FOLDER = tempfile.TemporaryDirectory(prefix="prs-test-")
FOLDER = Path(_FOLDER.name)
#: The Redis that the settings name; the fixture `redis_server` runs it.
SOCKET = FOLDER / "shared.sock"

os.environ["PERSEUS_DATA"] = str(FOLDER)
os.environ["PERSEUS_IP_LOOKUP_URLS"] = "http://127.0.0.1:9/"  # refuses at once: no test asks the outside world
os.environ["REDIS_URL"] = f"unix://{SOCKET}"
os.environ["DJANGO_SETTINGS_MODULE"] = "perseus_admin.settings"
(FOLDER / "secret-key").write_text(secrets.token_urlsafe(48))


def pytest_unconfigure() -> None:
    """Remove the folder."""
    _FOLDER.cleanup()


def pytest_sessionfinish(session: Any) -> None:
    """A skipped test is a test that did not run: whoever skips one fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("A test never passes by skipping: install what it needs, or fix it.", red=True)
        session.exitstatus = 1
