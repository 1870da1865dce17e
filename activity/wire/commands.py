"""Section 6 of the contract: commands to an instance, and what becomes of them.

A command is an entry of the stream ``{commands:<instanceId>}``; beside it, the hash ``{commands:<instanceId>}:taken``
has one `Report` per correlationId, which only scripts write (store/lua/command_*.lua).
"""

import json
from enum import StrEnum
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from activity.wire.said import fault
from activity.wire.settings import SYMBOLS, Mode, Symbol

#: A command that was not taken within this many milliseconds, by Redis' clock, is refused as expired.
EXPIRES_MS: Final = 30_000
#: Commands that one instance has not taken, at the most; a further one is refused.
MOST_WAITING: Final = 500
#: Characters of a report's text that are written and read: somebody else's instance may have written more.
REPORT_CHARS: Final = 1000


class CommandType(StrEnum):
    """What an instance can be told."""

    START = "start"
    STOP = "stop"
    PAUSE = "pause"
    RESUME = "resume"
    SWITCH_MODE = "switch-mode"
    RELOAD_SETTINGS = "reload-settings"
    ADD_SYMBOL = "add-symbol"
    REMOVE_SYMBOL = "remove-symbol"
    CLAIM = "claim"
    RELEASE = "release"
    HANDOVER = "handover"


#: These go before everything else that waits.
URGENT: Final = frozenset({CommandType.STOP, CommandType.PAUSE})


class _Payload(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(_Payload):
    """start (of an instance that has an exchange), stop, pause, resume, release."""


class Who(_Payload):
    """claim: who answers for the instance from its next heartbeat on."""

    email: str = Field(min_length=1, max_length=254)
    displayName: str | None = Field(default=None, max_length=100)


class ToMode(_Payload):
    """switch-mode."""

    mode: Mode


class ToSettings(_Payload):
    """reload-settings: the settings of the user who answers for it, as far as they concern the instance."""

    mode: Mode | None = None
    symbols: Annotated[tuple[Symbol, ...], Field(max_length=SYMBOLS)] = ()


class OneSymbol(_Payload):
    """add-symbol and remove-symbol."""

    symbol: Symbol


class ToStandby(_Payload):
    """handover."""

    to: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(description="instanceId of the standby")


class Assignment(_Payload):
    """start, to an idle instance: which exchange it serves from now on."""

    exchangeId: int = Field(ge=1)
    exchangeName: str = Field(min_length=1)
    mode: Mode | None = None
    symbols: Annotated[tuple[Symbol, ...], Field(max_length=SYMBOLS)] = ()
    email: str | None = None
    displayName: str | None = None


_PayloadModel = type[_Payload]
_PAYLOADS: Final[dict[CommandType, type[_Payload]]] = {
    CommandType.START: Nothing,
    CommandType.STOP: Nothing,
    CommandType.PAUSE: Nothing,
    CommandType.RESUME: Nothing,
    CommandType.SWITCH_MODE: ToMode,
    CommandType.RELOAD_SETTINGS: ToSettings,
    CommandType.ADD_SYMBOL: OneSymbol,
    CommandType.REMOVE_SYMBOL: OneSymbol,
    CommandType.CLAIM: Who,
    CommandType.RELEASE: Nothing,
    CommandType.HANDOVER: ToStandby,
}


class InstanceCommand(BaseModel):
    """One entry of an instance's stream. In Redis every value is a text, `payload` a JSON object."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    correlationId: UUID
    type: CommandType
    payload: dict[str, Any] = Field(default_factory=dict)
    timestamp: int = Field(ge=0, description="Milliseconds since 1970 by Redis' clock, when it was appended")
    issuedBy: str = Field(description="E-mail of the user")

    def read_payload(self, model: "_PayloadModel | None" = None) -> Any:
        """The payload of this type. Raises ValueError, naming the field."""
        wanted = model or _PAYLOADS[self.type]
        try:
            return wanted.model_validate(self.payload)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(("payload", *(str(part) for part in first["loc"])))
            raise ValueError(fault(where, first)) from None


def read_command(fields: dict[str, str]) -> InstanceCommand:
    """A command from the fields of its entry. Raises ValueError, naming the field."""
    try:
        payload = json.loads(fields.get("payload") or "{}")
    except (ValueError, RecursionError):
        raise ValueError("payload: not JSON") from None
    try:
        return InstanceCommand.model_validate({**fields, "payload": payload})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{first['loc'][0]}: {first['msg']}") from None


Progress = Literal["acknowledged", "succeeded", "failed", "expired"]


#: The last millisecond of 9999: no calendar goes on behind it, nor does a column of SQL.
_LAST_MOMENT: Final = 253_402_300_799_999


class Report(BaseModel):
    """What became of a command. ``acknowledged`` is written before it is carried out, so that nothing runs twice."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    progress: Progress
    at: int = Field(ge=0, le=_LAST_MOMENT, description="Milliseconds since 1970 by Redis' clock")
    acknowledgedAt: int = Field(default=0, ge=0, le=_LAST_MOMENT, description="The same; 0 where it never was")
    text: str = Field(default="", description="What was done, or why not")


def read_report(raw: bytes | None) -> Report | None:
    """A report, None where there is none that makes sense. Never raises."""
    if raw is None:
        return None
    try:
        report = Report.model_validate_json(raw)
    except ValidationError:
        return None
    return report.model_copy(update={"text": report.text[:REPORT_CHARS]})


class IdleStatus(BaseModel):
    """One field of the hash ``{instances:idle}``, under the instanceId: a worker that waits for an exchange."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    instanceId: str = Field(min_length=1)
    hostname: str
    pid: int = Field(ge=1)
    version: str
    program: str = Field(default="", description="Name of the program that it would carry; empty: none")
    registeredAt: str
    lastHeartbeat: str
    heartbeatSeconds: int = Field(ge=1, description="It counts as gone after three times this")
