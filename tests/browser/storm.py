"""A storm of entries for tests: a process of its own appends them at a steady rate, each with its number.

``python -m tests.browser.storm SOCKET STREAM RATE SECONDS`` writes in slices of 10 ms and prints how many it wrote.
SIGTERM ends it before its time. When Redis goes away it waits for it and goes on behind the newest number that the
stream has.
"""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import redis

from tests.web import ROOT

SLICE_SECONDS = 0.01


def fields(number: int) -> dict[Any, Any]:
    """Nine fields and about 350 bytes, as a worker's entries have."""
    common = {
        "timestamp": "2026-11-22T14:31:38.907Z",
        "exchangeId": "3",
        "exchangeName": "kraken",
        "hostname": f"fra-edge-{number % 7:02d}",
        "ip": "203.0.113.7",
        "epoch": "1795378746123",
        "n": str(number),
    }
    if number % 10 == 0:
        return {"event": "state_transition", "fromState": "warming", "toState": "active", "adminEmail": "", **common}
    error = f"ConnectionResetError: number {number}: the peer closed the connection while the order book was read"
    return {"event": "error", "error": error, "state": "active", **common}


def write(client: redis.Redis, stream: str, rate: int, seconds: float, over: threading.Event) -> int:
    """Append `rate` entries a second until so many seconds are over, or it is; the number of entries written."""
    began, written, total = time.monotonic(), 0, int(rate * seconds)
    while written < total and not over.is_set():
        due = min(total, int((time.monotonic() - began) * rate) + 1)
        pipeline = client.pipeline(transaction=True)  # whole or not at all, whatever happens to the connection
        for number in range(written, due):
            pipeline.xadd(stream, fields(number))
        try:
            if due > written:
                pipeline.execute()
            written = due
        except redis.RedisError:
            written = _written(client, stream)
        over.wait(SLICE_SECONDS)
    return written


def _written(client: redis.Redis, stream: str) -> int:
    while True:
        try:
            newest: Any = client.xrevrange(stream, count=1)
            return int(newest[0][1][b"n"]) + 1 if newest and b"n" in newest[0][1] else 0
        except redis.RedisError:
            time.sleep(0.1)


class Storm:
    """The writing process."""

    def __init__(self, socket: Path, rate: int, seconds: float, stream: str = "logs:network:kraken") -> None:
        self.total = int(rate * seconds)
        command = [sys.executable, "-m", "tests.browser.storm", str(socket), stream, str(rate), str(seconds)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    @property
    def over(self) -> bool:
        """Whether it has written everything."""
        return self._process.poll() is not None

    def wait(self) -> None:
        """Until everything is written."""
        said, _ = self._process.communicate(timeout=180)
        assert self._process.returncode == 0
        assert int(said) == self.total

    def stop(self) -> None:
        """Let it write no more, if it is not over yet; from now on `total` is what it has written."""
        self._process.terminate()
        said, _ = self._process.communicate(timeout=180)
        assert self._process.returncode == 0
        self.total = int(said)

    def end(self) -> None:
        """Whatever it has written."""
        self._process.kill()
        self._process.communicate()


if __name__ == "__main__":
    _, path, name, speed, length = sys.argv
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    with redis.Redis(unix_socket_path=path) as opened:
        print(write(opened, name, int(speed), float(length), told))
