"""The progress of commands, to the sockets whose users may view their exchange: one look a second and process.

While somebody watches, rows are brought forward here as well (settling.py): an end that only Redis knows is told, too.
"""

import asyncio
import logging
from collections.abc import Collection
from typing import Final, Protocol
from weakref import WeakKeyDictionary, WeakSet

from channels.db import database_sync_to_async
from django.db import DatabaseError
from django.db.models import Max, Q

from activity.models import Command
from activity.models.commands import OPEN
from activity.settling import settle
from activity.store.client import pages_client
from activity.wire import frames
from perseus_admin.config import settings

log = logging.getLogger(__name__)

#: Seconds between two looks: people wait for the end of what they asked for.
LOOK_SECONDS: Final = 1.0
#: Seconds that one look may take.
PATIENCE_SECONDS: Final = 8.0
#: New rows of one look, and open ones that are followed. More wait for the next look.
MOST: Final = 200
#: What the contract's frame tells.
_TOLD: Final = ("acknowledged", "succeeded", "failed", "expired")


class Listener(Protocol):
    """A socket as this module knows it."""

    async def command_moved(self, exchange: str, text: str) -> None:
        """A frame about a command on that exchange."""


class Ledger:
    """What was told of which row. Not shared between threads: one look at a time."""

    def __init__(self) -> None:
        self._top: int | None = None
        #: State by the number of an open row, at the most `MOST`.
        self._known: dict[int, str] = {}

    def look(self) -> list[tuple[str, str]]:
        """(exchange, frame) of what moved since the last look. Asks the database, and Redis for open rows."""
        rows = Command.objects.select_related("exchange").order_by("id")
        if self._top is None:
            self._top = Command.objects.aggregate(top=Max("id"))["top"] or 0
            self._known = dict(rows.filter(state__in=OPEN).values_list("id", "state")[:MOST])
        found = list(rows.filter(Q(pk__gt=self._top) | Q(pk__in=list(self._known)))[: 2 * MOST])
        if waiting := [row for row in found if row.open]:
            settle(pages_client(settings().redis), waiting)
        moved = []
        for row in found:
            if row.state in _TOLD and self._known.get(row.pk) != row.state:
                frame = frames.Command(
                    exchange=row.exchange.name,
                    correlationId=row.correlation_id,
                    progress=row.state,  # type: ignore[arg-type]  # looked up above
                )
                moved.append((row.exchange.name, frame.model_dump_json()))
            self._top = max(self._top, row.pk)
        self._known = {row.pk: row.state for row in found if row.open}
        return moved


class Receipts:
    """Of one event loop. Its task runs while there is a socket to tell."""

    def __init__(self) -> None:
        #: Weakly: a socket that its server forgot without a word is not kept alive by us.
        self._listeners: WeakSet[Listener] = WeakSet()
        self._task: asyncio.Task[None] | None = None

    def follow(self, listener: Listener) -> None:
        """Tell the listener of what moves from now on, until it leaves."""
        self._listeners.add(listener)
        self._run_on()

    def leave(self, listener: Listener) -> None:
        """The socket is gone."""
        self._listeners.discard(listener)

    def _run_on(self) -> None:
        if self._listeners and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run(), name="progress of commands")
            self._task.add_done_callback(self._ended)

    async def _run(self) -> None:
        ledger = Ledger()
        silent = False
        while self._listeners:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    moved = await database_sync_to_async(ledger.look, thread_sensitive=False)()
            except (DatabaseError, TimeoutError) as error:
                if isinstance(error, TimeoutError):
                    ledger = Ledger()  # the thread that was given up may still write in the old one
                if not silent:
                    log.warning("nobody is told how commands go on: %s", error or "the database does not answer")
                silent = True
            else:
                silent = False
                await self._tell(moved)
            await asyncio.sleep(LOOK_SECONDS)

    async def _tell(self, moved: Collection[tuple[str, str]]) -> None:
        for exchange, text in moved:
            for listener in list(self._listeners):
                try:
                    await listener.command_moved(exchange, text)
                except Exception:  # of a socket that is just going, and the others are told all the same
                    log.exception("a socket could not be told of a command")

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("following commands failed and starts anew", exc_info=error)
        asyncio.get_running_loop().call_later(LOOK_SECONDS, self._run_on)


_receipts: WeakKeyDictionary[asyncio.AbstractEventLoop, Receipts] = WeakKeyDictionary()


def receipts() -> Receipts:
    """Those of the running event loop."""
    return _receipts.setdefault(asyncio.get_running_loop(), Receipts())
