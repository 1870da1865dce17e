"""What the feed's filter leaves, as a file of any size: the same entries that the pages show, stream and archive.

Gaps stand in their places, and a file that ends too early says so in its last line: half a file, or one with a hole,
that looks whole would be worse than none.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Final

from channels.db import database_sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from activity.access import visible_exchanges
from activity.audit import Action, record
from activity.exports import FORMATS, csv_lines, json_lines
from activity.filters import Filter, FilterError
from activity.history import read_page
from activity.rows import in_order
from activity.store.client import StoreUnavailable, pages_client
from activity.store.history import HistoryGap, HistoryPage
from perseus_admin import config

#: Entries that are read, written and sent at once.
BATCH: Final = 1000
#: Seconds between two tries while nobody can say what is older, and how many of them there are before the file ends.
PAUSE_SECONDS: Final = 1.0
TRIES: Final = 5
#: Columns of a CSV, which needs the same ones in every row; a JSON line has all fields of its entry.
COLUMNS: Final = (
    *("exchange", "id", "timestamp", "event", "fromState", "toState", "state", "error"),
    *("hostname", "ip", "adminEmail", "instanceId", "epoch", "correlationId"),
)

_HEAD: Final = ",".join(COLUMNS) + "\r\n"

_read = database_sync_to_async(read_page, thread_sensitive=False)  # a long export holds up nobody's page


async def _lines(names: Sequence[str], where: Filter, form: str) -> AsyncIterator[str]:
    client = pages_client(config.settings().redis)
    cursor: str | None = None
    head = _HEAD if form == "csv" else ""
    tries = 0
    while True:
        try:
            page = await _read(client, names, count=BATCH, cursor=cursor, where=where)
        except StoreUnavailable as error:
            yield f"# not complete: {error}\n"
            return
        if text := _text(page, form):
            yield head + text
            head = ""
        if page.next_cursor is None:
            return
        if page.entries or page.next_cursor != cursor:
            cursor, tries = page.next_cursor, 0
            continue
        # The page ended where it began: what is older stands in the archive, and the database is away.
        tries += 1
        if tries == TRIES:
            yield "# not complete: the database, which holds the older entries, cannot be read\n"
            return
        await asyncio.sleep(PAUSE_SECONDS)


def _text(page: HistoryPage, form: str) -> str:
    """The page's entries and, in their places among them, what is missing."""
    lines: list[str] = []
    for item in in_order(page):
        if isinstance(item, HistoryGap):
            lines.append(_gap_line(item, form))
            continue
        name, entry = item
        row = {"exchange": name, **entry.to_json()}
        if form == "jsonl":
            lines.append(json_lines([row]))
        else:
            lines.append(csv_lines([{column: row.get(column, "") for column in COLUMNS}], head=False))
    return "".join(lines)


def _gap_line(gap: HistoryGap, form: str) -> str:
    after, first = str(gap.after), str(gap.first) if gap.first else None
    if form == "jsonl":
        return json.dumps({"gap": {"exchange": gap.exchange, "after": after, "first": first}}) + "\n"
    if first is None:
        return f"# gap: {gap.exchange}: its history began anew; what followed {after} is no longer held\r\n"
    return f"# gap: {gap.exchange}: the entries between {after} and {first} are no longer held\r\n"


@require_safe
@never_cache
def export_entries(request: HttpRequest, form: str) -> HttpResponse | StreamingHttpResponse:
    """Newest first, as the filter in the address says; `of` names the exchange of the page that it was asked on."""
    if form not in FORMATS:
        return render(request, "404.html", status=404)
    try:
        given = {name: value for name, value in request.GET.items() if isinstance(value, str)}
        where = Filter.read({**given, "exchange": given.get("of") or given.get("exchange", "")})
    except FilterError as error:
        return HttpResponse(error.said, status=400, content_type="text/plain; charset=utf-8")
    names = list(visible_exchanges(request.user).values_list("name", flat=True))
    if where.exchange and where.exchange not in names:
        told = {"name": where.exchange, "known": ", ".join(names) or _("none")}
        words = _("exchange: %(name)s is none that you may view; known: %(known)s") % told
        return HttpResponse(words, status=404, content_type="text/plain; charset=utf-8")
    wanted = [where.exchange] if where.exchange else names
    record(Action.EXPORTED, f"entries as {form}", after={"filter": where.query, "exchanges": wanted})
    response = StreamingHttpResponse(_lines(wanted, where, form), content_type=FORMATS[form])
    response["Content-Disposition"] = f'attachment; filename="entries.{form}"'
    return response
