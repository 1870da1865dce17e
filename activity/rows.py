"""One row of the feed: what a page shows of one entry. static/js/rows.js fills the same markup for live entries."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.urls import reverse

from activity.text import HEADLINE_CHARS, cut, from_milliseconds, raw_json, size, visible
from activity.wire.clock import parse_timestamp
from activity.wire.entries import EntryKind, StreamEntry

#: ``ConnectionResetError:`` at the beginning of an error is its class.
_CLASS: Final = re.compile(r"[A-Za-z_][\w.]{1,60}:(?=\s)", re.ASCII)
#: The kinds in the order of their `<template>` elements.
KINDS: Final[tuple[EntryKind, ...]] = ("state_transition", "error", "unknown", "malformed")


@dataclass(frozen=True, slots=True)
class Row:
    """Every text is ready to be shown: cut, and with unseen characters made visible."""

    kind: EntryKind
    exchange: str = ""
    id: str = ""
    at: datetime | None = None
    lead: str = ""
    rest: str = ""
    from_state: str = "idle"
    to_state: str = "idle"
    host: str = ""
    epoch: str = ""
    full: str = ""
    raw: str = ""
    hidden: str = ""
    url: str = ""


def split_error(error: str) -> tuple[str, str]:
    """The error's class and its message, together the first 300 characters of it."""
    headline = error if len(error) <= HEADLINE_CHARS else f"{error[:HEADLINE_CHARS]}…"
    match = _CLASS.match(headline)
    return (headline[: match.end()], headline[match.end() :]) if match else ("", headline)


def _headline(entry: StreamEntry) -> tuple[str, str]:
    if entry.kind == "error":
        return split_error(entry.fields["error"])
    if entry.kind == "unknown":
        return entry.fields["event"][:HEADLINE_CHARS], ""
    if entry.kind == "malformed":
        return "", entry.problem[:HEADLINE_CHARS]
    return "", ""


def entry_time(entry: StreamEntry) -> datetime | None:
    """When the writer says that it happened, else when Redis took the entry (its id), else None."""
    return parse_timestamp(entry.fields.get("timestamp")) or from_milliseconds(entry.id.milliseconds)


def row_of(exchange: str, entry: StreamEntry) -> Row:
    """The row of an entry of any kind. Never raises: a feed is never broken by what it shows."""
    fields = entry.fields
    raw, hidden = raw_json(entry.to_json())
    lead, rest = _headline(entry)
    error = fields["error"] if entry.kind == "error" else ""
    moved = entry.kind == "state_transition"
    return Row(
        kind=entry.kind,
        exchange=exchange,
        id=str(entry.id),
        at=entry_time(entry),
        lead=visible(lead),
        rest=visible(rest),
        from_state=fields["fromState"] if moved else "idle",
        to_state=fields["toState"] if moved else "idle",
        host=visible(fields.get("hostname", "")[:HEADLINE_CHARS]),
        epoch=visible(fields.get("epoch", "")[:HEADLINE_CHARS]),
        full=visible(cut(error)[0]) if "\n" in error or len(error) > HEADLINE_CHARS else "",
        raw=raw,
        hidden=size(hidden) if hidden else "",
        url=reverse("entry", args=[exchange, str(entry.id)]),
    )
