"""Who holds an exchange: the status key and the ownership hash beside it, changed by Lua scripts only.

Each script is one file in `lua/`, with its KEYS and ARGV documented there; `lua/_identity.lua` tells the fields of the
hash. The watchers of deaths use `read_ownership`, `Ownership.declare_lost` and `Ownership.mark_lost_logged`.
"""

from collections.abc import Sequence
from importlib import resources
from typing import Any, Final

from activity.store.answers import (
    Asked,
    Busy,
    Claimed,
    Conflict,
    Delayed,
    Guarded,
    Handed,
    Held,
    Legacy,
    Lost,
    Missing,
    NoStandby,
    NotLost,
    OwnershipRecord,
    Stolen,
    Taken,
    Uncounted,
    Unreported,
    Vacant,
    read_guarded,
    read_record,
)
from activity.store.client import AsyncClient, SyncClient, redis_errors
from activity.store.pipelines import read_many, read_many_now, whole
from activity.wire.keys import ownership_key, standbys_until_key, status_key
from activity.wire.status import InstanceStatus

#: Hashes read in one round trip.
_PIPELINE: Final = 500


def script(name: str) -> str:
    """The text of one script, with what all of them share before it."""
    folder = resources.files("activity.store") / "lua"
    return (folder / "_identity.lua").read_text("utf-8") + (folder / f"{name}.lua").read_text("utf-8")


_CLAIM: Final = script("claim")
_HEARTBEAT: Final = script("heartbeat")
_UPDATE: Final = script("update")
_RELEASE: Final = script("release")
_TAKEOVER: Final = script("takeover")
_IDENTIFY: Final = script("identify")
_DECLARE_LOST: Final = script("declare_lost")
_MARK_LOST_LOGGED: Final = script("mark_lost_logged")
_DECLARE_UNCOUNTED: Final = script("declare_uncounted")
_MARK_UNCOUNTED_TOLD: Final = script("mark_uncounted_told")
_REQUEST_HANDOVER: Final = script("request_handover")


def _around_epoch(status: InstanceStatus) -> tuple[str, str]:
    """The payload before and after the epoch's digits: the script joins them, since the epoch is Redis' to give."""
    text = status.model_copy(update={"epoch": 0}).model_dump_json()
    head, mark, tail = text.rpartition('"epoch":0')  # epoch is the last field, so no value can hold a later match
    if not (mark and tail == "}"):
        raise AssertionError("epoch must stay the last field of InstanceStatus")
    return head + '"epoch":', tail


class Ownership:
    """The ownership of one exchange, as one caller sees it. All methods raise StoreUnavailable on Redis trouble."""

    def __init__(self, client: AsyncClient, exchange_id: int) -> None:
        """`client` is a lease client; `exchange_id` is at least 1."""
        self._client = client
        self._id = exchange_id
        self._keys = (status_key(exchange_id), ownership_key(exchange_id))
        self._standbys = standbys_until_key(exchange_id)

    async def claim(
        self,
        status: InstanceStatus,
        *,
        ttl_seconds: int,
        epoch_floor: int = 0,
        replace: bytes | None = None,
        gone: str = "",
    ) -> Claimed | Busy | Handed | Delayed:
        """Take the exchange if nobody holds it, or if it still holds exactly the value `replace`.

        The epoch in `status` is ignored: the script gives a new one, above `epoch_floor`, and writes it. `gone` is an
        owner that the caller knows to have ended: its time need not run out first.
        """
        head, tail = _around_epoch(status)
        reply = await self._eval(_CLAIM, ttl_seconds, head, tail, epoch_floor, status.instanceId, replace or b"", gone)
        match reply[0]:
            case b"CLAIMED":
                return Claimed(int(reply[1]), bytes(reply[2]))
            case b"HANDED":
                return Handed(reply[1].decode("utf-8", errors="replace"), int(reply[2]))
            case b"DELAYED":
                return Delayed(reply[1].decode("utf-8", errors="replace"), int(reply[2]))
            case _:
                return Busy(bytes(reply[1]), int(reply[2]))

    async def takeover(
        self, status: InstanceStatus, *, ttl_seconds: int, shown: str, epoch_floor: int = 0
    ) -> Taken | Conflict | Vacant:
        """Take the exchange from the holder that somebody was shown; `shown` is its token (`identify`)."""
        head, tail = _around_epoch(status)
        reply = await self._eval(_TAKEOVER, ttl_seconds, head, tail, epoch_floor, status.instanceId, shown)
        match reply[0]:
            case b"TAKEN":
                return Taken(int(reply[1]), bytes(reply[2]), int(reply[3]), reply[4] == 1, int(reply[5]))
            case b"CONFLICT":
                return Conflict(bytes(reply[1]), int(reply[2]), reply[3].decode("utf-8", errors="replace"))
            case _:
                return Vacant()

    async def identify(self, holder: bytes) -> str:
        """The token of a status value: what a takeover of exactly this holder carries."""
        with redis_errors():
            reply: Any = await self._client.eval(_IDENTIFY, 1, self._keys[0], holder)
        return str(reply.decode("utf-8", errors="replace"))

    async def heartbeat(self, status: InstanceStatus, *, ttl_seconds: int) -> Guarded:
        """Write `status` and bring the TTL back to `ttl_seconds`."""
        payload = status.model_dump_json()
        reply = await self._eval(
            _HEARTBEAT, ttl_seconds, payload, status.instanceId, status.epoch, more_keys=(self._standbys,)
        )
        return read_guarded(reply)

    async def update(self, status: InstanceStatus, *, ttl_seconds: int) -> Guarded:
        """Write `status` and keep the TTL. `ttl_seconds` is only used where the key has lost its TTL."""
        payload = status.model_dump_json()
        return read_guarded(await self._eval(_UPDATE, ttl_seconds, payload, status.instanceId, status.epoch))

    async def release(self, status: InstanceStatus, *, hand_to: str = "", within_ms: int = 0) -> Guarded:
        """Give the exchange back; with `hand_to`, only that standby may claim it within the next `within_ms`.

        An owner that has lost the key calls it too, when its work has stopped: a successor need not wait any longer.
        """
        return read_guarded(await self._eval(_RELEASE, status.instanceId, status.epoch, hand_to, within_ms))

    async def declare_lost(self, epoch: int) -> Lost | NotLost:
        """Declare the owner of `epoch` dead. Of all callers exactly one ever gets `Lost` for an epoch.

        It then has the death written down (idempotently: it may itself die meanwhile, and another watcher finds the
        hash in state ``lost_pending``) and calls `mark_lost_logged`.
        """
        reply = await self._eval(_DECLARE_LOST, epoch)
        if reply[0] == b"LOST":
            owner = reply[1].decode("utf-8", errors="replace")
            return Lost(epoch, owner, int(reply[2]), int(reply[3]), bytes(reply[4]))
        return NotLost(reply[1].decode("ascii"), int(reply[2]))

    async def mark_lost_logged(self, epoch: int) -> bool:
        """The death of that epoch is written down. False where it did not wait for that. May be repeated."""
        return bool((await self._eval(_MARK_LOST_LOGGED, epoch))[0] == b"MARKED")

    async def declare_uncounted(self) -> Uncounted | None:
        """Take the number of deaths that were only counted; None where there are none.

        The same answer for everybody until one has called `mark_uncounted_told`.
        """
        reply = await self._eval(_DECLARE_UNCOUNTED)
        return Uncounted(int(reply[1]), int(reply[2])) if reply[0] == b"UNCOUNTED" else None

    async def mark_uncounted_told(self, taken_ms: int) -> bool:
        """The number that was taken at that moment is written down. May be repeated."""
        return bool((await self._eval(_MARK_UNCOUNTED_TOLD, taken_ms))[0] == b"MARKED")

    async def request_handover(self, to: str, *, within_ms: int) -> Asked | Vacant | Legacy | NoStandby:
        """Ask the owner to hand the exchange to the standby `to`; it heeds that for `within_ms`."""
        reply = await self._eval(_REQUEST_HANDOVER, to, within_ms, more_keys=(self._standbys,))
        match reply[0]:
            case b"ASKED":
                return Asked(int(reply[1]))
            case b"VACANT":
                return Vacant()
            case b"NO_STANDBY":
                return NoStandby()
            case _:
                return Legacy(bytes(reply[1]))

    async def record(self) -> OwnershipRecord:
        """The ownership hash."""
        return (await read_ownership(self._client, [self._id]))[0]

    async def _eval(self, script: str, *arguments: str | bytes | int, more_keys: tuple[str, ...] = ()) -> list[Any]:
        keys = (*self._keys, *more_keys)
        with redis_errors():
            reply: list[Any] = await self._client.eval(script, len(keys), *keys, *arguments)
        return reply


async def read_ownership(client: AsyncClient, exchange_ids: Sequence[int]) -> list[OwnershipRecord]:
    """The ownership hashes of these exchanges, in their order. Raises StoreUnavailable."""
    records: list[OwnershipRecord] = []
    for start in range(0, len(exchange_ids), _PIPELINE):
        part = exchange_ids[start : start + _PIPELINE]
        found = whole(await read_many(client, [("HGETALL", ownership_key(exchange_id)) for exchange_id in part]))
        records += [read_record(exchange_id, one) for exchange_id, one in zip(part, found, strict=True)]
    return records


def read_ownership_now(client: SyncClient, exchange_ids: Sequence[int]) -> list[OwnershipRecord]:
    """`read_ownership` for threads."""
    records: list[OwnershipRecord] = []
    for start in range(0, len(exchange_ids), _PIPELINE):
        part = exchange_ids[start : start + _PIPELINE]
        found = whole(read_many_now(client, [("HGETALL", ownership_key(exchange_id)) for exchange_id in part]))
        records += [read_record(exchange_id, one) for exchange_id, one in zip(part, found, strict=True)]
    return records


def identify(client: SyncClient, exchange_id: int, holder: bytes) -> str:
    """`Ownership.identify` for threads: the token that a page about this holder carries."""
    with redis_errors():
        reply: Any = client.eval(_IDENTIFY, 1, status_key(exchange_id), holder)
    return str(reply.decode("utf-8", errors="replace"))


__all__ = [
    "Asked",
    "Busy",
    "Claimed",
    "Conflict",
    "Delayed",
    "Guarded",
    "Handed",
    "Held",
    "Legacy",
    "Lost",
    "Missing",
    "NoStandby",
    "NotLost",
    "Ownership",
    "OwnershipRecord",
    "Stolen",
    "Taken",
    "Uncounted",
    "Unreported",
    "Vacant",
    "identify",
    "read_ownership",
    "read_ownership_now",
    "script",
]
