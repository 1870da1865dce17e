"""The list of entries on a page: its filter, its rows, and where it goes on in both directions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from activity.filters import EVERYTHING, Filter
from activity.history import read_page
from activity.newer import read_newer
from activity.rows import KINDS, Row, rows_of
from activity.store.client import StoreUnavailable, pages_client
from activity.store.history import HistoryPage, Position
from activity.text import from_milliseconds
from activity.wire.entries import EntryId
from activity.wire.status import ConnectionState
from perseus_admin import config

#: Entries of one page, and of one step of scrolling: a browser reads and shows that many in a part of a second's tenth.
PAGE_ROWS: Final = 50
#: Rows that a page keeps in the document. Those that leave it, at either end, are reached by scrolling.
WINDOW_ROWS: Final = 300
#: The events that the filter offers; any other may stand in a link.
EVENTS: Final = {"": _("All entries"), "state_transition": _("State changes"), "error": _("Errors")}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the link of a page asks its list for."""

    where: Filter
    #: The cursor behind which the list begins; None at the newest entry.
    before: str | None
    #: The moment (ms) at which the page stands, if that is past, and as it stands in the link.
    past: int | None = None
    at: str = ""
    #: The id of the entry that a permalink is about, to be marked.
    entry: str = ""

    @classmethod
    def by(cls, request: HttpRequest, past: int | None) -> "Asked":
        """Raises ValueError, naming what is wrong."""
        before = request.GET.get("before") or None
        if before is not None:
            Position.parse(before)
        linked = request.GET.get("entry", "")
        if linked:
            EntryId.parse(linked)
        return cls(Filter.read(_parameters(request)), before, past, request.GET.get("at", ""), linked)

    @property
    def read(self) -> Filter:
        """The filter that the history is read with: what came after a moment in the past was not known then."""
        if self.past is None:
            return self.where
        return replace(self.where, until=min(self.past, self.where.until or self.past))

    @property
    def query(self) -> dict[str, str]:
        """What every link of the list keeps."""
        return self.where.query | ({"at": self.at} if self.at else {})


#: The list of a page without parameters.
NOTHING_ASKED: Final = Asked(EVERYTHING, None)


def _parameters(request: HttpRequest) -> Mapping[str, str]:
    return {name: value for name, value in request.GET.items() if isinstance(value, str)}


def list_context(asked: Asked, page: HistoryPage, here: str) -> dict[str, Any]:
    """What parts/rows.html shows; `here` is the page's path."""
    where = asked.where
    query = asked.query | ({"before": page.next_cursor} if page.next_cursor else {})
    shown = {"event", "text"}
    return {
        "here": here,
        "before": asked.before,
        "newest": f"{here}?{urlencode(asked.query)}" if asked.query else here,
        "older": f"{here}?{urlencode(query)}#activity" if page.next_cursor else "",
        "looked_back_to": _looked_back_to(page) if where.active and len(page.entries) < PAGE_ROWS else None,
        "rows": rows_of(page),
        "where": where,
        "states": [state.value for state in ConnectionState],
        "linked": asked.entry,
        "events": EVENTS if where.event in EVENTS else {**EVENTS, where.event: where.event},
        "at": asked.at,
        "narrowed_by": {name: value for name, value in where.query.items() if name not in shown},
    }


def _looked_back_to(page: HistoryPage) -> datetime | None:
    """How far a search came that ended before its page was full."""
    if page.next_cursor is None:
        return None
    return from_milliseconds(Position.parse(page.next_cursor).entry_id.milliseconds)


def blank_rows() -> list[Row]:
    """One row of every kind, for the `<template>` elements."""
    return [Row(kind) for kind in KINDS]


def list_facts(asked: Asked) -> dict[str, Any]:
    """What the page's scripts are told."""
    return {
        "history": asked.before is not None or asked.past is not None,
        "window": WINDOW_ROWS,
        "filter": asked.where.query,
    }


def rows_response(request: HttpRequest, names: Sequence[str], asked: Asked, *, single: bool) -> HttpResponse:
    """Rows alone, for the page's scripts: the newest, those behind `before`, or those right above `after`.

    Raises ValueError where `after` is no cursor.
    """
    client = pages_client(config.settings().redis)
    above = request.GET.get("after")
    context: dict[str, Any] = {"single": single, "now": datetime.now(UTC)}
    try:
        if above:
            found = read_newer(client, names, count=PAGE_ROWS, cursor=above, where=asked.read)
            context |= {"newer": found, "rows": rows_of(HistoryPage(found.entries, None, found.gaps))}
        else:
            page = read_page(client, names, count=PAGE_ROWS, cursor=asked.before, where=asked.read)
            context |= list_context(asked, page, request.path)
    except StoreUnavailable as error:
        return HttpResponse(str(error), status=503, content_type="text/plain; charset=utf-8")
    return render(request, "parts/rows.html", context)
