"""Recorders as processes on a database of the test, whose words are kept."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.recorder.archiving import Database
from tests.waiting import eventually
from tests.web import ROOT

#: The recorder as it is started everywhere.
COMMAND = ("manage.py", "recorder")


def hasty(*, wait: float = 2.0, settle: float = 1.0) -> tuple[str, ...]:
    """The same without notifications and with shorter waits of the watch for deaths, in seconds."""
    return ("-m", "tests.faults.hasty_recorder", str(wait), str(settle))


class Recorder:
    """One process."""

    def __init__(
        self,
        database: Database,
        redis_url: str,
        log: Path,
        words: tuple[str, ...],
        before_exec: Callable[[], None] | None = None,
    ) -> None:
        self._log = log
        # Through a pipe, so that no limit of the process to its files concerns its words.
        self._copier = subprocess.Popen(["tee", "-a", str(log)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.process = subprocess.Popen(
            [sys.executable, *words],
            env=database.environment(redis_url) | {"PYTHONUNBUFFERED": "1"},
            cwd=ROOT,
            stdout=self._copier.stdin,
            stderr=subprocess.STDOUT,
            preexec_fn=before_exec,
        )

    @property
    def output(self) -> str:
        return self._log.read_text("utf-8", errors="replace") if self._log.exists() else ""

    def says(self, text: str, *, times: int = 1, within: float = 40.0) -> None:
        def said() -> bool:
            if self.output.count(text) >= times:
                return True
            if self.process.poll() is not None:
                raise RuntimeError(f"it ended without having said {text!r}:\n{self.output}")
            return False

        eventually(said, within=within)

    def kill(self) -> None:
        self.process.kill()
        self._end()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self._end()

    def _end(self) -> int:
        try:
            code = self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait(5)
            if self._copier.stdin:
                self._copier.stdin.close()
            self._copier.wait(5)
        return code


@contextmanager
def recorder(
    database: Database, redis_url: str, folder: Path, *words: str, before_exec: Callable[[], None] | None = None
) -> Iterator[Recorder]:
    """A recorder for the length of a `with`; it must still run at the end, and leaves in order."""
    process = Recorder(database, redis_url, folder / "recorder.log", words or COMMAND, before_exec)
    try:
        yield process
        assert process.process.poll() is None, f"the recorder has ended:\n{process.output}"
        assert process.stop() == 0, process.output
    finally:
        process.kill()


def permissions_hold() -> None:
    """In a child before exec: permissions of files hold for it even where we are root, as they do in a service."""
    if os.geteuid() == 0:
        import ctypes

        libc: Any = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(24, 1) != 0:  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE (prctl.h, capability.h)
            raise OSError(ctypes.get_errno(), "prctl")
