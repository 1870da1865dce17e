"""The loads, each on a server that was started for it alone. Every number is checked for every viewer."""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.bench.contenders import Running, make_folder
from tests.bench.statuses import write_statuses
from tests.servers import RedisServer, running_redis

KEY = "logs:network:bench"
Result = dict[str, Any]
Start = Callable[[RedisServer, Path], AbstractContextManager[Running]]
#: Entries a second of the ladder to the highest rate that is carried.
QUICK_LADDER = (3, 10, 40, 100, 400, 800, 1600, 2000, 2400)
LADDER = (3, 5, 10, 20, 40, 100, 200, 400, 800, 1200, 1600, 2000, 2400, 3200, 4800)


def compiled(folder: Path) -> Path:
    """The load client."""
    program = folder / "load"
    source = Path(__file__).parent / "load.c"
    subprocess.run(["cc", "-O2", "-o", str(program), str(source)], check=True)
    return program


class Bench:
    """Starts servers and loads them."""

    def __init__(self, load: Path) -> None:
        self._load = load

    @contextlib.contextmanager
    def server(self, start: Start) -> Iterator[tuple[RedisServer, Running]]:
        """A Redis and a server of their own."""
        with tempfile.TemporaryDirectory(prefix="bench-") as name, running_redis() as redis:
            folder = Path(name) / "data"
            make_folder(folder)
            write_statuses(redis, 1)
            with start(redis, folder) as running:
                yield redis, running

    def publish(self, redis: RedisServer, rate: float, count: int) -> "subprocess.Popen[bytes]":
        """Append entries 1..count."""
        arguments = [str(self._load), "publish", str(redis.socket), KEY, str(rate), str(count)]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE)

    def view(self, running: Running, viewers: int, count: int, seconds: float, *more: str) -> "subprocess.Popen[bytes]":
        """Open viewers; returns when all are in."""
        arguments = [str(self._load), "view", "127.0.0.1", str(running.port), running.path, str(viewers), str(count)]
        process = subprocess.Popen([*arguments, str(seconds), *running.options, *more], stdout=subprocess.PIPE)
        assert process.stdout is not None
        if not process.stdout.readline().startswith(b"READY"):
            process.kill()
            raise RuntimeError("the viewers did not get in")
        time.sleep(1.0)  # a server that greets nobody may still be setting the last ones up
        return process

    def run(
        self,
        redis: RedisServer,
        running: Running,
        *,
        viewers: int,
        rate: float,
        count: int,
        patience: float = 3.0,
        more: tuple[str, ...] = (),
    ) -> Result:
        """One load: entries 1..count at a rate to all viewers, who come for it and leave after it."""
        client = self.view(running, viewers, count, count / (rate or 1e4) + 2 + patience, *more)
        cpu, memory, began = running.cpu_seconds(), running.megabytes(), time.monotonic()
        publisher = self.publish(redis, rate, count)
        published = json.loads(publisher.communicate()[0])
        result: Result = json.loads(client.communicate()[0])
        took = time.monotonic() - began
        result |= {
            "rate": rate,
            "count": count,
            "cpu": (running.cpu_seconds() - cpu) / took,
            "cpu_us_per_delivery": (running.cpu_seconds() - cpu) * 1e6 / max(1, result["deliveries"]),
            "memory_growth": running.megabytes() - memory,
            "behind": max(0.0, result["ended"] - published["ended"]),
            "deliveries_per_second": result["deliveries"] / max(0.001, result["ended"] - began),
        }
        return result

    def highest(
        self,
        redis: RedisServer,
        running: Running,
        viewers: int,
        seconds: float,
        ladder: Sequence[int],
        say: Callable[[str], None],
    ) -> Result:
        """The highest rate of the ladder that is delivered whole, and no more than a second late."""
        best: Result = {"rate": 0, "deliveries_per_second": 0, "cpu": 0}
        for rate in ladder:
            count = max(5, round(rate * seconds))
            result = self.run(redis, running, viewers=viewers, rate=rate, count=count, patience=1.5)
            carried = not result["lost"] and not result["doubled"] and result["behind"] < 1.0
            say(f"{rate}/s: {'carried' if carried else 'not carried'}, {result['behind']:.2f} s behind")
            if not carried:
                break
            best = result
        return best

    def idle(self, redis: RedisServer, running: Running, viewers: int, seconds: float) -> Result:
        """What sockets cost on which nothing is said."""
        before = running.megabytes()
        client = self.view(running, viewers, 0, seconds + 3)
        cpu = running.cpu_seconds()
        time.sleep(seconds)
        result: Result = {
            "viewers": viewers,
            "cpu": (running.cpu_seconds() - cpu) / seconds,
            "kilobytes_per_viewer": (running.megabytes() - before) * 1000 / viewers,
        }
        client.communicate()
        return result

    def raw(self, rate: float, count: int, *, plain: bool = False) -> Result:
        """XREAD BLOCK without a server: the floor, in C or, `plain`, by redis-py."""
        with running_redis() as redis:
            seconds = str(count / rate + 5)
            arguments = [str(self._load), "raw", str(redis.socket), KEY, str(count), seconds]
            if plain:
                arguments = [sys.executable, "-m", "tests.bench.plain", redis.url, KEY, str(count), seconds]
            client = subprocess.Popen(arguments, stdout=subprocess.PIPE)
            assert client.stdout is not None
            client.stdout.readline()
            self.publish(redis, rate, count).communicate()
            result: Result = json.loads(client.communicate()[0])
            return result if plain else result | {"lost": result["lost"] + count - result["deliveries"]}
