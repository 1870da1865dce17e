"""One row of the feed: what a page shows of one entry. static/js/rows.js fills the same markup for live entries."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from activity.store.history import HistoryGap, HistoryPage, Position
from activity.text import (
    HEADLINE_CHARS,
    cut,
    duration,
    epoch_parts,
    error_text,
    from_milliseconds,
    milliseconds,
    raw_json,
    size,
    skew,
    visible,
)
from activity.wire.clock import parse_timestamp
from activity.wire.entries import EntryId, EntryKind, StreamEntry

#: ``ConnectionResetError:`` at the beginning of an error is its class.
_CLASS: Final = re.compile(r"[A-Za-z_][\w.]{1,60}:(?=\s)", re.ASCII)
RowKind = EntryKind | Literal["gap"]
#: The kinds in the order of their `<template>` elements.
KINDS: Final[tuple[RowKind, ...]] = ("state_transition", "error", "unknown", "malformed", "gap")


@dataclass(frozen=True, slots=True)
class Row:
    """Every text is ready to be shown: cut, and with unseen characters made visible.

    `at` is when the writer says that it happened, `taken` when Redis took it: the age is counted from there, because
    every instance has its own clock. `after` is how long the state lasted that a transition ended.
    """

    kind: RowKind
    exchange: str = ""
    id: str = ""
    at: datetime | None = None
    taken: datetime | None = None
    skew: str = ""
    skew_title: str = ""
    lead: str = ""
    rest: str = ""
    from_state: str = "idle"
    to_state: str = "idle"
    after: str = ""
    instance: str = ""
    host: str = ""
    epoch: str = ""
    full: str = ""
    raw: str = ""
    hidden: str = ""
    url: str = ""
    permalink: str = ""
    words: str = ""

    @property
    def epoch_head(self) -> str:
        """What is left out of the epoch where it is narrow."""
        return epoch_parts(self.epoch)[0]

    @property
    def epoch_tail(self) -> str:
        """The part of the epoch that is always shown."""
        return epoch_parts(self.epoch)[1]


def split_error(error: str) -> tuple[str, str]:
    """The error's class and its message, together the first 300 characters of it."""
    headline = error if len(error) <= HEADLINE_CHARS else f"{error[:HEADLINE_CHARS]}…"
    match = _CLASS.match(headline)
    return (headline[: match.end()], headline[match.end() :]) if match else ("", headline)


#: What wire/entries.py, or pydantic in its place, says of a field: to be found by the words that it uses.
_FAULTS: Final = (
    gettext_noop("the field is missing"),
    gettext_noop("Field required"),
    gettext_noop("Input should be 'idle', 'starting', 'warming', 'active', 'stopping' or 'stopped'"),
)


def _fault(problem: str) -> str:
    name, colon, words = problem.partition(": ")
    return f"{name}{colon}{_(words)}" if words in _FAULTS else problem


def _headline(entry: StreamEntry) -> tuple[str, str]:
    if entry.kind == "error":
        return split_error(error_text(entry.fields["error"]))
    if entry.kind == "unknown":
        return entry.fields["event"][:HEADLINE_CHARS], ""
    if entry.kind == "malformed":
        return "", _fault(entry.problem)[:HEADLINE_CHARS]
    return "", ""


def entry_taken(entry: StreamEntry) -> datetime | None:
    """When Redis took the entry (its id), else when the writer says that it happened, else None."""
    return from_milliseconds(entry.id.milliseconds) or parse_timestamp(entry.fields.get("timestamp"))


def row_of(exchange: str, entry: StreamEntry) -> Row:
    """The row of an entry of any kind. Never raises: a feed is never broken by what it shows."""
    fields = entry.fields
    raw, hidden = raw_json(entry.to_json())
    lead, rest = _headline(entry)
    error = fields["error"] if entry.kind == "error" else ""
    moved = entry.kind == "state_transition"
    said, taken = parse_timestamp(fields.get("timestamp")), entry_taken(entry)
    mark, explanation = skew(milliseconds(said), milliseconds(taken)) if said and taken else ("", "")
    return Row(
        kind=entry.kind,
        exchange=exchange,
        id=str(entry.id),
        at=said or taken,
        taken=taken,
        skew=mark,
        skew_title=explanation,
        lead=visible(lead),
        rest=visible(rest),
        from_state=fields["fromState"] if moved else "idle",
        to_state=fields["toState"] if moved else "idle",
        instance=visible(fields.get("instanceId", "")[:HEADLINE_CHARS]) if moved else "",
        host=visible(fields.get("hostname", "")[:HEADLINE_CHARS]),
        epoch=visible(fields.get("epoch", "")[:HEADLINE_CHARS]),
        full=visible(cut(error)[0]) if "\n" in error or len(error) > HEADLINE_CHARS else "",
        raw=raw,
        hidden=size(hidden) if hidden else "",
        url=reverse("entry", args=[exchange, str(entry.id)]),
        permalink=permalink_of(exchange, entry.id),
    )


def permalink_of(exchange: str, entry_id: EntryId) -> str:
    """The feed at this entry, with its surroundings: it goes on in both directions from there."""
    above = f"{entry_id.milliseconds}-{entry_id.sequence + 1}"
    return f"{reverse('exchange', args=[exchange])}?before={above}%40{exchange}&entry={entry_id}#activity"


def gap_row(gap: HistoryGap) -> Row:
    """The row that says what is missing. It stands above the last entry before the gap, and carries its id."""
    words = (
        _("%(exchange)s: the entries between %(after)s and %(first)s are no longer held")
        if gap.first
        else _("%(exchange)s: its history began anew; what followed %(after)s is no longer held")
    )
    facts = {"exchange": gap.exchange, "after": gap.after, "first": gap.first}
    return Row("gap", exchange=gap.exchange, id=str(gap.after), words=words % facts)


def in_order(page: HistoryPage) -> Iterator[tuple[str, StreamEntry] | HistoryGap]:
    """Entries and gaps in their order; a gap comes right before the entry after which others are missing."""
    gaps = list(page.gaps)
    for name, entry in page.entries:
        while gaps and gaps[0].position.order <= Position(entry.id, name).order:
            yield gaps.pop(0)
        yield name, entry
    yield from gaps


def rows_of(page: HistoryPage) -> list[Row]:
    """The rows of a page's entries and gaps, newest first.

    A transition says how long the state before it lasted, by Redis' clock, where the transition that led into that
    state is on the page and of the same instance, with no gap between the two.
    """
    rows: list[Row] = []
    newer: dict[str, tuple[int, int]] = {}  # per exchange, where its next newer transition stands, and its milliseconds
    for item in in_order(page):
        if isinstance(item, HistoryGap):
            newer.pop(item.exchange, None)
            rows.append(gap_row(item))
            continue
        name, entry = item
        row = row_of(name, entry)
        if row.kind == "state_transition":
            place, at = newer.get(name, (None, 0))
            if place is not None and (rows[place].from_state, rows[place].instance) == (row.to_state, row.instance):
                rows[place] = replace(rows[place], after=duration((at - entry.id.milliseconds) / 1000))
            newer[name] = len(rows), entry.id.milliseconds
        rows.append(row)
    return rows
