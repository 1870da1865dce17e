"""Every status, read once per process and period, and at once after a transition was seen on a stream.

A viewer that watches is told every change of state, owner or liveness, and each heartbeat. What has changed is kept in
a log, and a viewer has a place in it: telling a thousand viewers costs what has changed, and not what there is.
"""

import asyncio
import logging
import math
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from channels.db import database_sync_to_async

from activity.feed.audience import Audience, Audiences, Bell
from activity.history import ArchiveAway, read_last_known
from activity.store.client import StoreUnavailable, SyncClient
from activity.store.gone import is_lost
from activity.store.history import RawStatus
from activity.store.statuses import Glance, Glances, raw_status
from activity.wire.entries import RawEntry, StreamEntry
from activity.wire.frames import Beat, Status, Store, encode_json
from activity.wire.status import StatusReading

log = logging.getLogger(__name__)

#: In a thread of its own: the one thread that Django's synchronous code shares may be busy with a page.
_read_last_known: Final = database_sync_to_async(read_last_known, thread_sensitive=False)
#: A TTL that is this much longer than it should be by now was renewed.
RISE_MILLISECONDS: Final = 400
#: Seconds between two looks at the least, however many transitions come by.
FLOOR_SECONDS: Final = 0.05
#: Seconds between two looks at all keys: a key that expires is told within the TTL and a second.
PERIOD_SECONDS: Final = 0.5
#: A heartbeat that changed nothing else waits for others to travel with: 1/24 of its TTL, so 1.9 s of 45, at most this.
HOLD_SECONDS: Final = 2.0
_HOLD_SHARE: Final = 24
#: Bytes of statuses in one message, unless a single one is larger: an eighth of a client's window.
MESSAGE_BYTES: Final = 64 * 1024
#: Messages kept until the next look, for viewers in lockstep. The oldest is dropped and made again for who needs it.
_CACHED_MESSAGES: Final = 64


@dataclass(slots=True)
class _Known:
    """The newest look at one exchange."""

    exchange: str
    glance: Glance
    raw: RawStatus
    reading: StatusReading | None
    seen_at: float
    last_known: StreamEntry | None
    #: The newest change at all, and the newest that was more than a heartbeat, in the board's count.
    change: int = 0
    whole: int = 0
    #: The status frame but for its last field and brace, as of this look.
    text: str = ""

    def ttl_ms(self, now: float) -> int | None:
        """What the key had left at the look, aged until now."""
        left = self.raw.ttl_ms
        return max(0, left - int((now - self.seen_at) * 1000)) if left is not None else None

    def frame(self, now: float) -> str:
        """The status frame. Encoded once per look, with the time left as of now."""
        if not self.text:
            reading = self.reading
            frame = Status(
                exchange=self.exchange,
                online=reading is not None,
                status=(reading.fields or None) if reading else None,
                lastKnown=self.last_known.to_json() if self.last_known else None,
                problem=reading.problem if reading else "",
                ownerState=self.raw.owner.state,
                lost=is_lost(self.raw.owner, self.last_known) if reading is None else None,
            )
            self.text = encode_json(frame.model_dump(exclude={"ttlMs"}))[:-1]
        left = self.ttl_ms(now)
        return f'{self.text},"ttlMs":{"null" if left is None else left}}}'

    def beat(self, now: float) -> str:
        """The heartbeat alone, for who has the rest."""
        fields = self.reading.fields if self.reading else {}
        beat = Beat(exchange=self.exchange, lastHeartbeat=fields.get("lastHeartbeat"), ttlMs=self.ttl_ms(now))
        return encode_json(beat.model_dump())


class Message(NamedTuple):
    """What a viewer is told next: texts of frames, up to which change, and their bytes."""

    texts: tuple[str, ...]
    upto: int
    size: int


def _is_heartbeat(before: _Known | None, after: _Known) -> bool:
    """Whether nothing but `lastHeartbeat` and the TTL differ."""
    if before is None or before.reading is None or after.reading is None:
        return False
    told, tells = before.reading, after.reading
    if (before.raw.owner, told.problem) != (after.raw.owner, tells.problem) or not tells.fields:
        return False
    return told.fields.keys() == tells.fields.keys() and told.fields | {
        "lastHeartbeat": tells.fields.get("lastHeartbeat")
    } == (tells.fields)


class Board:
    """The statuses of all exchanges that any viewer of this process wants."""

    def __init__(self, client: SyncClient, audiences: Audiences) -> None:
        """`client` is the process' sync client: reads run in a thread, off the event loop."""
        self.known: dict[str, _Known] = {}
        #: The newest change. What happened is in `_log`, as two columns: a change's number, and the exchange.
        self.change = 0
        self._numbers: list[int] = []
        self._names: list[str] = []
        #: Why Redis cannot be read at present; empty while it can.
        self.away = ""
        #: When the newest look that succeeded began, and the newest of all, by the monotonic clock.
        self.looked_at = self.tried_at = -math.inf
        self._client = client
        self._glances = Glances(client)
        self._audiences = audiences
        self._bells: set[Bell] = set()
        self._wanted: dict[str, int] = {}
        self._wanted_ids: list[int] = []
        self._wanted_version = -1
        #: Exchanges to look at before the period is over. Never more than are wanted.
        self._due: set[str] = set()
        #: Heartbeats that wait to be told, and until when the first of them waits.
        self._held: set[str] = set()
        self._held_until = math.inf
        self._stale: set[str] = set()
        #: Entries that came by for offline exchanges and tell their state: one per exchange, the newest.
        self._heard: dict[str, StreamEntry] = {}
        #: The exchange whose last known state is being read: what comes by meanwhile may be newer.
        self._asking = ""
        #: Exchanges whose last known state waits for the database, so that it is said once.
        self._unasked: set[str] = set()
        self._poke = asyncio.Event()
        #: Somebody subscribed after the last look at all began.
        self._newcomers = False
        self._task: asyncio.Task[None] | None = None
        self._messages: dict[tuple[Audience, int, bool], Message] = {}

    def subscribe(self, bell: Bell) -> None:
        """Take part; the first viewer starts the loop. `bell` rings when there may be a frame."""
        self._bells.add(bell)
        self.look()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="board")
            self._task.add_done_callback(self._ended)

    def look(self) -> None:
        """Look at everything now: somebody wants what may not be known yet."""
        self._newcomers = True
        self._poke.set()

    def drop(self, bell: Bell) -> None:
        """A viewer left; the last one ends the loop."""
        self._bells.discard(bell)
        if not self._bells and self._task is not None:
            self._task.cancel()
            self._task = None
            self._forget()

    def entries_seen(self, exchange: str, entries: Sequence[RawEntry]) -> None:
        """New entries came by: a transition moves its card at once, and an offline card learns its last known."""
        known = self.known.get(exchange)
        if known is None and exchange != self._asking:
            return
        if known is None or known.raw.value is None or exchange == self._asking:
            telling = next((entry for raw in reversed(entries) if (entry := raw.read()).state), None)
            if telling is None:
                return
            self._heard[exchange] = telling
        elif not any(entry.is_transition for entry in entries):
            return
        self._due.add(exchange)
        self._poke.set()

    def store_frame(self) -> str:
        """Whether Redis can be read, as of the last look."""
        return Store(available=not self.away, problem=self.away).model_dump_json()

    def after(self, audience: Audience, change: int, *, together: bool) -> Message:
        """What viewers who were told up to a change are told next. Those in lockstep get the same object.

        `together`: one `statuses` frame, heartbeats as such; else a `status` frame each.
        """
        key = (audience, change, together)
        message = self._messages.get(key)
        if message is None:
            message = self._together(audience, change) if together else self._singly(audience, change)
            self._messages[key] = message
            if len(self._messages) > _CACHED_MESSAGES:
                del self._messages[next(iter(self._messages))]
        return message

    async def close(self) -> None:
        """End the loop."""
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait({task})

    def _news(self, audience: Audience, change: int) -> Iterator[tuple[int, _Known, bool]]:
        """(number, exchange, whether all of it is news) behind a change. What changed again is told there."""
        exchanges = audience.exchanges
        for at in range(bisect_right(self._numbers, change), len(self._numbers)):
            number, name = self._numbers[at], self._names[at]
            known = self.known.get(name)
            if known is None or name not in exchanges:
                continue
            if number == known.whole:
                yield number, known, True
            elif number == known.change and known.whole <= change:
                yield number, known, False  # behind a whole status of the same message it would say nothing new

    def _together(self, audience: Audience, change: int) -> Message:
        now = time.monotonic()
        frames: list[str] = []
        beats: list[str] = []
        size = 0
        upto = self.change
        reached = change
        for number, known, whole in self._news(audience, change):
            text = known.frame(now) if whole else known.beat(now)
            size += len(text.encode())
            if size > MESSAGE_BYTES and (frames or beats):
                upto = reached
                break
            (frames if whole else beats).append(text)
            reached = number
        if not frames and not beats:
            return Message((), upto, 0)
        text = f'{{"type":"statuses","upto":{upto},"frames":[{",".join(frames)}],"beats":[{",".join(beats)}]}}'
        return Message((text,), upto, len(text.encode()))

    def _singly(self, audience: Audience, change: int) -> Message:
        now = time.monotonic()
        texts = tuple(known.frame(now) for _, known, _ in self._news(audience, change))
        return Message(texts, self.change, sum(len(text) for text in texts))

    def _note(self, known: _Known, *, whole: bool) -> None:
        """A change that viewers are told from now on."""
        self.change += 1
        known.change = self.change
        if whole:
            known.whole = self.change
        self._numbers.append(self.change)
        self._names.append(known.exchange)
        if len(self._numbers) > 4 * len(self.known) + 1000:
            self._compact()

    def _compact(self) -> None:
        """Leave out of the log what has changed again: at most two changes per exchange stay."""
        kept = [
            (number, name)
            for number, name in zip(self._numbers, self._names, strict=True)
            if (known := self.known.get(name)) is not None and number in (known.whole, known.change)
        ]
        self._numbers, self._names = [number for number, _ in kept], [name for _, name in kept]

    async def _run(self) -> None:
        while True:
            self._poke.clear()
            began = time.monotonic()
            newcomers, self._newcomers = self._newcomers, False
            everything = newcomers or began - self.tried_at >= PERIOD_SECONDS - FLOOR_SECONDS
            due, self._due = self._due, set()
            self._want()
            try:
                names = self._wanted if everything else [name for name in due if name in self._wanted]
                changed = await self._look(names)
                if everything:
                    self.looked_at = began
                if self.away:
                    log.warning("statuses are read again")
                    self.away = ""
                    newcomers = True
            except StoreUnavailable as error:
                changed = set()
                self._due |= due
                if not self.away:
                    log.warning("statuses cannot be read: %s", error)
                    newcomers = True
                self.away = str(error)
            if everything or self.away:
                self.tried_at = began
            self._messages.clear()
            self._ring(changed, everybody=newcomers)
            await asyncio.sleep(FLOOR_SECONDS)
            try:
                async with asyncio.timeout(PERIOD_SECONDS - FLOOR_SECONDS):
                    await self._poke.wait()
            except TimeoutError:
                continue

    def _want(self) -> None:
        """What all audiences want together, found anew only when one came or went."""
        if self._wanted_version != self._audiences.version:
            self._wanted_version = self._audiences.version
            self._wanted = {name: number for one in self._audiences for name, number in one.exchanges.items()}
            self._wanted_ids = list(self._wanted.values())
            for name in [name for name in self.known if name not in self._wanted]:
                del self.known[name]
                self._held.discard(name)
                self._heard.pop(name, None)
                self._stale.discard(name)

    def _ring(self, changed: set[str], *, everybody: bool) -> None:
        for audience in self._audiences:
            if everybody or not changed.isdisjoint(audience.exchanges):
                audience.ring()

    async def _look(self, names: Iterable[str]) -> set[str]:
        """Look at exchanges; the names of those of which viewers have to be told."""
        if names is self._wanted:
            ids = self._wanted_ids
        else:
            names = list(names)
            ids = [self._wanted[name] for name in names]
        if not ids:
            return self._release(set(), time.monotonic())
        found = await asyncio.to_thread(self._glances.look, ids)
        seen_at = time.monotonic()
        # Of those that were looked at alone: what came by meanwhile for another waits for the look at that one.
        looked = set(names)
        heard = {name: self._heard.pop(name) for name in looked & self._heard.keys()}
        stale = looked & self._stale
        self._stale -= stale
        news: list[tuple[str, Glance]] = []
        for name, glance in zip(names, found, strict=True):
            known = self.known.get(name)
            if known is None or name in heard or name in stale or _differs(known, glance, seen_at):
                news.append((name, glance))
        changed: set[str] = set()
        try:
            for name, glance in news:
                known = self.known.get(name)
                raw = raw_status(glance)
                last_known = await self._last_known(name, known, raw, heard.get(name), ask_again=name in stale)
                now = _Known(name, glance, raw, raw.reading, seen_at, last_known)
                if known is not None and known.last_known == last_known and not _differs(known, glance, seen_at):
                    continue
                self.known[name] = now
                if _is_heartbeat(known, now):
                    assert known is not None
                    now.change, now.whole = known.change, known.whole
                    if not self._hold(now, seen_at):
                        self._note(now, whole=False)
                        changed.add(name)
                else:
                    self._held.discard(name)
                    self._note(now, whole=True)
                    changed.add(name)
        except StoreUnavailable:
            self._heard, self._stale = heard | self._heard, stale | self._stale
            raise
        return self._release(changed, seen_at)

    def _hold(self, known: _Known, now: float) -> bool:
        """Let a heartbeat wait for others, unless the next look could come too late for it."""
        hold = min(HOLD_SECONDS, (known.raw.ttl_ms or 0) / 1000 / _HOLD_SHARE)
        if hold < PERIOD_SECONDS:
            self._held.discard(known.exchange)
            return False
        self._held.add(known.exchange)
        self._held_until = min(self._held_until, now + hold)
        return True

    def _release(self, changed: set[str], now: float) -> set[str]:
        """Heartbeats travel when the first has waited long enough, or with whatever is told anyway."""
        if self._held and (now >= self._held_until or changed):
            changed |= self._held
            for name in self._held:
                self._note(self.known[name], whole=False)
            self._held.clear()
        if not self._held:
            self._held_until = math.inf
        return changed

    async def _last_known(
        self, name: str, known: _Known | None, raw: RawStatus, heard: StreamEntry | None, *, ask_again: bool
    ) -> StreamEntry | None:
        """What to show while the exchange is offline. Read once when it goes, then kept up to date by what comes by.

        The notice of a death may be about an owner that had a successor before it was written: then it is read again.
        """
        if raw.value is not None:
            return None
        if heard is not None and not heard.is_death:
            return heard
        if known is not None and known.raw.value is None and heard is None and not ask_again:
            return known.last_known
        self._asking = name
        try:
            last_known = (await _read_last_known(self._client, name))[0]
            self._unasked.discard(name)
            return last_known
        except ArchiveAway as error:
            # The stream tells nothing and the archive cannot be asked: what was known stays, and it is asked again.
            if name not in self._unasked:
                log.warning("the last known state of %s has to wait: %s", name, error)
            self._unasked.add(name)
            self._stale.add(name)
            return known.last_known if known else None
        finally:
            self._asking = ""

    def _forget(self) -> None:
        self.known.clear()
        self._numbers.clear()
        self._names.clear()
        self._heard.clear()
        self._asking = ""
        self._stale.clear()
        self._held.clear()
        self._due.clear()
        self._messages.clear()
        self._held_until = math.inf

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the board failed and starts anew", exc_info=error)
            if self._bells:
                self._task = asyncio.create_task(self._run(), name="board")
                self._task.add_done_callback(self._ended)


def _differs(known: _Known, glance: Glance, now: float) -> bool:
    """Whether viewers must be told: another value or owner state, or a TTL that rose, which only a heartbeat does."""
    value, ttl_ms, state = glance
    old: Any = known.glance
    if old[0] != value or old[2] != state:
        return True
    if old[1] < 0 or ttl_ms < 0:
        return bool(old[1] != ttl_ms)
    return bool(ttl_ms > old[1] - (now - known.seen_at) * 1000 + RISE_MILLISECONDS)
