"""What this machine knows about its workers: a private folder, and one lock per exchange that a process holds for life.

The lock is an flock: kept while a process is stopped, freed the moment it is gone, however it went. Its file also
remembers the instance that last held the exchange from here. That is the identity of the host: a holder in Redis that
has our host name but is not in our file may live in another container or on another machine of the same name.
"""

import fcntl
import hashlib
import json
import os
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from activity.store.urls import network_of


class HostError(Exception):
    """The private folder cannot be used. The message says why and what to do."""


class LockTaken(Exception):
    """Another process of this machine holds the lock. `pid` is its worker where that one is still alive."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(f"held by pid {pid}" if pid else "held by the remains of a worker that is gone")
        self.pid = pid


def boottime() -> float:
    """Seconds of a clock that goes on while the machine is suspended; time.monotonic() stands still then."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def runtime_folder() -> Path:
    """The folder of this user for locks and sockets, mode 0700. Raises HostError where somebody else made it."""
    folder = Path(tempfile.gettempdir()) / f"perseus-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise HostError(f"{folder} cannot be made: {error.strerror}. Set TMPDIR to a folder that can be written") from (
            error
        )
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise HostError(f"{folder} must be a folder of this user alone (mode 0700): remove it, or set TMPDIR")
    return folder


def process_start(pid: int) -> str | None:
    """When a process started, in the kernel's own ticks; None where there is no such process or only its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


@dataclass(slots=True)
class HostLock:
    """The right to run the worker of one exchange on this host, held until `close` or the end of the process.

    `previous` is the instanceId that last held the exchange from here, None where none is known.
    """

    descriptor: int
    previous: str | None

    @classmethod
    def acquire(cls, redis_url: str, hostname: str, exchange_id: int) -> Self:
        """Raises LockTaken at once where another process holds it, HostError where the folder cannot be used."""
        # One lock per network, host name and exchange: two networks on one machine do not concern each other.
        digest = hashlib.sha256(f"{network_of(redis_url)}\n{hostname}".encode()).hexdigest()[:16]
        path = runtime_folder() / f"{digest}-{exchange_id}.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            record = _read(descriptor)
            os.close(descriptor)
            pid, start = record.get("pid"), record.get("start")
            alive = isinstance(pid, int) and start is not None and process_start(pid) == start
            raise LockTaken(pid if alive else None) from None
        previous = _read(descriptor).get("instanceId")
        lock = cls(descriptor, previous if isinstance(previous, str) else None)
        lock.record(lock.previous)
        return lock

    def record(self, instance_id: str | None) -> None:
        """Remember the instance that holds the exchange from here."""
        pid = os.getpid()
        text = json.dumps({"pid": pid, "start": process_start(pid), "instanceId": instance_id})
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text.encode(), 0)

    def close(self) -> None:
        """Give the lock back. The file stays: removing a lock file races with the next one who opens it."""
        os.close(self.descriptor)


def _read(descriptor: int) -> dict[str, Any]:
    try:
        record = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
