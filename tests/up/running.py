"""A real `manage.py up` in a data folder of its own, with everything that it says and every process below it."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.servers import free_port
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parent.parent.parent


def clean_environment(**more: str) -> dict[str, str]:
    """Our environment without any setting of Perseus, and with nothing that asks the outside world."""
    ours = ("REDIS_URL", "DATABASE_URL", "PORT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PERSEUS_") and name not in ours}
    return {**kept, "PERSEUS_IP_LOOKUP_URLS": "http://127.0.0.1:9/", **more}


def processes_of(folder: Path) -> list[int]:
    """Every living process that was started for this data folder, however it is related to `up`."""
    variable, name = f"PERSEUS_DATA={folder}\0".encode(), str(folder).encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # Redis writes its title over its environment; the title names the socket.
            ours = variable in (entry / "environ").read_bytes() or name in (entry / "cmdline").read_bytes()
            if ours and (entry / "stat").read_text().rpartition(") ")[2][0] != "Z":
                found.append(int(entry.name))
        except OSError:
            continue
    return found


class Up:
    """One run. `lines` grows while it speaks; standard error is among them."""

    def __init__(self, folder: Path, *arguments: str, port: int | None = None, **environment: str) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [
                *(sys.executable, "manage.py", "up", "--port", str(self.port), "--data", str(folder)),
                *arguments,
            ],
            cwd=ROOT,
            env=clean_environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, name="up output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def said(self, text: str) -> list[str]:
        """The lines so far that hold the text."""
        return [line for line in self.lines if text in line]

    def ready(self) -> "Up":
        """Wait until it says so."""
        eventually(lambda: self.said(f"Perseus is ready at {self.url}") or self._ended(), within=60)
        assert self.said(f"Perseus is ready at {self.url}"), "\n".join(self.lines)
        return self

    def _ended(self) -> bool:
        return self.process.poll() is not None

    def send(self, number: int) -> None:
        """Send a signal to `up` alone."""
        self.process.send_signal(number)

    def wait(self, seconds: float = 60) -> int:
        """The exit code, after all of its output."""
        code = self.process.wait(seconds)
        self._reader.join(10)
        return code

    def client(self) -> "redis.Redis":
        """A plain client of the embedded Redis."""
        return redis.Redis(unix_socket_path=str(self.folder / "redis.sock"))

    def pid_of(self, text: str) -> int:
        """The process of this folder whose command line holds the text."""
        for pid in processes_of(self.folder):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            if text in command and pid != self.process.pid:
                return pid
        raise LookupError(f"no process with {text!r}")

    def close(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        if self.process.returncode == 2:
            return  # it was refused: what lives in this folder is another one's
        for pid in processes_of(self.folder):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def up(folder: Path, *arguments: str, port: int | None = None, **environment: str) -> Iterator[Up]:
    """A run for the length of a `with`; ended with SIGKILL where the test has not ended it."""
    run = Up(folder, *arguments, port=port, **environment)
    try:
        yield run
    finally:
        run.close()


@contextmanager
def short_folder() -> Iterator[Path]:
    """A private folder with a short path (a socket's has at most 107 bytes), resolved."""
    with tempfile.TemporaryDirectory(prefix="prs-up-") as name:
        yield Path(name).resolve() / "data"
