"""Workers whose programs leave a trace, and what the traces prove."""

import itertools
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.instance.workers import PYTHON, Exchange, Worker, Workers, processes_with
from tests.waiting import eventually

#: Short, to be quick; not shorter, so that a busy machine does not end a lease of two intervals: 4 s, the key 6 s.
HEARTBEAT_SECONDS = 2
TICKER = str(Path(__file__).with_name("ticker.py"))


@dataclass(frozen=True)
class Span:
    """From when to when one process of a program ran, in seconds of CLOCK_BOOTTIME."""

    first: float
    last: float
    instance: str


class Owners:
    """Starts owners and standbys, each on a host of its own unless told otherwise."""

    def __init__(self, workers: Workers, exchange: Exchange, folder: Path) -> None:
        self.workers = workers
        self.exchange = exchange
        self.folder = folder
        self._hosts = itertools.count(1)

    def start(self, *, stubborn: bool = False, **options: Any) -> Worker:
        """An owner, or with `standby=True` one that waits. Its program heeds no SIGTERM where it is `stubborn`."""
        words = [PYTHON, TICKER, str(self.folder), *(["stubborn"] if stubborn else [])]
        defaults = {"hostname": f"host-{next(self._hosts)}", "heartbeat_seconds": HEARTBEAT_SECONDS}
        return self.workers.start(*words, ready_pattern="^up", stop_grace=30, **{**defaults, **options})

    def owner(self, **options: Any) -> tuple[Worker, dict[str, Any]]:
        """An owner whose program runs, and its status."""
        worker = self.start(**options)
        return worker, self.exchange.reaches("active")

    def standby(self, **options: Any) -> Worker:
        """A standby that waits for a holder."""
        worker = self.start(standby=True, **options)
        worker.says("waiting, held by")
        return worker

    def successor_of(self, before: dict[str, Any], *, within: float = 20.0) -> dict[str, Any]:
        """The status of an active owner with a higher epoch."""
        return self.exchange.becomes(
            lambda status: status["epoch"] > before["epoch"] and status["connectionState"] == "active", within=within
        )

    def spans(self) -> list[Span]:
        """When each process of a program ran, in order of their beginnings."""
        found = []
        for path in self.folder.glob("*.ticks"):
            lines = path.read_text().splitlines()
            if lines:  # the last line may be half written
                found.append(Span(float(lines[0]), float(lines[-2 if len(lines) > 1 else 0]), path.name.split(".")[0]))
        return sorted(found, key=lambda span: span.first)

    def assert_one_at_a_time(self, *, processes: int) -> None:
        """No two processes of programs ran at the same moment."""
        spans = self.spans()
        assert len(spans) == processes, spans
        for earlier, later in itertools.pairwise(spans):
            assert earlier.last < later.first, f"two programs ran at once: {spans}"

    def pids(self, instance: str) -> list[int]:
        """Processes of the program that this instance runs."""
        mark = f"PERSEUS_INSTANCE_ID={instance}"
        return [pid for pid in processes_with(mark) if TICKER in _command(pid)]

    def epochs(self) -> list[int]:
        """The epochs of all entries, in the order in which they were written, repeats left out."""
        return [int(epoch) for epoch, _ in itertools.groupby(entry["epoch"] for entry in self.exchange.entries())]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@contextmanager
def stopped(worker: Worker) -> Iterator[None]:
    """The worker's process stands still, all of its threads; its program and guard do not."""
    os.kill(worker.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker.process.pid, signal.SIGCONT)


def wait_until_dead(owners: Owners, instance: str) -> None:
    eventually(lambda: not owners.pids(instance))
