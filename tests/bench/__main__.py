"""`make bench`: every contender under every load, side by side in one run; see docs/performance.md.

``--quick`` takes shorter loads and one round. ``--only NAME`` measures one contender. Results are
written to docs/performance.json as they come, the table and the plot at the end.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import growth, pages_and_archive, report
from tests.bench.contenders import CONTENDERS, Running
from tests.bench.loads import LADDER, QUICK_LADDER, Bench, Result, compiled
from tests.servers import RedisServer

#: What is measured of each contender, in the order of the table.
Load = Callable[[RedisServer, Running], Result]


def say(text: str) -> None:
    """Progress, at once."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def loads_of(bench: Bench, name: str, *, quick: bool) -> dict[str, Load]:
    """The loads of one contender by their name in the results."""
    resumes = name.startswith("ours")
    crowd = 1000
    sizes = (1, 100, 1000, 5000)
    low = 30 if quick else 150
    ladder = QUICK_LADDER if quick else LADDER

    def low_rate(viewers: int) -> Load:
        return lambda redis, running: bench.run(redis, running, viewers=viewers, rate=10, count=low)

    loads: dict[str, Load] = {f"low {viewers}": low_rate(viewers) for viewers in sizes}
    loads["idle"] = lambda redis, running: bench.idle(redis, running, crowd, 5 if quick else 15)
    loads["highest"] = lambda redis, running: bench.highest(
        redis, running, crowd, 2 if quick else 5, ladder, lambda text: say(f"    {name}: {text}")
    )
    loads["storm"] = lambda redis, running: bench.run(
        redis, running, viewers=50, rate=10_000, count=100_000, patience=5 if quick else 60
    )
    # Until they have 256 KB, 720 entries, the stalled ones are viewers as all others are: measured is what follows.
    settled, long = ("skip", "1000"), 1000 + 20 * low
    loads["undisturbed"] = lambda redis, running: bench.run(
        redis, running, viewers=100, rate=200, count=long, more=settled
    )
    loads["half stalled"] = lambda redis, running: bench.run(
        redis, running, viewers=200, rate=200, count=long, more=("stalled", "100", *settled)
    )
    if resumes:
        loads["stampede"] = lambda redis, running: bench.run(
            redis, running, viewers=crowd, rate=10, count=100 if quick else 300, patience=30, more=("drop", "3")
        )
    return loads


def median_of(rounds: list[Result]) -> Result:
    """The median of every number, with the least and the most of several beside it."""
    found: Result = {}
    for key in rounds[0]:
        values = [one[key] for one in rounds if isinstance(one.get(key), (int, float))]
        if values:
            found[key] = statistics.median(values)
            if len(values) > 1:
                found[f"{key} spread"] = [min(values), max(values)]
    return found


def main() -> None:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short loads (the storm is whole), one round")
    parser.add_argument(
        "--only", action="append", choices=[*CONTENDERS, "growth", "pages", "archive"], help="only this"
    )
    parser.add_argument("--rounds", type=int, help="of every load; the table has medians (3, with --quick 1)")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    results: dict[str, Any] = {
        "machine": (
            f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
        ),
        "quick": arguments.quick,
        "rounds": rounds,
        "load average before": os.getloadavg(),
        "feed": {},
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(compiled(Path(folder)))
        say("raw XREAD BLOCK")
        few = 30 if arguments.quick else 150
        results["raw"] = median_of([bench.raw(10, few) for _ in range(rounds)])
        results["plain"] = median_of([bench.raw(10, few, plain=True) for _ in range(rounds)])
        for name, start in CONTENDERS.items():
            if arguments.only and name not in arguments.only:
                continue
            found: dict[str, list[Result]] = {}
            for turn in range(rounds):
                for load, measure in loads_of(bench, name, quick=arguments.quick).items():
                    say(f"{name}: {load}" + (f" ({turn + 1} of {rounds})" if rounds > 1 else ""))
                    try:
                        # What one load left behind in a server's queues must not reach the viewers of the next.
                        with bench.server(start) as (redis, running):
                            found.setdefault(load, []).append(measure(redis, running))
                    except (RuntimeError, OSError, ValueError) as error:
                        say(f"    {name}: {load} failed: {error}")
            results["feed"][name] = {load: median_of(one) for load, one in found.items()}
            report.write(results)
        if not arguments.only or "growth" in arguments.only:
            results["growth"] = growth.measure(bench, say, quick=arguments.quick)
            report.write(results)
        if not arguments.only or "pages" in arguments.only:
            results["first paint"] = pages_and_archive.first_paint(say)
            results["heartbeats"] = pages_and_archive.heartbeats(say)
            report.write(results)
        if not arguments.only or "archive" in arguments.only:
            results["archive"] = pages_and_archive.archive(say, 200_000 if arguments.quick else 300_000, rounds)
    results["load average after"] = os.getloadavg()
    report.write(results)
    print(json.dumps(results, indent=1)[:400])
    say(f"written: {report.DOCUMENT}, {report.PLOT}, {report.RAW}")


if __name__ == "__main__":
    main()
