"""A web process that is told to end finishes the requests that it has taken.

Daphne cancels them and stops its event loop. Django's threads then wait for that loop without end, and the process
hangs until it is killed: 3 of 4 ends with a dozen requests under way did. uvicorn waits for its requests by itself.
"""

import asyncio
import contextlib
import logging
import os
import sys
import threading
from typing import Any, Final

log = logging.getLogger(__name__)

#: For requests under way: longer than any page takes, and within the 10 s that `docker stop` grants.
DRAIN_SECONDS: Final = 6.0
#: After which the process ends, whatever hangs.
LAST_SECONDS: Final = 9.0


class Draining:
    """ASGI application for HTTP: the other one, whose requests are known, and once it ends, are not cancelled."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._ends = False
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request, in a task of its own, for its server cancels this one."""
        task = asyncio.create_task(self._app(scope, receive, send), name=f"request {scope.get('path')}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if not self._ends:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            raise

    async def drain(self) -> None:
        """Wait for the requests under way, up to `DRAIN_SECONDS`."""
        self._ends = True
        if self._running:
            log.info("%d requests are under way: they are finished first", len(self._running))
        until = asyncio.get_running_loop().time() + DRAIN_SECONDS
        while self._running and (left := until - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(set(self._running), timeout=left)  # and what came on open connections meanwhile
        for task in self._running:
            log.error("%s has taken longer than %g s and is dropped", task.get_name(), DRAIN_SECONDS)

    def before_shutdown(self) -> None:
        """Under daphne: drain before its reactor stops, and end the process even where a thread hangs."""
        reactor: Any = sys.modules.get("twisted.internet.reactor")
        if reactor is None:
            return
        from twisted.internet.defer import Deferred

        def begin() -> Any:
            last = threading.Timer(LAST_SECONDS, _end)
            last.daemon = True  # a process that ends earlier does not wait for it
            last.start()
            return Deferred.fromFuture(asyncio.ensure_future(self.drain()))

        reactor.addSystemEventTrigger("before", "shutdown", begin)


def _end() -> None:
    log.critical("not all threads have ended %g s after the signal: the process ends without them", LAST_SECONDS)
    logging.shutdown()
    os._exit(1)
