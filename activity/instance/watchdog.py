"""Ends a worker whose event loop stands still: such a worker can neither beat nor fence itself.

A thread asks the loop to answer four times a second. When the lease has ended and the loop is silent, the process says
so on standard error and ends at once. Its guard (launch.py) then ends the program: SIGTERM, and SIGKILL before another
instance may start work. The guard does the same by itself where this whole process is stopped.
"""

import asyncio
import os
import select
import threading
from typing import Final

from activity.instance.exits import ExitCode
from activity.instance.host import boottime
from activity.instance.registry import Registry

LOOK_SECONDS: Final = 0.25
#: Looks in a row without an answer. Counted, not timed: a process that was stopped can answer first when it goes on.
SILENT_LOOKS: Final = 4


class Watchdog:
    """Runs from `start` to `close`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._loop = asyncio.get_running_loop()
        self._answered = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """From here on the loop has to answer."""
        self._answered.set()
        self._thread.start()

    def close(self) -> None:
        """The lease is over, or was given back."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        silent = 0
        while not self._closed.wait(LOOK_SECONDS):
            if self._answered.is_set():
                silent = 0
                self._answered.clear()
                self._loop.call_soon_threadsafe(self._answered.set)
                continue
            silent += 1
            if silent >= SILENT_LOOKS and boottime() >= self._registry.lease_until:
                _end(
                    f"worker: the event loop has stood still for {silent * LOOK_SECONDS:.1f} s and the lease has ended"
                )


def _end(reason: str) -> None:
    text = f"{reason}: exit code {int(ExitCode.STUCK)} ({ExitCode.STUCK.name}), the guard ends the program\n".encode()
    # Only where it does not block: a reader that has stalled must not keep a worker alive that has to end.
    if select.select([], [2], [], 0)[1]:
        os.write(2, text)
    os._exit(int(ExitCode.STUCK))
