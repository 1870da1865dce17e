"""The recorder's process: some jobs side by side, each named, owned and watched, until it is asked to end."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from activity.recorder.exits import ExitCode

log = logging.getLogger(__name__)

#: Seconds that the jobs get to leave in order; all of them can be interrupted anywhere without losing anything.
GRACE_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Job:
    """One duty of the process. `run` goes on for ever unless `may_end`; cancelling it ends it in order."""

    name: str
    run: Callable[[], Coroutine[Any, Any, None]]
    may_end: bool = False


def calm_collector() -> None:
    """Leave what is loaded by now out of every collection, and collect the young rarely: a fifth of catching up."""
    gc.set_threshold(100_000, 50, 1000)
    gc.collect()
    gc.freeze()


def hand_over_quickly() -> None:
    """A thread that has its answer from the database gets its turn after half a millisecond, not after five.

    While a batch is made of what was read, the one before waits so at every answer: a sixth of catching up.
    """
    sys.setswitchinterval(0.0005)


async def serve(jobs: Sequence[Job]) -> ExitCode:
    """Run all jobs until SIGTERM, SIGINT or SIGHUP, or until those that may end have ended (DONE both times).

    A job that raises, or ends though it should not, ends the process loudly with INTERNAL_ERROR: half a recorder that
    looks alive is worse than one that its service manager starts again.
    """
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[str] = loop.create_future()

    def ask(number: signal.Signals) -> None:
        if not asked.done():
            asked.set_result(number.name)

    signals = [
        number
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN  # nohup means it
    ]
    for number in signals:
        loop.add_signal_handler(number, ask, number)
    tasks = {asyncio.create_task(job.run(), name=job.name): job for job in jobs}
    try:
        return await _watch(tasks, asked)
    finally:
        for task in tasks:
            task.cancel()
        _, late = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
        for task in late:
            log.warning("%s does not end in %g s and is left behind", tasks[task].name, GRACE_SECONDS)
        for number in signals:
            loop.remove_signal_handler(number)


async def _watch(tasks: dict[asyncio.Task[None], Job], asked: asyncio.Future[str]) -> ExitCode:
    waiting: set[asyncio.Future[Any]] = {*tasks, asked}
    while len(waiting) > 1:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task, job in tasks.items():
            if task not in done:
                continue
            error = None if task.cancelled() else task.exception()
            if error is not None or not job.may_end:
                log.critical("%s has died, so the recorder ends: %s", job.name, _words(error), exc_info=error)
                return ExitCode.INTERNAL_ERROR
        if asked in done:
            log.info("%s: ending", asked.result())
            return ExitCode.DONE
    return ExitCode.DONE


def _words(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}" if error else "it ended by itself"
