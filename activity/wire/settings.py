"""How a user works, as one JSON document: shown, edited, exported and imported on the page of settings.

`manage.py worker --admin EMAIL` starts with its symbols and its mode.
"""

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Final, Literal
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from activity.wire.keys import EXCHANGE_NAME
from activity.wire.said import Said, fault
from activity.wire.said import said as _

#: Raised with every change that an older reader would misread.
VERSION: Final = 1
#: Symbols of one exchange at the most: what one instance can be told in one command.
SYMBOLS: Final = 1000

Mode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
Symbol = Annotated[str, StringConstraints(pattern=r"^[^\s,]{1,64}$")]
ExchangeName = Annotated[str, StringConstraints(pattern=rf"^{EXCHANGE_NAME.pattern}$")]
Language = Literal["en", "de"]
Condition = Literal["lost", "late", "stuck", "error", "state_transition", "takeover"]

#: What a reader of an error is told in place of a pattern.
_IN_WORDS: Final = {
    r"^[A-Za-z0-9_-]{1,32}$": _("expected up to 32 letters, digits, _ and -, such as live or paper"),
    r"^[^\s,]{1,64}$": _("expected a symbol such as BTC/USD, without spaces and commas"),
    rf"^{EXCHANGE_NAME.pattern}$": _("expected the name of an exchange, in lower case"),
}


@cache
def _zones() -> frozenset[str]:
    """Looked up once: it opens 600 files, and took a tenth of the network page."""
    return frozenset(available_timezones())


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Notifications(_Part):
    """What this user's browser says aloud while a page is open."""

    desktop: bool = Field(default=False, description="A notification of the desktop; the browser asks once")
    sound: bool = Field(default=False, description="A short tone")
    conditions: tuple[Condition, ...] = Field(default=(), description="On what; empty: on nothing")
    exchanges: tuple[ExchangeName, ...] = Field(default=(), description="Of which exchanges; empty: of all")


class UserSettings(_Part):
    """Everything that a user sets for themselves."""

    version: Literal[1] = Field(default=VERSION, description="Of this document's form")
    timeZone: str = Field(default="UTC", description="IANA name, e.g. Europe/Berlin")
    language: Language | None = Field(default=None, description="Of the pages; null: what the browser asks for")
    mode: Mode | None = Field(
        default=None, description="In which an instance starts, e.g. live or paper; null: not said"
    )
    symbols: dict[ExchangeName, Annotated[tuple[Symbol, ...], Field(max_length=SYMBOLS)]] = Field(
        default_factory=dict, description="By the exchange's name: what an instance of it follows"
    )
    notifications: Notifications = Field(default_factory=Notifications)

    @field_validator("timeZone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in _zones():
            raise ValueError(_("%(value)s is no IANA time zone, e.g. Europe/Berlin", value=repr(value)))
        return value

    @field_validator("symbols")
    @classmethod
    def _each_once(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return {name: tuple(dict.fromkeys(symbols)) for name, symbols in sorted(value.items()) if symbols}


class SettingsRefused(ValueError):
    """A document that cannot be used: one sentence per fault, each of which names the field."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = list(faults)


def _fault(problem: Any) -> Said:
    where = ".".join(str(part) for part in problem["loc"] if part != "[key]") or "document"
    facts = problem.get("ctx", {})
    if problem["type"] == "extra_forbidden":
        return _("%(where)s: %(what)s", where=where, what=_("there is no such field"))
    if (pattern := str(facts.get("pattern", ""))) in _IN_WORDS:
        return _("%(where)s: %(what)s", where=where, what=_IN_WORDS[pattern])
    if problem["type"] == "value_error":
        return _("%(where)s: %(what)s", where=where, what=facts["error"].args[0])
    return fault(where, problem)


def read_settings(text: str | bytes) -> UserSettings:
    """A document from JSON text. Raises SettingsRefused, which names every field at fault."""
    try:
        return UserSettings.model_validate_json(text)
    except ValidationError as error:
        raise SettingsRefused([_fault(problem) for problem in error.errors(include_url=False)]) from None


def check_settings(document: dict[str, Any]) -> UserSettings:
    """A document from Python values. Raises SettingsRefused, which names every field at fault."""
    try:
        return UserSettings.model_validate(document)
    except ValidationError as error:
        raise SettingsRefused([_fault(problem) for problem in error.errors(include_url=False)]) from None


def changes(before: UserSettings, after: UserSettings) -> list[tuple[str, Any, Any]]:
    """What differs, as (field, value before, value after), in the order of the document. Equal parts are left out."""
    return list(_changes("", before.model_dump(mode="json"), after.model_dump(mode="json")))


def _changes(where: str, before: Any, after: Any) -> Any:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            yield from _changes(f"{where}.{name}" if where else name, before.get(name), after.get(name))
    elif before != after:
        yield where, before, after
