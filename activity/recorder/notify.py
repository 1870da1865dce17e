"""People are told: one task per channel, one message at a time, at the remote's pace, until it has arrived.

Of any number of recorders one sends, so that the pace of each remote is kept in one place; when it ends, another one
goes on at once. Delivery is at least once: a message that was under way when its process was killed is sent again, with
the same delivery number in it. The order of a channel is kept: a message that does not arrive holds up those behind it.
"""

import asyncio
import logging
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from django.utils import timezone

from activity.models import NotificationChannel
from activity.recorder.database import DatabaseAway, DatabaseThread
from activity.recorder.messages import footer
from activity.recorder.outages import Outages
from activity.recorder.outbound import MESSAGE_SECONDS, BadUrl, Outcome, Service
from activity.recorder.outbox import Outbox, Room, Work
from activity.recorder.pacing import LONGEST_SECONDS, Pacer

log = logging.getLogger(__name__)

R = TypeVar("R")

#: Seconds between two looks for something to tell.
PERIOD_SECONDS: Final = 0.5
#: Seconds between two looks of a notifier that stands by.
STAND_BY_SECONDS: Final = 2.0
#: Seconds that messages under way get when the recorder ends.
FAREWELL_SECONDS: Final = 2.0
#: Seconds after which a message that is still under way is worth a line in the log.
_LONG_SECONDS: Final = MESSAGE_SECONDS + 30
#: A URL of which no service can be made: its message is made all the same, and says why it cannot be sent.
_NO_SERVICE: Final = Room(1000, lambda text: len(text.encode()))


@dataclass(frozen=True, slots=True)
class NotifyOptions:
    """Seconds before the first repetition, and between later ones at the most; each failure doubles it, with jitter."""

    first_retry: float = 2.0
    longest_retry: float = 900.0


class Notifier:
    """`run` is its task; it ends only by being cancelled."""

    def __init__(self, database: DatabaseThread, outages: Outages, options: NotifyOptions | None = None) -> None:
        """`database` is the notifier's own: on Postgres its connection holds the right to send."""
        self._database = database
        self._outages = outages
        self._options = options or NotifyOptions()
        self._outbox = Outbox()
        self._pacer = Pacer()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        #: By channel: its URL, and what was made of it. As many as there were channels in this process' life.
        self._services: dict[int, tuple[str, Service | BadUrl]] = {}
        #: One per remote that this process has sent to: as many as there were URLs of channels.
        self._locks: dict[str, asyncio.Lock] = {}

    async def run(self) -> None:
        """Look for something to tell, for ever, through every outage of the database."""
        leading: bool | None = None
        try:
            while True:
                try:
                    is_leading = await self._database.run(self._outbox.lead)
                    if is_leading:
                        self._start(await self._database.run(self._outbox.channels))
                    self._outages.back("the database", to="notifications")
                    if is_leading != leading:
                        leading = is_leading
                        log.info("notifications are sent by this recorder" if leading else _ANOTHER)
                except DatabaseAway as error:
                    self._outages.away("the database", error, to="notifications")
                await asyncio.sleep(PERIOD_SECONDS if leading else STAND_BY_SECONDS)
        finally:
            await self._end()

    async def _end(self) -> None:
        for task in self._tasks.values():
            task.cancel()  # one that is sending hears it when the remote has answered
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=FAREWELL_SECONDS)
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._database.run(self._outbox.resign)
        except (TimeoutError, DatabaseAway) as error:
            log.warning("the right to send is not given back but lost with the process: %s", error)

    def _start(self, channels: list[NotificationChannel]) -> None:
        for key, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[key]
                if not task.cancelled() and (error := task.exception()):
                    raise error  # a mistake of ours: the recorder ends loudly
        for key in self._services.keys() - {channel.pk for channel in channels}:
            self._outages.gone(f"channel {key}")  # nothing is to be told there any more
        for channel in channels:
            if channel.pk not in self._tasks:
                self._tasks[channel.pk] = asyncio.create_task(self._tell(channel), name=f"tell {channel.name}")

    async def _tell(self, channel: NotificationChannel) -> None:
        """Everything that one channel has to be told now, as long as it is taken."""
        service = self._service(channel)
        room, remote = _NO_SERVICE, f"channel {channel.pk}"
        if isinstance(service, Service):
            room, remote = Room(service.room, service.measure), service.remote
            self._remember_pace(channel, remote)
        try:
            while True:
                # Channels may share a remote, and then its pace: between a look at the pace and the request is nobody.
                async with self._locks.setdefault(remote, asyncio.Lock()):
                    await self._turn_of(remote)
                    work = await self._database.run(self._outbox.next_message, channel.pk, room)
                    self._outages.back("the database", to=f"channel {channel.pk}")
                    if work is None or not await self._send(channel, service, remote, work):
                        return
        except DatabaseAway as error:
            self._outages.away("the database", error, to=f"channel {channel.pk}")

    async def _turn_of(self, remote: str) -> None:
        while (left := self._pacer.left(remote)) > 0:  # noqa: ASYNC110 - a remote's answer may have made it longer
            await asyncio.sleep(min(left, 5.0))

    async def _send(self, channel: NotificationChannel, service: Service | BadUrl, remote: str, work: Work) -> bool:
        """Send what is left of one message and note what became of it. Whether to go on with the next one."""
        title = work.title if isinstance(service, Service) and service.titled else ""
        for part in range(work.part, len(work.parts)):
            body = f"{work.parts[part]}\n{footer(work.delivery, part + 1, len(work.parts))}"
            if part > work.part:
                await self._turn_of(remote)
            outcome = await self._attempt(channel, service, title, body)
            paced_until = timezone.now() + timedelta(seconds=self._pacer.left(remote))
            if not outcome.sent:
                return await self._note_failure(channel, work, outcome, paced_until)
            await self._database.run(self._outbox.part_sent, work, part, paced_until)
        log.info("%s: delivery %d sent to %s", channel.name, work.delivery, channel.shown_url)
        return True

    async def _attempt(self, channel: NotificationChannel, service: Service | BadUrl, title: str, body: str) -> Outcome:
        if isinstance(service, BadUrl):
            return Outcome(sent=False, reason=str(service))
        sending = _in_thread(f"send {channel.pk}", lambda: service.send(title, body, self._pacer))
        try:
            while not (await asyncio.wait({sending}, timeout=_LONG_SECONDS))[0]:
                # It cannot be interrupted, and until it ends nobody knows what became of it: nothing more is sent here.
                log.warning("%s: %s still does not finish its answer", channel.name, channel.shown_url)
        except asyncio.CancelledError:
            # The recorder ends: what is under way is noted, if the remote answers in time.
            return await sending
        return sending.result()

    async def _note_failure(
        self, channel: NotificationChannel, work: Work, outcome: Outcome, paced_until: datetime
    ) -> bool:
        def retry_in(failures: int) -> float:
            pause = min(self._options.longest_retry, self._options.first_retry * 2.0 ** min(failures - 1, 30))
            return max(outcome.wait or 0.0, pause * random.uniform(0.75, 1.25))  # noqa: S311 - spreads load, no secret

        seconds = await self._database.run(self._outbox.failed, work, outcome.reason, paced_until, retry_in)
        again = "not tried again" if seconds is None else f"tried again in {seconds:.0f} s"
        log.warning("%s: delivery %d not sent, %s: %s", channel.name, work.delivery, again, outcome.reason)
        return work.test

    def _service(self, channel: NotificationChannel) -> Service | BadUrl:
        known = self._services.get(channel.pk)
        if known is None or known[0] != channel.url:
            try:
                known = channel.url, Service(channel.url)
            except BadUrl as error:
                known = channel.url, error
            self._services[channel.pk] = known
        return known[1]

    def _remember_pace(self, channel: NotificationChannel, remote: str) -> None:
        """What an earlier process knew of the remote."""
        if channel.paced_until is not None:
            left = (channel.paced_until - timezone.now()).total_seconds()
            if 0 < left <= LONGEST_SECONDS + 60:
                self._pacer.hold(remote, left)


_ANOTHER: Final = "another recorder sends the notifications, standing by"


def _in_thread(name: str, function: Callable[[], R]) -> "asyncio.Future[R]":
    """Run a function that may take long in a thread that does not keep the process from ending.

    Not in a pool: a remote that hangs (at most MESSAGE_SECONDS, see outbound.py) must not hold up the others.
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
        trouble: BaseException | None = None
        try:
            result = function()
        except BaseException as error:
            trouble = error
        with suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(give, result, trouble)

    threading.Thread(target=work, name=name, daemon=True).start()
    return future
