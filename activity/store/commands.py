"""Commands to instances in Redis: sent, taken at most once, reported. All functions raise StoreUnavailable.

Every step is one script, and the hash of reports decides: what is in it was taken, has expired or was given up, and no
instance takes it any more, whatever crashes or comes late.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID, uuid4

from activity.store.client import BLOCK_MILLISECONDS, AsyncClient, SyncClient, redis_errors
from activity.store.ownership import script
from activity.store.standby import beat_pool, leave_pool, read_pool
from activity.wire.commands import EXPIRES_MS, MOST_WAITING, IdleStatus, Report, read_report
from activity.wire.entries import EntryId, decode_fields
from activity.wire.keys import IDLE_KEY, IDLE_UNTIL_KEY, commands_key, taken_key

#: Milliseconds that the keys of an instance's commands live after the last of them: a day.
LIFETIME_MS: Final = 86_400_000
#: Commands read at once.
STEP: Final = 100
_SEND: Final = script("command_send")
_TAKE: Final = script("command_take")
_REPORT: Final = script("command_report")


def _keys(instance_id: str) -> tuple[str, str]:
    return commands_key(instance_id), taken_key(instance_id)


class QueueFull(Exception):
    """The instance has not taken that many commands: it stands still, or somebody's script runs wild."""


def send_command(
    client: SyncClient, instance_id: str, correlation_id: UUID, kind: str, payload: str, issued_by: str
) -> int | None:
    """Append it; one that is known already is not appended again. Raises QueueFull.

    When it was appended, in milliseconds of Redis' clock; None where it was known.
    """
    with redis_errors():
        reply: Any = client.eval(
            *(_SEND, 2, *_keys(instance_id)),
            *(str(correlation_id), kind, payload, issued_by, str(MOST_WAITING), str(LIFETIME_MS)),
        )
    if reply[0] == b"FULL":
        raise QueueFull(f"{int(reply[1])} commands wait for this instance already")
    return EntryId.parse(reply[1].decode("ascii")).milliseconds if reply[0] == b"SENT" else None


def redis_now(client: SyncClient) -> int:
    """Milliseconds since 1970 by Redis' clock, the only one by which commands age."""
    with redis_errors():
        seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def read_reports(client: SyncClient, instance_id: str, correlation_ids: Sequence[UUID]) -> list[Report | None]:
    """What became of these commands, None where nothing did yet."""
    with redis_errors():
        found: Any = client.hmget(taken_key(instance_id), [str(one) for one in correlation_ids])
    return [read_report(raw) for raw in found]


def close_command(
    client: SyncClient, instance_id: str, correlation_id: UUID, progress: Literal["failed", "expired"], text: str
) -> Report | None:
    """Give up on it, where its instance has not said otherwise meanwhile. What is true now."""
    with redis_errors():
        reply: Any = client.eval(
            _REPORT, 2, *_keys(instance_id), str(correlation_id), progress, json.dumps(text), str(LIFETIME_MS)
        )
    return read_report(reply)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An entry of the stream, as found."""

    entry_id: EntryId
    fields: dict[str, str]


class CommandBox:
    """The commands of one instance, as that instance sees them."""

    def __init__(self, client: AsyncClient, blocking: AsyncClient, instance_id: str) -> None:
        self._client = client
        self._blocking = blocking
        self._keys = _keys(instance_id)
        self._cursor = EntryId(0, 0)
        self._taker = uuid4().hex

    async def wait(self) -> list[Delivery]:
        """The next commands; empty where none came within some seconds."""
        with redis_errors():
            reply: Any = await self._blocking.xread({self._keys[0]: str(self._cursor)}, STEP, BLOCK_MILLISECONDS)
        if not reply:
            return []
        found = [Delivery(EntryId.parse(row[0].decode("ascii")), decode_fields(row[1])) for row in reply[0][1]]
        self._cursor = found[-1].entry_id
        return found

    async def take(self, delivery: Delivery) -> Literal["YOURS", "KNOWN", "EXPIRED"]:
        """Whether it is to be carried out, now and by us. After a lost reply ask again: nobody else is told so."""
        correlation = delivery.fields.get("correlationId", "")
        with redis_errors():
            reply: Any = await self._client.eval(
                *(_TAKE, 2, *self._keys, correlation),
                *(str(delivery.entry_id.milliseconds), str(EXPIRES_MS), str(LIFETIME_MS), json.dumps(self._taker)),
            )
        answer: Literal["YOURS", "KNOWN", "EXPIRED"] = reply.decode("ascii")
        return answer

    async def report(self, correlation_id: str, progress: Literal["succeeded", "failed"], text: str) -> None:
        """Say what became of it. May be repeated."""
        with redis_errors():
            reply: Any = self._client.eval(
                _REPORT, 2, *self._keys, correlation_id, progress, json.dumps(text), str(LIFETIME_MS)
            )
            await reply


# --- instances that wait for an exchange ---


async def beat_idle(client: AsyncClient, status: IdleStatus) -> None:
    """Say that this instance waits for an exchange."""
    keys = (IDLE_KEY, IDLE_UNTIL_KEY)
    await beat_pool(client, keys, status.instanceId, status.model_dump_json(), status.heartbeatSeconds)


async def leave_idle(client: AsyncClient, instance_id: str) -> None:
    """It has an exchange now, or ends."""
    await leave_pool(client, (IDLE_KEY, IDLE_UNTIL_KEY), instance_id)


@dataclass(frozen=True, slots=True)
class IdleView:
    """An instance that waits, and the milliseconds after which it counts as gone unless it beats."""

    status: IdleStatus
    left_ms: int


def read_idle(client: SyncClient) -> list[IdleView]:
    """Those that are alive, by host."""
    views = []
    for payload, left in read_pool(client, (IDLE_KEY, IDLE_UNTIL_KEY)):
        try:
            views.append(IdleView(IdleStatus.model_validate_json(payload), left))
        except ValueError:
            continue  # another maker's, which cannot be read: nothing could be sent to it either
    return sorted(views, key=lambda view: (view.status.hostname, view.status.instanceId))
