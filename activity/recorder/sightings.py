"""What a watcher of deaths remembers of each exchange, and the death that is told of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from activity.recorder.notices import Death, event_of_epoch, event_of_older_writer
from activity.store.answers import Lost, OwnershipRecord, Unreported
from activity.store.watch import Server, Sight
from activity.wire.status import read_status

#: The interval of an owner whose status tells none, in seconds.
_INTERVAL: Final = 15


@dataclass(frozen=True, slots=True)
class DeathOptions:
    """All in seconds. `settle` None: the owner's own heartbeat interval."""

    period: float = 1.0
    settle: float | None = None
    reset_wait: float = 60.0
    unchanged: float = 60.0
    many: int = 3


@dataclass(slots=True)
class Alive:
    """What this watcher saw last of a status. `*_at` by its own clock, `changed_ms` by Redis'."""

    value: bytes
    epoch: int
    interval: int
    changed_at: float
    changed_ms: int
    seen_at: float
    ttl_ms: int | None
    told: bool = False

    @property
    def gone_ms(self) -> int:
        """When its key ran out, as far as this watcher can tell, by Redis' clock."""
        return self.changed_ms + int((self.seen_at - self.changed_at) * 1000) + (self.ttl_ms or 0)


def seen(sight: Sight, value: bytes, now: float, server: Server) -> Alive:
    """A status that is new to this watcher."""
    status = read_status(value).status
    epoch, interval = (status.epoch or 0, status.interval) if status else (0, _INTERVAL)
    return Alive(value, epoch, interval, now, server.now_ms, now, sight.ttl_ms)


@dataclass(slots=True)
class Wait:
    """Nothing is declared before `until`.

    `certain` are the exchanges whose Redis itself changed: all of them, on a cluster those of one shard. Of the others
    it depends on how many were missing. `since_ms` is when it began, by the clock of each exchange's Redis.
    """

    cause: str
    certain: set[int]
    since_ms: dict[int, int]
    until: float
    missing: set[int] = field(default_factory=set)

    def fresh_deaths(self, sight: Sight) -> list[Unreported]:
        """Deaths whose successors came while nothing is declared."""
        since = self.since_ms.get(sight.record.exchange_id)
        return [] if since is None else [dead for dead in sight.record.unreported if dead.noticed_ms >= since]


def interval_of(payload: bytes) -> int:
    """Seconds between the heartbeats of whoever wrote this status."""
    status = read_status(payload).status
    return status.interval if status else _INTERVAL


def changed(before: dict[int, Server], now: dict[int, Server]) -> tuple[str, set[int]]:
    """What happened to Redis since the last look, empty for nothing, and to which exchanges."""
    known = [i for i in now if i in before]
    if moved := {i for i in known if now[i].run_id != before[i].run_id}:
        return "Redis was restarted, or another server took over", moved
    if moved := {i for i in known if now[i].replication_id != before[i].replication_id}:
        return "Redis failed over", moved
    return "", set()


def teller(servers: dict[int, Server], exchange_ids: Sequence[int]) -> Server:
    """The one server, of those of these exchanges, under whose run_id all watchers agree on a reset."""
    return min((servers[i] for i in exchange_ids), key=lambda server: server.run_id)


# --- deaths ---


def declared(name: str, exchange_id: int, lost: Lost, server: Server) -> Death:
    """One that this watcher has just declared."""
    event, gone_ms = event_of_epoch(exchange_id, lost.epoch), server.now_ms - lost.late_ms
    return Death(
        exchange_id, name, event, lost.epoch, lost.payload, lost.beat_ms, gone_ms, server.now_ms, "its lease ran out"
    )


def pending(name: str, record: OwnershipRecord, server: Server) -> Death:
    """One that some watcher has declared and not written down."""
    event = event_of_epoch(record.exchange_id, record.epoch)
    return Death(
        record.exchange_id, name, event, record.epoch, record.payload, record.beat_ms, record.until_ms, server.now_ms,
        "its lease ran out",
    )  # fmt: skip


def succeeded(name: str, exchange_id: int, dead: Unreported) -> Death:
    """One whose successor came before any watcher."""
    event = event_of_epoch(exchange_id, dead.epoch)
    why = "another instance found its place empty and took it"
    return Death(
        exchange_id, name, event, dead.epoch, dead.payload, dead.beat_ms, dead.noticed_ms, dead.noticed_ms, why
    )


def remembered(name: str, exchange_id: int, known: Alive, gone_ms: int, server: Server, why: str) -> Death:
    """One of which only this watcher's memory tells."""
    event = event_of_epoch(exchange_id, known.epoch) if known.epoch else event_of_older_writer(exchange_id, known.value)
    return Death(exchange_id, name, event, known.epoch, known.value, known.changed_ms, gone_ms, server.now_ms, why)
