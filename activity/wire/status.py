"""Section 1 and 2 of the contract: an instance's status and its six states.

We write `InstanceStatus` and nothing else. What we read may come from an older writer, another language or a broken
one; `read_status` keeps every field and never raises.
"""

import json
import math
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from activity.wire.clock import Timestamp

#: Seconds between two heartbeats where nothing else is configured (the loop's own unit is the second).
HEARTBEAT_SECONDS: Final = 15
#: The longest interval that can be configured.
LONGEST_HEARTBEAT_SECONDS: Final = 3600
#: The key's TTL is always this many intervals: 3 x 15 s = 45 s. The interval is configurable, the ratio is not.
TTL_INTERVALS: Final = 3


class ConnectionState(StrEnum):
    """The six states of an instance, in the order in which one comes up and goes down."""

    IDLE = "idle"
    STARTING = "starting"
    WARMING = "warming"
    ACTIVE = "active"
    STOPPING = "stopping"
    STOPPED = "stopped"


#: Section 2. Anything else is rejected; the edges back to idle out of starting and warming are for error recovery.
TRANSITIONS: Final[dict[ConnectionState, frozenset[ConnectionState]]] = {
    ConnectionState.IDLE: frozenset({ConnectionState.STARTING}),
    ConnectionState.STARTING: frozenset({ConnectionState.WARMING, ConnectionState.STOPPING, ConnectionState.IDLE}),
    ConnectionState.WARMING: frozenset({ConnectionState.ACTIVE, ConnectionState.STOPPING, ConnectionState.IDLE}),
    ConnectionState.ACTIVE: frozenset({ConnectionState.STOPPING}),
    ConnectionState.STOPPING: frozenset({ConnectionState.STOPPED}),
    ConnectionState.STOPPED: frozenset({ConnectionState.IDLE}),
}


def ttl_seconds(heartbeat_seconds: int) -> int:
    """The key's TTL in seconds (Redis ``EX``) for a heartbeat interval in seconds."""
    return TTL_INTERVALS * heartbeat_seconds


def is_late(age_ms: int, heartbeat_seconds: int) -> bool:
    """Whether a beat of that age is late, in whole seconds as pages count them. static/js/cards.js says the same.

    A fifth of the interval, at most 3 s, is no lateness: the instance sleeps the interval and then asks Redis, a look
    finds it within half a second, and it may wait 1.9 s for others to travel with (feed/board.py).
    """
    return age_ms // 1000 > heartbeat_seconds + min(3, heartbeat_seconds // 5)


class _StatusFields(BaseModel):
    """The fields that every writer has, older ones included."""

    exchangeId: int = Field(ge=1, description="The exchange's id in the exchanges table")
    exchangeName: str = Field(min_length=1, description="The exchange's lower-case name, e.g. coinbase")
    hostname: str = Field(description="The machine's host name")
    ipAddress: str | None = Field(default=None, description="Public IP; null until detected")
    countryCode: str | None = Field(default=None, description="ISO 3166-1 alpha-2")
    adminEmail: str | None = Field(default=None, description="Who answers for the instance; null at registration")
    adminDisplayName: str | None = None
    connectionState: ConnectionState
    symbolCount: int = Field(default=0, ge=0, description="Symbols being followed")


class InstanceStatus(_StatusFields):
    """What our instances write under ``exchange:{id}:status``. Strict: a wrong type or an unknown field is our bug."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    connectedAt: Timestamp | None = Field(default=None, description="Set on entering active")
    lastHeartbeat: Timestamp = Field(description="Every heartbeat")
    lastStateChange: Timestamp = Field(description="Every transition")
    registeredAt: Timestamp = Field(description="Once, at registration")
    lastError: str | None = Field(default=None, description="The last error recorded")
    lastErrorAt: Timestamp | None = None
    instanceId: str = Field(min_length=1, description="Unique per process start")
    pid: int = Field(ge=1)
    version: str = Field(description="Version of the instance's software")
    mode: str | None = Field(default=None, description="The mode the instance runs in, e.g. live or demo")
    heartbeatSeconds: int = Field(ge=1, description="Seconds between heartbeats; the TTL is three times this")
    paused: bool = Field(default=False, description="Told to pause: it runs, and does not act")
    epoch: int = Field(ge=0, description="Rises with every change of owner; assigned by the claim")


class ReadStatus(_StatusFields):
    """What a reader can rely on. Older writers lack the fields that we added, and any writer may add its own."""

    model_config = ConfigDict(extra="allow", frozen=True)

    connectedAt: str | None = None
    lastHeartbeat: str | None = None
    lastStateChange: str | None = None
    registeredAt: str | None = None
    lastError: str | None = None
    lastErrorAt: str | None = None
    instanceId: str | None = None
    pid: int | None = None
    version: str | None = None
    mode: str | None = None
    heartbeatSeconds: int | None = None
    paused: bool | None = None
    epoch: int | None = None

    @field_validator("heartbeatSeconds", mode="before")
    @classmethod
    def _within_an_hour(cls, value: object) -> object:
        """An interval that nobody can mean counts as absent: it decides what is late, and nothing else."""
        return value if type(value) is int and 1 <= value <= LONGEST_HEARTBEAT_SECONDS else None

    @property
    def interval(self) -> int:
        """Seconds between two heartbeats of this instance; an older writer beats every 15 s (contract)."""
        return self.heartbeatSeconds or HEARTBEAT_SECONDS


@dataclass(frozen=True, slots=True)
class StatusReading:
    """One status value as found in Redis.

    `fields` is the JSON object as written ({} where there is none); `status` its typed view, None where it cannot be
    read; `problem` then says why, naming the field. The key exists all the same: the instance is alive.
    """

    raw: bytes
    fields: dict[str, Any] = field(default_factory=dict)
    status: ReadStatus | None = None
    problem: str = ""


def _finite(text: str) -> float | str:
    """The number, or its text where it is beyond a float: 1e400 would become Infinity, which is not JSON."""
    number = float(text)
    return number if math.isfinite(number) else text


_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")  # NaN and Infinity: Python reads them, browsers and Postgres do not


def _encodable(value: Any) -> Any:
    """The value with lone surrogates (an escaped half of a pair) as U+FFFD: no page and no frame could carry them."""
    match value:
        case str():
            return _SURROGATE.sub("\ufffd", value)
        case list():
            return [_encodable(item) for item in value]
        case dict():
            return {_encodable(name): _encodable(item) for name, item in value.items()}
        case _:
            return value


def read_status(raw: bytes) -> StatusReading:
    """Read a status value of any origin. Never raises; unknown fields are kept."""
    try:
        value = _encodable(
            json.loads(raw.decode("utf-8", errors="replace"), parse_constant=_refuse_constant, parse_float=_finite)
        )
    except (ValueError, RecursionError) as error:  # RecursionError: JSON nested deeper than the interpreter's stack
        return StatusReading(raw, problem=f"not JSON: {error}")
    if not isinstance(value, dict):
        return StatusReading(raw, problem=f"a JSON {type(value).__name__} instead of an object")
    try:
        return StatusReading(raw, value, ReadStatus.model_validate(value))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return StatusReading(raw, value, problem=f"{where}: {first['msg']}")
