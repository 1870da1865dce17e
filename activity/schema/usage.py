"""Who uses an embedded database: every process holds a shared lock while it lives, `carry_over` an exclusive one.

SQLite's own locks are not enough: between two requests a web process holds none.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final


class DatabaseInUse(Exception):
    """The lock is held by another process, or cannot be had at all. `str()` says so for people."""


#: Lock files that this process holds, by path; the descriptors stay open until it ends, however it ends.
_held: Final[dict[Path, int]] = {}


def _lock_path(database: Path) -> Path:
    return database.with_name(f"{database.name}.lock")


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DatabaseInUse(f"{path} cannot be opened: {error.strerror}") from error


def hold(database: Path) -> None:
    """Say that this process uses the database, until it ends. Raises DatabaseInUse while it is being carried over."""
    path = _lock_path(database)
    if path in _held:
        return
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DatabaseInUse(
            f"{database} is being carried over to the present schema: start again when that is done"
        ) from None
    _held[path] = descriptor


@contextmanager
def alone(database: Path) -> Iterator[None]:
    """Be the only process that uses the database. Raises DatabaseInUse where another one does."""
    descriptor = _open(_lock_path(database))
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DatabaseInUse(
                f"{database} is in use by a running Perseus (web, worker, recorder or a command): stop it first"
            ) from None
        yield
    finally:
        os.close(descriptor)
