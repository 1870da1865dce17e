"""XREAD BLOCK by plain redis-py, without a web server: what any Python reader costs.

`python -m tests.bench.plain URL KEY COUNT SECONDS`
"""

import json
import sys
import time
from typing import Any

import redis


def main() -> None:
    """Read entries 1..COUNT and tell how late they came, in ms."""
    url, key, count, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    client = redis.Redis.from_url(url, socket_timeout=10)
    late: list[float] = []
    expected, lost, cursor, ends = 1, 0, b"0-0", time.monotonic() + seconds
    client.ping()
    print("READY", flush=True)
    while expected <= count and time.monotonic() < ends:
        answer: Any = client.xread({key: cursor}, count=512, block=1000)
        moment = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        for entry_id, fields in answer[0][1] if answer else ():
            lost += int(fields[b"n"]) != expected
            expected = int(fields[b"n"]) + 1
            late.append((moment - int(fields[b"t"])) / 1e6)
            cursor = entry_id
    late.sort()
    told: dict[str, float] = {"deliveries": len(late), "lost": lost + count - len(late), "doubled": 0}
    for name, part in (("p50", 0.5), ("p99", 0.99)):
        told[name] = late[min(len(late) - 1, int(len(late) * part))]
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
