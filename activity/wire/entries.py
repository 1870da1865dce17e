"""Section 3 of the contract: the entries of an exchange's activity stream.

Two kinds are written, told apart by ``event``. What is read may be anything: an unknown event is kept and shown raw, a
malformed entry is shown as malformed, and neither ever breaks a feed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from activity.wire.clock import Timestamp
from activity.wire.status import ConnectionState

#: Entries older than this are trimmed by the XADD that appends a newer one: retention needs no job.
RETENTION_DAYS: Final = 90


_ID: Final = re.compile(r"(\d{1,20})-(\d{1,20})", re.ASCII)


class EntryId(NamedTuple):
    """A stream id as two integers: as text, 9-0 would sort after 10-0."""

    milliseconds: int
    sequence: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``1763830000000-0``. Raises ValueError where the text is no stream id (each part fits 64 bits)."""
        match = _ID.fullmatch(text)
        if not match or max(parts := (int(match[1]), int(match[2]))) >= 1 << 64:
            raise ValueError(f"{text[:60]!r} is no stream id: expected MILLISECONDS-SEQUENCE, e.g. 1763830000000-0")
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.sequence}"


class _Entry(BaseModel):
    """Fields of both kinds. Every value is a string; what is unknown is the empty string, never null."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    timestamp: Timestamp
    exchangeId: Annotated[str, Field(pattern=r"^[1-9]\d*$", description="The exchange's id, in decimal digits")]
    exchangeName: Annotated[str, Field(min_length=1)]
    hostname: str
    ip: str = Field(default="", description="Public IP; empty while unknown")
    instanceId: str = Field(default="", description="Our addition: unique per process start")
    epoch: str = Field(default="", description="Our addition: the owner's epoch, in decimal digits")

    def to_fields(self) -> dict[str, str]:
        """The field-value pairs of one XADD."""
        return {name: str(value) for name, value in self.model_dump(mode="json").items()}


class StateTransition(_Entry):
    """The instance went from one state to another."""

    event: Literal["state_transition"] = "state_transition"
    fromState: ConnectionState
    toState: ConnectionState
    adminEmail: str = Field(default="", description="Who answered for the instance; empty while unknown")
    correlationId: str = Field(default="", description="Our addition: the command that caused it; left out without one")

    def to_fields(self) -> dict[str, str]:
        """As of every entry, without a correlationId where no command caused it."""
        fields = super().to_fields()
        if not self.correlationId:
            del fields["correlationId"]
        return fields


class ErrorEntry(_Entry):
    """Something went wrong. An error never changes the state by itself."""

    event: Literal["error"] = "error"
    error: str
    state: ConnectionState = Field(description="The state in which the error was met")


#: What we write.
Entry = Annotated[StateTransition | ErrorEntry, Field(discriminator="event")]
ENTRY: Final[TypeAdapter[StateTransition | ErrorEntry]] = TypeAdapter(Entry)


class _ReadEntry(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    timestamp: str
    exchangeName: str = ""
    hostname: str = ""
    ip: str = ""


class _ReadTransition(_ReadEntry):
    event: Literal["state_transition"]
    fromState: ConnectionState
    toState: ConnectionState


class _ReadError(_ReadEntry):
    event: Literal["error"]
    error: str


_READ: Final[TypeAdapter[_ReadTransition | _ReadError]] = TypeAdapter(
    Annotated[_ReadTransition | _ReadError, Field(discriminator="event")]
)

_STATES: Final = frozenset(ConnectionState)  # Python 3.11: `text in ConnectionState` is a TypeError

EntryKind = Literal["state_transition", "error", "unknown", "malformed"]


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """One entry as found: its id, all its fields in order, and what we make of them.

    `kind` is ``unknown`` for an event that this version does not know (kept, shown raw) and ``malformed`` for an entry
    that claims to be one of ours and is not; `problem` then says why.
    """

    id: EntryId
    fields: dict[str, str]
    kind: EntryKind
    problem: str = ""

    def to_json(self) -> dict[str, str]:
        """As `on_the_wire` has it."""
        return on_the_wire(self.id, self.fields)

    @property
    def is_death(self) -> bool:
        """Whether it is the notice that an instance was lost: about its epoch, and written a while after it."""
        return self.kind == "error" and self.fields.get("kind") == "lost"

    @property
    def epoch(self) -> int:
        """The owner's epoch, 0 where the entry tells none."""
        text = self.fields.get("epoch", "")
        return int(text) if re.fullmatch(r"\d{1,20}", text, re.ASCII) else 0

    @property
    def state(self) -> str:
        """The state that the entry tells: where a transition led, or where an error was met. Empty if it tells none."""
        if self.kind == "state_transition":
            return self.fields["toState"]
        if self.kind == "error":
            state = self.fields.get("state", "")
            return state if state in _STATES else ""
        return ""


def on_the_wire(entry_id: EntryId, fields: Mapping[str, str]) -> dict[str, str]:
    """``{"id": …, …fields}``. A field called ``id`` travels as ``field:id``, ``field:x`` as ``field:field:x``."""
    wire = {"id": str(entry_id)}
    for name, value in fields.items():
        wire[f"field:{name}" if name == "id" or name.startswith("field:") else name] = value
    return wire


def decode_fields(pairs: Sequence[bytes]) -> dict[str, str]:
    """Field-value pairs of any bytes as text. Bytes that are not UTF-8 become U+FFFD; a repeated name gets ``#2``."""
    texts = [part.decode("utf-8", errors="replace") for part in pairs]
    fields = dict(zip(texts[::2], texts[1::2], strict=False))
    if len(fields) == len(pairs) // 2:
        return fields
    fields = {}
    for position in range(0, len(pairs) - 1, 2):
        name = texts[position]
        unique, repeat = name, 1
        while unique in fields:
            repeat += 1
            unique = f"{name}#{repeat}"
        fields[unique] = texts[position + 1]
    return fields


def classify(fields: Mapping[str, str]) -> tuple[EntryKind, str]:
    """What an entry is, and the problem where it is malformed. Never raises."""
    event = fields.get("event")
    if event is None:
        return "malformed", "event: the field is missing"
    if event not in ("state_transition", "error"):
        return "unknown", ""
    try:
        _READ.validate_python(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return "malformed", f"{first['loc'][-1]}: {first['msg']}"
    return ("state_transition" if event == "state_transition" else "error"), ""


@lru_cache(maxsize=32)
def _names_on_the_wire(names: tuple[bytes, ...]) -> tuple[str, ...]:
    """The keys of an entry with these names, ``id`` first. Few writers, few kinds: nearly all entries share theirs."""
    pairs = [part for name in names for part in (name, b"")]
    return tuple(on_the_wire(EntryId(0, 0), decode_fields(pairs)))


class RawEntry(NamedTuple):
    """One entry byte by byte: names and values in turn, in their order, repeated names included."""

    id: EntryId
    pairs: list[bytes]

    def read(self) -> StreamEntry:
        """What it says."""
        fields = decode_fields(self.pairs)
        kind, problem = classify(fields)
        return StreamEntry(self.id, fields, kind, problem)

    def to_json(self) -> dict[str, str]:
        """As that of `StreamEntry`. To be sent, an entry need not be understood: that takes three times as long."""
        values = [str(self.id), *(value.decode("utf-8", errors="replace") for value in self.pairs[1::2])]
        return dict(zip(_names_on_the_wire(tuple(self.pairs[::2])), values, strict=True))

    @property
    def is_transition(self) -> bool:
        """Whether it is a whole transition; of the others nearly all are told apart without reading them."""
        return b"state_transition" in self.pairs and self.read().kind == "state_transition"


def read_entry(entry_id: bytes | str, pairs: Sequence[bytes]) -> StreamEntry:
    """Read one entry of any origin from an XRANGE or XREAD reply."""
    text = entry_id.decode("ascii") if isinstance(entry_id, bytes) else entry_id
    fields = decode_fields(pairs)
    kind, problem = classify(fields)
    return StreamEntry(EntryId.parse(text), fields, kind, problem)
