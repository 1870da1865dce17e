"""What one web process and its Redis cost as viewers, exchanges and entries grow: three sizes of each."""

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from activity.wire.keys import status_key
from tests.bench.contenders import Running, make_folder, ours
from tests.bench.loads import Bench
from tests.bench.statuses import status_of, write_statuses
from tests.servers import RedisServer, running_redis

HEARTBEAT_SECONDS: Final = 15


@dataclass(frozen=True)
class Size:
    """What is watched by how many. `rate`: entries a second, on one stream."""

    viewers: int
    exchanges: int
    rate: float


#: One of the three grows at a time, from what a network of today has.
SIZES: Final = {
    "viewers": [Size(10, 100, 10), Size(100, 100, 10), Size(1000, 100, 10)],
    "exchanges": [Size(100, 10, 10), Size(100, 100, 10), Size(100, 1000, 10)],
    "entries": [Size(100, 100, 1), Size(100, 100, 10), Size(100, 100, 100)],
}
#: Its statuses alone, for the bar: a round of heartbeats costs at most 5 % of a core.
BOARD: Final = Size(1000, 1000, 0)


def measure(bench: Bench, say: Callable[[str], None], *, quick: bool) -> dict[str, Any]:
    """Each size by what grows, and the board without and with heartbeats."""
    seconds = 15.0 if quick else 45.0
    found: dict[str, Any] = {}
    for what, sizes in SIZES.items():
        found[what] = []
        for size in sizes:
            say(f"growth of {what}: {size.viewers} viewers, {size.exchanges} exchanges, {size.rate:g} entries/s")
            found[what].append(_one(bench, size, seconds))
    for beating in (False, True):
        say(f"a board of {BOARD.exchanges} exchanges and {BOARD.viewers} viewers{', beating' if beating else ''}")
        found["board beating" if beating else "board idle"] = _one(bench, BOARD, seconds, beating=beating)
    return found


def _one(bench: Bench, size: Size, seconds: float, *, beating: bool = True) -> dict[str, float]:
    """Costs a second: web and Redis in % of a core, commands and KB sent by Redis, and MB added."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, running_redis() as redis:
        folder = Path(name) / "data"
        make_folder(folder, size.exchanges)
        write_statuses(redis, size.exchanges)
        with ours("daphne", redis, folder, path="/ws/network/") as running:
            empty = running.megabytes()
            client = bench.view(running, size.viewers, 0, seconds + 8)
            with _heartbeats(redis, size.exchanges if beating else 0):
                publisher = bench.publish(redis, size.rate, round(size.rate * (seconds + 6))) if size.rate else None
                time.sleep(4)  # the first statuses of every viewer are behind us
                before = _costs(redis, running)
                time.sleep(seconds)
                after = _costs(redis, running)
                resident = running.megabytes()
            client.kill()
            client.communicate()
            if publisher:
                publisher.kill()
                publisher.communicate()
        return {
            "viewers": size.viewers, "exchanges": size.exchanges, "rate": size.rate,
            **{key: (after[key] - before[key]) / seconds for key in before},
            "megabytes": resident - empty,
        }  # fmt: skip


def _costs(redis: RedisServer, running: Running) -> dict[str, float]:
    with redis.client() as client:
        told: Any = client.info()
    return {
        "web": running.cpu_seconds() * 100,
        "redis": (told["used_cpu_user"] + told["used_cpu_sys"]) * 100,
        "commands": told["total_commands_processed"],
        "kilobytes": told["total_net_output_bytes"] / 1000,
    }


@contextlib.contextmanager
def _heartbeats(redis: RedisServer, exchanges: int) -> Iterator[None]:
    """Every instance writes its status every 15 s, one after the other."""
    over = threading.Event()

    def beat() -> None:
        number = 0
        with redis.client() as client:
            while exchanges and not over.wait(HEARTBEAT_SECONDS / exchanges):
                moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
                client.set(status_key(number + 1), status_of(number + 1, moment).model_dump_json(), ex=45)
                number = (number + 1) % exchanges

    thread = threading.Thread(target=beat, name="heartbeats")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
