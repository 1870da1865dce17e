"""Every task is named, owned and watched: one that dies takes the worker down loudly instead of being missed."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Failure:
    """A task that ended though it should not have."""

    name: str
    error: BaseException


class Tasks:
    """The side tasks of one worker. `failure` is done as soon as the first of them has died."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.failure: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()

    def start(self, name: str, work: Coroutine[Any, Any, Any], *, may_end: bool = False) -> asyncio.Task[Any]:
        """Run `work` beside the others. A task that may not end has died when it returns."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)

        def ended(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            if task.cancelled() or self.failure.done():
                return
            error = task.exception()
            if error is not None or not may_end:
                self.failure.set_result(Failure(name, error or RuntimeError("it ended by itself")))

        task.add_done_callback(ended)
        return task

    async def cancel(self, *chosen: asyncio.Task[Any]) -> None:
        """End the given tasks, or all of them, and wait until they have ended."""
        tasks = list(chosen or self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
