"""Every owner that ends without a release is written down once, in its exchange's stream, however many watchers run.

What counts as a death, in this order:

* its lease ran out while the ownership hash says held: *declare lost*, which one watcher wins;
* a successor claimed before a watcher saw it: the hash keeps such deaths (``lost:<epoch>``), and of those beyond the
  hundredth the number, which is written down as one entry;
* an older writer, or an owner whose hash was lost with Redis' data: this watcher saw it alive, and its key ran out
  (a key that goes before its time was deleted, which is how older writers sign off);
* the key is there but has not changed for 60 s by this watcher's clock: nobody writes it any more.

The notice carries an eventId that every watcher computes alike and is looked for before it is appended. A watcher that
is killed between two steps leaves ``lost_pending`` or ``lost:<epoch>`` behind, which any watcher finishes.

A death is settled for one heartbeat interval of its owner, so that owners that vanish together are seen together. When
more than half of the network, and at least three, are missing at once, or Redis (on a cluster: the primary of a shard)
is another one than before, or this watcher had lost sight of it, nothing is declared for 60 s. Then one entry says that
the registry was reset and names everybody. Who is back by then has not died; who is not is dead, and is written down
like any other.

An exchange of which a key is damaged (it is of another type, its stream gives out no ids any more) is said once and
tried at every look; the others go on.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from activity.recorder.deathbook import DeathBook
from activity.recorder.sightings import (
    Alive,
    DeathOptions,
    Wait,
    changed,
    declared,
    interval_of,
    pending,
    remembered,
    seen,
    succeeded,
    teller,
)
from activity.store.answers import Lost, Unreported
from activity.store.client import AsyncClient, KeyUnreadable, StoreUnavailable
from activity.store.ownership import Ownership
from activity.store.watch import Server, Sight, look, newest_state, read_servers

log = logging.getLogger(__name__)

#: Milliseconds before its time at which a key that goes was deleted, and did not run out between two looks.
_SIGN_OFF_MILLISECONDS: Final = 1_500
#: Heartbeats that a writer may miss while its key stays, before it counts as unchanged. 4 x 15 s are the 60 s.
_UNCHANGED_INTERVALS: Final = 4

Exchanges = Callable[[], Awaitable[Sequence[tuple[int, str]]]]


class DeathWatch:
    """One watcher. `run` is its task; it ends only by being cancelled, or with an error that is a mistake of ours."""

    def __init__(
        self,
        client: AsyncClient,
        exchanges: Exchanges,
        *,
        host: str,
        options: DeathOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`exchanges` gives (id, name) of all exchanges; `host` names this machine in the notice of a reset."""
        self._client = client
        self._exchanges = exchanges
        self._book = DeathBook(client, host)
        self._options = options or DeathOptions()
        self._clock = clock
        #: The Redis that answered for each exchange at the last look; None before the first. On a cluster, its shard.
        self._servers: dict[int, Server] | None = None
        self._alive: dict[int, Alive] = {}
        self._wait: Wait | None = None
        #: (exchange, epoch) that was missing when a wait ended: it is dead, whoever else is missing.
        self._judged: set[tuple[int, int]] = set()
        self._away = False
        self._names: dict[int, str] = {}
        #: Exchanges of which a key is damaged: those that were said, and those that this look has met.
        self._damaged: set[int] = set()
        self._met: set[int] = set()

    async def run(self) -> None:
        """Look once a period, for ever."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                if not self._away:
                    log.warning("deaths are not watched: %s", error)
                self._away = True
            await asyncio.sleep(self._options.period)

    async def look(self) -> None:
        """Look at everything once and act on it. Raises StoreUnavailable; then the next look goes on."""
        self._names = dict(await self._exchanges())
        ids = list(self._names)
        servers = await read_servers(self._client, ids)
        looked = dict(zip(ids, await look(self._client, ids), strict=True))
        sights = {i: sight for i, sight in looked.items() if not sight.problem}
        now = self._clock()
        self._met = set()
        for exchange_id in looked.keys() - sights.keys():
            self._say_damaged(exchange_id, looked[exchange_id].problem)
        self._notice_changes(servers, now)
        self._servers, self._away = servers, False
        await self._book.finish_resets(servers.values())
        await self._finish_pending(sights, servers)
        missing = await self._missing(sights, servers, now)
        if self._wait is None and self._are_many(missing, sights):
            self._begin_wait(f"{len(missing)} instances vanished at once", servers, now)
        if (wait := self._wait) is not None:
            wait.missing |= missing
            wait.missing |= {i for i, s in sights.items() if wait.fresh_deaths(s)}
            if now >= wait.until:
                await self._end_wait(wait, missing, sights, servers)
        else:
            await self._declare(missing, sights, servers)
        await self._look_for_unchanged(sights, servers, now)
        self._say_repaired()

    # --- one exchange's trouble ---

    @contextmanager
    def _by_itself(self, exchange_id: int) -> Iterator[None]:
        """What is done about one exchange: a damaged key of it keeps nobody from the others."""
        try:
            yield
        except KeyUnreadable as error:
            self._say_damaged(exchange_id, f"the stream or the ownership: {error}")

    def _say_damaged(self, exchange_id: int, problem: str) -> None:
        if exchange_id not in self._damaged:
            log.warning(
                "%s: its deaths are not written down, a key of it is damaged; `manage.py doctor` says what to do: %s",
                self._names[exchange_id],
                problem,
            )
        self._damaged.add(exchange_id)
        self._met.add(exchange_id)

    def _say_repaired(self) -> None:
        if self._wait is not None:  # nothing was tried to be written
            return
        for exchange_id in (self._damaged - self._met) & self._names.keys():
            log.warning("%s: its deaths are written down again", self._names[exchange_id])
        self._damaged &= self._met

    # --- what was seen ---

    def _notice_changes(self, servers: dict[int, Server], now: float) -> None:
        if self._servers is None:
            self._begin_wait("this recorder has just started", servers, now)
            return
        cause, certain = changed(self._servers, servers)
        if certain:
            self._begin_wait(cause, servers, now, certain)
        elif self._away:
            log.warning("deaths are watched again")
            self._begin_wait("this recorder had lost its connection to Redis", servers, now)

    def _begin_wait(
        self, cause: str, servers: dict[int, Server], now: float, certain: frozenset[int] | set[int] = frozenset()
    ) -> None:
        until = now + self._options.reset_wait
        if self._wait is not None:  # the reason that weighs more stays, the wait begins anew
            if certain and cause != self._wait.cause:
                log.info("no death is declared for another %g s: %s", self._options.reset_wait, cause)
            self._wait.cause = cause if certain else self._wait.cause
            self._wait.certain |= certain
            self._wait.until = until
            return
        self._wait = Wait(cause, set(certain), {i: server.now_ms for i, server in servers.items()}, until)
        log.info("no death is declared for %g s: %s", self._options.reset_wait, cause)

    def _are_many(self, missing: set[int], sights: dict[int, Sight]) -> bool:
        missing = {i for i in missing if (i, self._epoch_of(i, sights[i])) not in self._judged}
        present = sum(sight.value is not None for sight in sights.values())
        return len(missing) >= self._options.many and len(missing) * 2 > len(missing) + present

    def _epoch_of(self, exchange_id: int, sight: Sight) -> int:
        known = self._alive.get(exchange_id)
        return sight.record.epoch or (known.epoch if known else 0)

    async def _missing(self, sights: dict[int, Sight], servers: dict[int, Server], now: float) -> set[int]:
        missing: set[int] = set()
        for exchange_id, sight in sights.items():
            with self._by_itself(exchange_id):
                if await self._is_missing(exchange_id, sight, now, servers[exchange_id]):
                    missing.add(exchange_id)
        return missing

    async def _is_missing(self, exchange_id: int, sight: Sight, now: float, server: Server) -> bool:
        """Whether somebody should be there. Keeps what this watcher remembers of the exchange up to date."""
        known = self._alive.get(exchange_id)
        if sight.value is not None:
            if known is None or known.value != sight.value:
                known = self._alive[exchange_id] = seen(sight, sight.value, now, server)
            known.seen_at, known.ttl_ms = now, sight.ttl_ms
            return False
        if sight.record.state == "held":
            return True
        if known is None:
            return False
        if known.epoch and sight.record.epoch >= known.epoch:
            del self._alive[exchange_id]  # released, declared, or succeeded: the hash tells
            return False
        if not known.epoch and await self._signed_off(exchange_id, known, now):
            del self._alive[exchange_id]
            return False
        return True

    async def _signed_off(self, exchange_id: int, known: Alive, now: float) -> bool:
        """Whether an older writer has deleted its key, or said that it stopped, instead of letting it run out."""
        if known.ttl_ms is None or (now - known.seen_at) * 1000 < known.ttl_ms - _SIGN_OFF_MILLISECONDS:
            return True
        newest = await newest_state(self._client, self._names[exchange_id])
        return newest is not None and newest.kind == "state_transition" and newest.state in ("idle", "stopped")

    # --- what is done about it ---

    async def _declare(self, missing: set[int], sights: dict[int, Sight], servers: dict[int, Server]) -> None:
        for exchange_id in sorted(missing):
            with self._by_itself(exchange_id):
                await self._declare_one(exchange_id, sights[exchange_id], servers[exchange_id])
        for exchange_id, sight in sights.items():
            with self._by_itself(exchange_id):
                for dead in sight.record.unreported:
                    if servers[exchange_id].now_ms - dead.noticed_ms >= self._settle_ms(interval_of(dead.payload)):
                        await self._write_unreported(exchange_id, dead)
                if sight.record.lost_uncounted:
                    await self._book.write_uncounted(exchange_id, self._names[exchange_id])

    async def _declare_one(self, exchange_id: int, sight: Sight, server: Server) -> None:
        known = self._alive.get(exchange_id)
        if sight.record.state == "held":
            if self._settled(exchange_id, sight, server):
                await self._declare_lost(exchange_id, sight.record.epoch, server)
        elif known is not None:
            judged = (exchange_id, known.epoch) in self._judged
            if judged or server.now_ms - known.gone_ms >= self._settle_ms(known.interval):
                why = "its key ran out" if not known.epoch else "its key and its ownership are gone from Redis"
                await self._book.write(
                    remembered(self._names[exchange_id], exchange_id, known, known.gone_ms, server, why)
                )
                self._alive.pop(exchange_id, None)

    def _settled(self, exchange_id: int, sight: Sight, server: Server) -> bool:
        if (exchange_id, sight.record.epoch) in self._judged:
            return True
        return server.now_ms - sight.record.until_ms >= self._settle_ms(interval_of(sight.record.payload))

    def _settle_ms(self, interval: int) -> float:
        return 1000 * (interval if self._options.settle is None else self._options.settle)

    async def _declare_lost(self, exchange_id: int, epoch: int, server: Server) -> None:
        ownership = Ownership(self._client, exchange_id)
        answer = await ownership.declare_lost(epoch)
        if not isinstance(answer, Lost):
            if answer.reason == "early":  # deleted before its time: asked again until then
                return
            log.info("%s is not lost after all: %s", self._names[exchange_id], answer.reason)
            return
        await self._book.write(declared(self._names[exchange_id], exchange_id, answer, server))
        await ownership.mark_lost_logged(epoch)
        self._alive.pop(exchange_id, None)
        self._judged.discard((exchange_id, epoch))

    async def _finish_pending(self, sights: dict[int, Sight], servers: dict[int, Server]) -> None:
        """What another watcher, or this one before it was killed, has declared and not yet written down."""
        for exchange_id, sight in sights.items():
            record = sight.record
            if record.state == "lost_pending":
                with self._by_itself(exchange_id):
                    await self._book.write(pending(self._names[exchange_id], record, servers[exchange_id]))
                    await Ownership(self._client, exchange_id).mark_lost_logged(record.epoch)

    async def _write_unreported(self, exchange_id: int, dead: Unreported) -> None:
        await self._book.write(succeeded(self._names[exchange_id], exchange_id, dead))
        await Ownership(self._client, exchange_id).mark_lost_logged(dead.epoch)

    async def _look_for_unchanged(self, sights: dict[int, Sight], servers: dict[int, Server], now: float) -> None:
        for exchange_id, known in list(self._alive.items()):
            limit = max(self._options.unchanged, _UNCHANGED_INTERVALS * known.interval if known.interval > 15 else 0)
            idle = known.seen_at - known.changed_at
            present = exchange_id in sights and sights[exchange_id].value is not None
            if present and self._wait is None and not known.told and idle >= limit:
                why = f"its status has not changed for {idle:.0f} s, though its key is still there"
                gone_ms, server = known.changed_ms + int(limit * 1000), servers[exchange_id]
                with self._by_itself(exchange_id):
                    await self._book.write(
                        remembered(self._names[exchange_id], exchange_id, known, gone_ms, server, why)
                    )
                    known.told = True
            elif exchange_id not in self._names:
                del self._alive[exchange_id]

    # --- a registry that was reset ---

    async def _end_wait(
        self, wait: Wait, missing: set[int], sights: dict[int, Sight], servers: dict[int, Server]
    ) -> None:
        affected = {i for i in wait.missing if i in sights}
        present = sum(sight.value is not None for i, sight in sights.items() if i not in affected)
        if not (len(affected) >= self._options.many and len(affected) * 2 > len(affected) + present):
            affected &= wait.certain  # the others are no reset: who is not back is dead, who was succeeded has died
        if affected:
            back = [(self._names[i], i) for i in affected - missing]
            gone = [(self._names[i], i) for i in affected & missing]
            shards = sorted(wait.certain & sights.keys()) or list(sights)
            try:
                await self._book.report_reset(wait.cause, back, gone, teller(servers, shards))
            except KeyUnreadable as error:  # no stream of theirs takes it: their deaths are tried one by one
                log.warning("the reset of the registry cannot be written down: %s", error)
            else:
                for exchange_id in affected - missing:
                    with self._by_itself(exchange_id):
                        for dead in wait.fresh_deaths(sights[exchange_id]):
                            await Ownership(self._client, exchange_id).mark_lost_logged(dead.epoch)
        self._judged = {(i, self._epoch_of(i, sights[i])) for i in missing}
        self._wait = None
        log.info("deaths are declared again")
