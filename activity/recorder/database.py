"""SQL beside the event loop: one thread with one connection of its own, and a limit to every wait.

One thread, because SQLite has one writer anyway and Postgres takes 90,000 rows a second over one connection. A daemon,
because a thread that waits for a dead server must not keep the process from ending.
"""

import asyncio
import logging
import queue
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connections

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

#: Milliseconds that one statement may take. A batch of 8000 takes 100.
STATEMENT_MILLISECONDS: Final = 30_000
#: Milliseconds without an answer of the server's system after which a connection counts as dead.
SILENCE_MILLISECONDS: Final = 15_000
#: Seconds that the thread gets to finish what it does when the process ends.
END_SECONDS: Final = 2.0


#: Seconds after trouble with SQLite in which no connection of this process outlives its use. Two tries are less apart.
TROUBLE_SECONDS: Final = 30.0


class DatabaseAway(Exception):
    """The database cannot be reached, or cannot write now. Nothing of the work was done, or all of it."""


def limit_waiting(alias: str = "default") -> None:
    """Postgres: no connection of this process waits for ever on a server or a network that is gone."""
    connection = connections[alias]
    if connection.vendor == "postgresql":
        connection.settings_dict["OPTIONS"] |= {
            "tcp_user_timeout": SILENCE_MILLISECONDS,
            "keepalives": 1,
            "keepalives_idle": 5,
            "keepalives_interval": 5,
            "keepalives_count": 2,
        }


class _Trouble:
    """When SQLite last failed anybody in this process.

    What SQLite keeps beside the file is shared by all connections of a process, and stays what it was when the first of
    them was opened: while one that could only read stays open, no new one can write, though it might by now.
    """

    def __init__(self) -> None:
        self._until = 0.0

    def begin(self) -> None:
        self._until = time.monotonic() + TROUBLE_SECONDS

    def lasts(self) -> bool:
        return time.monotonic() < self._until and connections["default"].vendor == "sqlite"


_trouble: Final = _Trouble()


class DatabaseThread:
    """Runs functions that speak to the database, one after the other."""

    def __init__(self, name: str) -> None:
        # Holds what callers wait for, so never more than there are callers.
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The function's result. Raises DatabaseAway; other errors are mistakes and pass through.

        A caller that is cancelled does not interrupt the function: it is done whole or, at the process' end, not.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()

        def give(result: R | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # R may be None

        def work() -> None:
            result: R | None = None
            error: BaseException | None = None
            try:
                result = function(*args, **kwargs)
            except (OperationalError, InterfaceError) as trouble:
                _trouble.begin()
                _let_go_of(trouble)
                _drop_connections()
                error = DatabaseAway(str(trouble).strip().partition("\n")[0] or type(trouble).__name__)
            except BaseException as trouble:  # handed to the caller, whatever it is
                error = trouble
            if _trouble.lasts():
                _drop_connections()
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(give, result, error)

        self._work.put(work)
        return await future

    def close(self) -> None:
        """End the thread after what it does now; does not wait for it."""
        self._work.put(None)

    async def end(self) -> None:
        """The same. Waits a moment, and leaves behind one that waits for a server."""
        self.close()
        await asyncio.to_thread(self._thread.join, END_SECONDS)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
        _drop_connections()


def _let_go_of(error: BaseException | None) -> None:
    """Free the cursors that an error's frames still hold: SQLite keeps a connection open while it has statements."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _drop_connections() -> None:
    """The next use connects anew: what is left of a broken connection is of no use."""
    with suppress(DatabaseError):
        connections.close_all()


def set_limits(cursor: Any, vendor: str) -> None:
    """Inside a transaction: no statement of it takes longer than its limit."""
    if vendor == "postgresql":
        cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_MILLISECONDS}")
