"""The demo instances: real workers, labelled, one of them killed and brought back."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from activity.management.demo import PARTS
from tests.up.running import Up, processes_of, up
from tests.waiting import eventually

#: Short, so that the show (which counts in heartbeats) is over soon; long enough for a busy machine to beat in time.
HEARTBEAT = "2"


def statuses(run: Up) -> dict[str, dict[str, Any]]:
    """By exchange name: what the status keys of this network hold right now."""
    with run.client() as client:
        values = [client.get(key) for key in client.scan_iter("exchange:*:status")]
    found = [json.loads(value) for value in values if isinstance(value, bytes)]
    return {status["exchangeName"]: status for status in found}


def test_four_labelled_instances_one_of_which_comes_back_and_one_is_taken_over(folder: Path) -> None:
    with up(folder, PERSEUS_HEARTBEAT_SECONDS=HEARTBEAT) as run:
        run.ready()
        seen: dict[str, dict[str, Any]] = {}

        def all_seen() -> bool:
            seen.update(statuses(run))
            return seen.keys() == {"binance", "coinbase", "kraken", "kucoin"}

        eventually(all_seen)
        assert {status["mode"] for status in seen.values()} == {"demo"}
        assert {status["hostname"] for status in seen.values()} == {part.name for part in PARTS if part.number == 1}
        assert {status["adminEmail"] for status in seen.values()} <= {None, "admin@localhost"}

        active: set[str] = set()

        def three_active() -> bool:
            active.update(name for name, status in statuses(run).items() if status["connectionState"] == "active")
            return active == {"binance", "coinbase", "kraken"}

        eventually(three_active)
        first, before = seen["kraken"]["instanceId"], seen["binance"]
        eventually(lambda: statuses(run)["kucoin"]["connectionState"] == "warming")

        # Beside the show. One that somebody kills is seen as lost, and comes back. One that ends by itself is brought
        # back at once.
        os.kill(run.pid_of("worker --exchange kucoin"), signal.SIGKILL)
        os.kill(run.pid_of("worker --exchange coinbase"), signal.SIGTERM)
        lost: set[str] = set()

        def both_lost() -> bool:
            lost.update({"kraken", "kucoin"} - statuses(run).keys())
            return len(lost) == 2

        eventually(both_lost)
        eventually(lambda: run.said("demo: killing demo-kraken with SIGKILL"))
        eventually(lambda: run.said("demo: somebody killed demo-kucoin"))
        eventually(lambda: statuses(run).keys() >= {"kraken", "kucoin"}, within=40)
        assert statuses(run)["kraken"]["instanceId"] != first
        assert run.said("demo-kraken comes back")
        assert run.said("demo-coinbase has ended with exit code 0, which was not planned")
        eventually(lambda: len([line for line in run.said("Registered coinbase") if "demo-coinbase" in line]) == 2)

        eventually(lambda: run.said("demo: killing demo-binance with SIGKILL"))
        eventually(lambda: statuses(run).get("binance", before)["hostname"] == "demo-binance-2", within=40)
        assert statuses(run)["binance"]["epoch"] > before["epoch"]
        eventually(lambda: run.said("demo: demo-binance comes back"))

        # The programs that the workers carry, too.
        assert len(processes_of(folder)) >= 3 + 2 * len(PARTS)
        run.send(signal.SIGKILL)
        run.wait(10)
        eventually(lambda: not processes_of(folder), within=10)


def test_ctrl_c_lets_every_demo_instance_release_its_exchange(folder: Path) -> None:
    with up(folder) as run:
        run.ready()
        eventually(lambda: len(statuses(run)) == len({part.exchange for part in PARTS}))
        run.send(signal.SIGINT)
        assert run.wait(10) == 0
        assert processes_of(folder) == []
        for part in PARTS:
            assert run.said(f"Released {part.exchange}")
    with up(folder, "--no-demo") as again:
        again.ready()
        assert statuses(again) == {}
