"""A small TCP proxy for tests: loses replies, swallows everything, resets, fails over. Before a real server."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


class Proxy:
    """Listens on a loopback port and forwards to a Unix socket, or to another port of the loopback interface.

    `url` is the Redis URL through it.
    """

    def __init__(self, upstream: Path | int) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._marker = b""
        self._losses = 0
        self._open = threading.Event()
        self._open.set()
        self._held_marker = b""
        self._holds = 0
        self._let_go = threading.Event()
        #: Requests that were held so far.
        self.held = 0
        #: Replies that were lost so far.
        self.lost = 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def lose_replies(self, marker: bytes, times: int) -> None:
        """Forward the next `times` requests that contain `marker`, then reset instead of answering."""
        with self._lock:
            self._marker, self._losses = marker, times

    def hold_requests(self, marker: bytes, times: int) -> None:
        """Keep the next `times` requests that contain `marker`, on open connections, until `let_go`."""
        with self._lock:
            self._held_marker, self._holds = marker, times
            self._let_go.clear()

    def let_go(self) -> None:
        """What was held arrives late."""
        self._let_go.set()

    def fail_over(self, upstream: Path) -> None:
        """End all connections; new ones reach another server."""
        with self._lock:
            self._upstream = upstream
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _reset(*pair)

    def black_hole(self) -> None:
        """From now on nothing passes in either direction; connections stay open."""
        self._open.clear()

    def pass_again(self) -> None:
        """End the black hole; what waited arrives late."""
        self._open.set()

    def close(self) -> None:
        """End all connections."""
        self._open.set()
        self._let_go.set()
        self._listener.close()
        self.reset()

    def reset(self) -> None:
        """Reset all connections that there are; new ones are taken."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _reset(*pair)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            tcp = isinstance(self._upstream, int)
            server = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
            try:
                server.connect(("127.0.0.1", self._upstream) if tcp else str(self._upstream))
            except OSError:
                _reset(client, server)
                continue
            with self._lock:
                self._pairs.append((client, server))
            doomed = threading.Event()
            for work in (self._requests, self._replies):
                threading.Thread(target=work, args=(client, server, doomed), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 20):
                self._open.wait()
                with self._lock:
                    if self._losses and self._marker in data:
                        self._losses -= 1
                        doomed.set()
                    is_held = bool(self._holds and self._held_marker in data)
                    self._holds -= is_held
                if is_held:
                    self.held += 1
                    self._let_go.wait()
                server.sendall(data)
        _reset(client, server)

    def _replies(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 20):
                self._open.wait()
                if doomed.is_set():
                    self.lost += 1
                    break
                client.sendall(data)
        _reset(client, server)


def _reset(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


@contextmanager
def proxy_before(upstream: Path | int) -> Iterator[Proxy]:
    """A proxy for the length of a `with`."""
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
