"""What a standby says of itself: a worker that waits for an exchange without holding it."""

import json
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from activity.wire.clock import Timestamp

#: A standby is gone when it has not beaten for this many of its intervals, as an owner is.
STANDBY_INTERVALS: Final = 3


class StandbyStatus(BaseModel):
    """One field of the hash ``{exchange:{id}:status}:standbys``, under the standby's instanceId."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    exchangeId: int = Field(ge=1)
    exchangeName: str = Field(min_length=1)
    instanceId: str = Field(min_length=1, description="Unique per process start; stays the same as the owner's")
    hostname: str
    pid: int = Field(ge=1)
    version: str = Field(description="Version of the instance's software")
    mode: str | None = None
    registeredAt: Timestamp = Field(description="Since when it waits")
    lastHeartbeat: Timestamp
    heartbeatSeconds: int = Field(
        ge=1, description="Seconds between heartbeats; it counts as gone after three times this"
    )


def read_standby(raw: bytes) -> StandbyStatus | None:
    """One standby of any origin, None where it makes no sense. Never raises."""
    try:
        return StandbyStatus.model_validate(json.loads(raw.decode("utf-8", errors="replace")))
    except (ValueError, ValidationError, RecursionError):
        return None
