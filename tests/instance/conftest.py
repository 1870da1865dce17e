"""Workers, their Redis and their database."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from perseus_admin.config import BASE_DIR
from tests.instance.workers import Exchange, Workers
from tests.once import once_per_run
from tests.servers import RedisServer


@pytest.fixture
def workers(redis_server: RedisServer) -> Iterator[Workers]:
    """Starts workers; ends them, and proves that nothing of them is left."""
    with tempfile.TemporaryDirectory(prefix="pw-") as folder:
        workers = Workers(Path(folder), redis_server.url)
        try:
            yield workers
        finally:
            workers.end()


@pytest.fixture
def exchange(redis_server: RedisServer) -> Iterator[Exchange]:
    """The exchange that the workers run for."""
    with redis_server.client() as client:
        yield Exchange(client)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with an SQLite database as `prepare` makes it, one user, and one exchange that is inactive."""
    prepared = once_per_run(tmp_path_factory, "prepared", _prepare)
    with tempfile.TemporaryDirectory(prefix="pd-") as name:
        yield shutil.copytree(prepared, Path(name), dirs_exist_ok=True)


def _prepare(folder: Path) -> None:
    (folder / "secret-key").write_text(secrets.token_urlsafe(48))
    environment = {"PATH": os.environ["PATH"], "PERSEUS_DATA": str(folder), "PERSEUS_ADMIN_EMAIL": "ann@example.org"}
    for arguments in (["prepare", "--exchanges", "--admin"], ["shell", "-v", "0", "-c", _CHANGES]):
        subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=BASE_DIR,
            env=environment,
            check=True,
            capture_output=True,
            timeout=60,
        )


_CHANGES = """
from activity.models import Exchange, User
Exchange.objects.filter(name="mexc").update(active=False)
User.objects.update(display_name="Ann")
User.objects.create_user("gone@example.org", is_active=False)
"""
