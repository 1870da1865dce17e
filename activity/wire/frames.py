"""Section 4 of the contract: the frames of the WebSocket feed, JSON text in both directions."""

import json
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

#: The server keeps at most this many bytes unacknowledged per socket; beyond that it waits.
WINDOW_BYTES: Final = 256 * 1024
#: The same for `statuses` frames: a thousand statuses of 600 bytes, or two hours of their heartbeats.
STATUS_WINDOW_BYTES: Final = 512 * 1024
#: A client that acknowledges nothing for this long, while something waits for it, is closed with STALLED.
STALL_SECONDS: Final = 60

CursorText = Annotated[str, StringConstraints(pattern=r"^\d{1,20}-\d{1,20}$")]


class CloseCode:
    """Sent after accepting: a refusal before the accept reaches browsers as 1006, which tells them nothing."""

    RESTART: Final = 1012
    MALFORMED: Final = 4400
    SIGNED_OUT: Final = 4401
    FORBIDDEN: Final = 4403
    UNKNOWN_EXCHANGE: Final = 4404
    STALLED: Final = 4408
    TOO_MANY_SOCKETS: Final = 4413


class _ClientFrame(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Subscribe(_ClientFrame):
    """The client's first frame: the last id that it has, per exchange. One left out starts at the newest entries."""

    type: Literal["subscribe"]
    after: dict[str, CursorText] = Field(default_factory=dict, max_length=10_000)
    statuses: bool = Field(
        default=False, description="Our addition: send `statuses` frames, which this client acknowledges, not `status`"
    )


class Ack(_ClientFrame):
    """What the client has shown, per exchange."""

    type: Literal["ack"]
    last: dict[str, CursorText] = Field(max_length=10_000)
    statuses: int = Field(default=0, ge=0, description="Our addition: `upto` of the newest `statuses` frame shown")


ClientFrame = Annotated[Subscribe | Ack, Field(discriminator="type")]
CLIENT_FRAME: Final[TypeAdapter[Subscribe | Ack]] = TypeAdapter(ClientFrame)


class _ServerFrame(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Entries(_ServerFrame):
    """In id order, each entry after the cursor exactly once per connection. Each has ``id`` beside its raw fields."""

    type: Literal["entries"] = "entries"
    exchange: str
    entries: list[dict[str, str]] = Field(min_length=1)


class Gap(_ServerFrame):
    """Entries between `after` and `first` are no longer held, or the stream was recreated: said, never papered over."""

    type: Literal["gap"] = "gap"
    exchange: str
    after: str = Field(description="The cursor that the client asked to go on from")
    first: str | None = Field(description="The first entry that is still held; null while there is none")


class Status(_ServerFrame):
    """An exchange's instance: on every change of state, owner or liveness, and on each heartbeat."""

    type: Literal["status"] = "status"
    exchange: str
    online: bool
    status: dict[str, Any] | None = Field(description="The status as the instance wrote it; null while offline")
    lastKnown: dict[str, str] | None = Field(description="While offline: the newest entry that tells the state")
    ttlMs: int | None = Field(default=None, description="Milliseconds that the key had left when this frame was made")
    problem: str = Field(default="", description="Why a status that exists cannot be read; empty where it can")
    ownerState: str = Field(default="", description="Of the ownership hash: held, released, lost_pending, lost_logged")
    lost: bool | None = Field(
        default=None,
        description="While offline: whether it was lost (else it ended in good order), by the ownership hash and"
        " `lastKnown`, whichever came later; null while online, and where nothing is known",
    )


class Beat(BaseModel):
    """A heartbeat that changed nothing else: the exchange's newest status with another `lastHeartbeat`."""

    model_config = ConfigDict(strict=True, frozen=True)

    exchange: str
    lastHeartbeat: Any = Field(description="As the instance wrote it")
    ttlMs: int | None = Field(description="Milliseconds that the key had left when this frame was made")


class Statuses(_ServerFrame):
    """Our addition: everything that the board has to say at a moment, in one message, for clients that asked for it.

    At most 512 KB of them are unacknowledged. Beyond that the server waits, and tells what is true then.
    """

    type: Literal["statuses"] = "statuses"
    upto: int = Field(ge=1, description="To acknowledge: rises from frame to frame, in steps of any size")
    frames: list[Status] = Field(default_factory=list)
    beats: list[Beat] = Field(default_factory=list)


class Store(_ServerFrame):
    """Our addition: whether the server can read Redis. While it cannot, nothing that a page shows is known."""

    type: Literal["store"] = "store"
    available: bool
    problem: str = Field(default="", description="Why Redis cannot be read; empty where it can")


class Closing(_ServerFrame):
    """Our addition: sent right before a close, because not every server passes a close reason on."""

    type: Literal["closing"] = "closing"
    code: int
    reason: str = Field(description="What is wrong, naming the field where there is one")


class Command(_ServerFrame):
    """The progress of a command."""

    type: Literal["command"] = "command"
    exchange: str
    correlationId: UUID
    progress: Literal["acknowledged", "succeeded", "failed", "expired"]


ServerFrame = Annotated[Entries | Gap | Status | Statuses | Store | Closing | Command, Field(discriminator="type")]
SERVER_FRAME: Final[TypeAdapter[Entries | Gap | Status | Statuses | Store | Closing | Command]] = TypeAdapter(
    ServerFrame
)


def encode_json(value: Any) -> str:
    """JSON text of what a foreign writer may have sent: integers beyond 64 bits and deep nesting included."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # orjson stops at 64 bits and 254 levels
        return json.dumps(value, separators=(",", ":"))
