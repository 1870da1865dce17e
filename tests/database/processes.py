"""`manage.py` as an operator runs it: a process of its own, with an environment of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from tests.postgres import PostgresServer

ROOT = Path(__file__).resolve().parent.parent.parent
#: Long enough for a start on a busy machine; a command that hangs fails its test.
SECONDS = 60


@dataclass(frozen=True)
class Command:
    """Runs `manage.py` with settings of its own."""

    settings: dict[str, str]

    @classmethod
    def on_postgres(cls, server: PostgresServer, database: str) -> "Command":
        """On a database of the server, trusting its authority."""
        return cls({"DATABASE_URL": server.url(database), "PERSEUS_DATABASE_CA": str(server.authority)})

    @classmethod
    def on_sqlite(cls, folder: Path) -> "Command":
        """On the SQLite of a data folder."""
        return cls({"PERSEUS_DATA": str(folder)})

    def having(self, **settings: str) -> "Command":
        """The same with further variables of the environment."""
        return replace(self, settings={**self.settings, **settings})

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the developer's own but what a process needs to run at all."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PERSEUS_", "PG", "DATABASE"))
        }
        ours = {"REDIS_URL": "redis://127.0.0.1:1", "PERSEUS_SECRET_KEY": "for this test only" * 4}
        return {**kept, "DJANGO_SETTINGS_MODULE": "perseus_admin.settings", **ours, **self.settings}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One management command, to its end."""
        return self.python(str(ROOT / "manage.py"), *arguments)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Any Python in the project's folder, e.g. `-c CODE`."""
        return subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=ROOT,
            timeout=SECONDS,
            capture_output=True,
            text=True,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Python that goes on; the caller ends it."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=self.environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
