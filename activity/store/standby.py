"""The standbys of an exchange: workers that wait for it, each with a freshness of its own by Redis' clock.

All functions raise StoreUnavailable on Redis trouble.
"""

from dataclasses import dataclass
from typing import Any, Final

from activity.store.client import AsyncClient, SyncClient, redis_errors
from activity.store.ownership import script
from activity.wire.keys import standbys_key, standbys_until_key
from activity.wire.standby import STANDBY_INTERVALS, StandbyStatus, read_standby

_BEAT: Final = script("standby_beat")
_LEAVE: Final = script("standby_leave")
_READ: Final = script("standby_read")


@dataclass(frozen=True, slots=True)
class StandbyView:
    """A standby that is alive, and the milliseconds after which it counts as gone unless it beats."""

    status: StandbyStatus
    left_ms: int

    @property
    def age_ms(self) -> int:
        """Milliseconds since its last beat, by Redis' clock."""
        return max(0, STANDBY_INTERVALS * self.status.heartbeatSeconds * 1000 - self.left_ms)


def _keys(exchange_id: int) -> tuple[str, str]:
    return standbys_key(exchange_id), standbys_until_key(exchange_id)


async def beat_pool(client: AsyncClient, keys: tuple[str, str], member: str, payload: str, interval: int) -> int:
    """Say that a member of a pool is alive for three of its intervals. The number of members that are."""
    with redis_errors():
        reply: Any = await client.eval(_BEAT, 2, *keys, member, payload, STANDBY_INTERVALS * interval * 1000)
    return int(reply)


async def leave_pool(client: AsyncClient, keys: tuple[str, str], member: str) -> None:
    """It is no member any more."""
    with redis_errors():
        reply: Any = client.eval(_LEAVE, 2, *keys, member)
        await reply


def read_pool(client: SyncClient, keys: tuple[str, str]) -> list[tuple[bytes, int]]:
    """The members that are alive: what each says of itself, and the milliseconds that it has left."""
    with redis_errors():
        reply: Any = client.eval(_READ, 2, *keys)
    return [(payload, int(left)) for payload, left in zip(reply[::2], reply[1::2], strict=True)]


async def beat_standby(client: AsyncClient, status: StandbyStatus) -> int:
    """Say that this standby is alive. The number of standbys that are."""
    keys = _keys(status.exchangeId)
    return await beat_pool(client, keys, status.instanceId, status.model_dump_json(), status.heartbeatSeconds)


async def remove_standby(client: AsyncClient, exchange_id: int, instance_id: str) -> None:
    """It ends, or has become the owner."""
    await leave_pool(client, _keys(exchange_id), instance_id)


def read_standbys(client: SyncClient, exchange_id: int) -> list[StandbyView]:
    """The standbys that are alive, the one that waits longest first."""
    views = []
    for payload, left in read_pool(client, _keys(exchange_id)):
        status = read_standby(payload)
        if status is not None:  # another maker's standby that cannot be read cannot be told apart from a broken one
            views.append(StandbyView(status, left))
    return sorted(views, key=lambda view: (view.status.registeredAt, view.status.instanceId))
