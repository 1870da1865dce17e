"""Which entries somebody wants to see: the filter of pages and API. static/js/filter.js does the same to live entries.

A filter is decided on the raw fields of an entry, wherever it stands, so that stream, archive and live feed agree.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from django.utils.translation import gettext, gettext_noop

from activity.wire.clock import format_timestamp, parse_timestamp
from activity.wire.entries import StreamEntry
from activity.wire.status import ConnectionState

#: Characters of a filter's text at the most: it travels in links.
MOST_CHARS: Final = 200
#: The names of a filter's fields in links and in the API.
FIELDS: Final = ("exchange", "event", "state", "host", "admin", "text", "since", "until")
_TIMES: Final = ("since", "until")
_STATES: Final = tuple(str(state) for state in ConnectionState)
_BEGAN: Final = datetime(1970, 1, 1, tzinfo=UTC)


class FilterError(ValueError):
    """A filter that means nothing. The message begins with the name of the field, and is for programs: in English."""

    def __init__(self, words: str, **facts: object) -> None:
        super().__init__(words % facts)
        self._words, self._facts = words, facts

    @property
    def said(self) -> str:
        """The message in the language of the page that shows it."""
        return gettext(self._words) % self._facts


@dataclass(frozen=True, slots=True)
class Filter:
    """Fields that are empty (None for times) want everything; an entry must meet all of the others.

    * `exchange`: the exchange's name. Whoever reads applies it, by reading no other.
    * `event`: exactly the entry's event.
    * `state`: the state that the entry tells: where a transition led, or where an error was met.
    * `host`, `admin`: part of hostname and adminEmail, whatever the case.
    * `text`: part of the value of any field, whatever the case.
    * `since`, `until`: when Redis took the entry, both inclusive, in milliseconds since 1970.
    """

    exchange: str = ""
    event: str = ""
    state: str = ""
    host: str = ""
    admin: str = ""
    text: str = ""
    since: int | None = None
    until: int | None = None

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Self:
        """From the parameters of a link; those that are no filter are left alone. Raises FilterError."""
        values = {name: value for name in FIELDS if (value := (given.get(name) or "").strip())}
        if "exchange" in values:
            values["exchange"] = values["exchange"].lower()
        for name, value in values.items():
            if len(value) > MOST_CHARS:
                raise FilterError(gettext_noop("%(name)s: at most %(count)s characters"), name=name, count=MOST_CHARS)
        if values.get("state") and values["state"] not in _STATES:
            words = gettext_noop("state: %(value)r is none of %(known)s")
            raise FilterError(words, value=values["state"], known=", ".join(_STATES))
        since, until = (_milliseconds(name, values.pop(name)) if name in values else None for name in _TIMES)
        if since is not None and until is not None and until < since:
            raise FilterError(gettext_noop("until: it is before since"))
        texts: dict[str, Any] = values
        return cls(since=since, until=until, **texts)

    @property
    def active(self) -> bool:
        """Whether it leaves anything out."""
        return self != Filter()

    @property
    def query(self) -> dict[str, str]:
        """The parameters that `read` makes the same filter of."""
        given = {name: value for name, value in asdict(self).items() if value not in ("", None)}
        return {name: _moment(value) if isinstance(value, int) else value for name, value in given.items()}

    def matches(self, entry: StreamEntry) -> bool:
        """Whether it wants the entry (of an exchange that it wants)."""
        fields, taken = entry.fields, entry.id.milliseconds
        return (
            (not self.event or fields.get("event") == self.event)
            and (not self.state or entry.state == self.state)
            and (not self.host or self.host.lower() in fields.get("hostname", "").lower())
            and (not self.admin or self.admin.lower() in fields.get("adminEmail", "").lower())
            and (self.since is None or taken >= self.since)
            and (self.until is None or taken <= self.until)
            and (not self.text or any(self.text.lower() in value.lower() for value in fields.values()))
        )


#: Wants every entry.
EVERYTHING: Final = Filter()


def _milliseconds(name: str, value: str) -> int:
    moment = parse_timestamp(value)
    if moment is None or moment < _BEGAN:
        words = gettext_noop("%(name)s: %(value)r is no time: expected one like 2026-11-22T14:31:00Z")
        raise FilterError(words, name=name, value=value)
    return (moment - _BEGAN) // timedelta(milliseconds=1)


def _moment(milliseconds: int) -> str:
    return format_timestamp(_BEGAN + timedelta(milliseconds=milliseconds))
