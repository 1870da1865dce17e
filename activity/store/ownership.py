"""Who holds an exchange: the status key and the ownership hash beside it, changed by Lua scripts only.

Each script is one file in `lua/`, with its KEYS and ARGV documented there. *takeover* and *declare lost* join them
here, under the same guard.
"""

from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from activity.store.client import AsyncClient, redis_errors
from activity.wire.keys import ownership_key, status_key
from activity.wire.status import InstanceStatus


@dataclass(frozen=True, slots=True)
class Claimed:
    """The exchange is ours under `epoch`; `payload` is what the key now holds."""

    epoch: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody holds the exchange: the value as found, and the milliseconds its key has left (-1: it has no TTL)."""

    holder: bytes
    ttl_ms: int


@dataclass(frozen=True, slots=True)
class Held:
    """The key was ours, and the change is made."""


@dataclass(frozen=True, slots=True)
class Missing:
    """The key is gone; nothing was written."""


@dataclass(frozen=True, slots=True)
class Stolen:
    """Another instance or a newer epoch holds the key; nothing was written."""

    holder: bytes


@dataclass(frozen=True, slots=True)
class Legacy:
    """A writer without an instanceId holds the key; nothing was written, and nothing can be enforced against it."""

    holder: bytes


Guarded = Held | Missing | Stolen | Legacy


def _script(name: str, *, guarded: bool = False) -> str:
    folder = resources.files("activity.store") / "lua"
    text = (folder / f"{name}.lua").read_text("utf-8")
    return (folder / "_identity.lua").read_text("utf-8") + text if guarded else text


_CLAIM: Final = _script("claim")
_HEARTBEAT: Final = _script("heartbeat", guarded=True)
_UPDATE: Final = _script("update", guarded=True)
_RELEASE: Final = _script("release", guarded=True)


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
        self._keys = (status_key(exchange_id), ownership_key(exchange_id))

    async def claim(
        self, status: InstanceStatus, *, ttl_seconds: int, epoch_floor: int = 0, replace: bytes | None = None
    ) -> Claimed | Busy:
        """Take the exchange if nobody holds it, or if it still holds exactly the value `replace`.

        The epoch in `status` is ignored: the script gives a new one, above `epoch_floor`, and writes it.
        """
        head, tail = _around_epoch(status)
        reply = await self._eval(_CLAIM, ttl_seconds, head, tail, epoch_floor, status.instanceId, replace or b"")
        if reply[0] == b"CLAIMED":
            return Claimed(int(reply[1]), bytes(reply[2]))
        return Busy(bytes(reply[1]), int(reply[2]))

    async def heartbeat(self, status: InstanceStatus, *, ttl_seconds: int) -> Guarded:
        """Write `status` and bring the TTL back to `ttl_seconds`."""
        return await self._write(_HEARTBEAT, status, ttl_seconds)

    async def update(self, status: InstanceStatus, *, ttl_seconds: int) -> Guarded:
        """Write `status` and keep the TTL. `ttl_seconds` is only used where the key has lost its TTL."""
        return await self._write(_UPDATE, status, ttl_seconds)

    async def release(self, status: InstanceStatus) -> Guarded:
        """Give the exchange back."""
        return _guarded(await self._eval(_RELEASE, status.instanceId, status.epoch))

    async def _write(self, script: str, status: InstanceStatus, ttl_seconds: int) -> Guarded:
        payload = status.model_dump_json()
        return _guarded(await self._eval(script, ttl_seconds, payload, status.instanceId, status.epoch))

    async def _eval(self, script: str, *arguments: str | bytes | int) -> list[Any]:
        with redis_errors():
            reply: list[Any] = await self._client.eval(script, 2, *self._keys, *arguments)
        return reply


def _guarded(reply: list[Any]) -> Guarded:
    match reply[0]:
        case b"HELD":
            return Held()
        case b"MISSING":
            return Missing()
        case b"STOLEN":
            return Stolen(bytes(reply[1]))
        case _:
            return Legacy(bytes(reply[1]))
