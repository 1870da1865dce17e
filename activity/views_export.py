"""What the feed's filter leaves, as a file of any size: the same entries that the pages show, stream and archive."""

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
from activity.store.client import StoreUnavailable, pages_client
from perseus_admin import config

#: Entries that are read, written and sent at once.
BATCH: Final = 1000
#: Columns of a CSV, which needs the same ones in every row; a JSON line has all fields of its entry.
COLUMNS: Final = (
    *("exchange", "id", "timestamp", "event", "fromState", "toState", "state", "error"),
    *("hostname", "ip", "adminEmail", "instanceId", "epoch", "correlationId"),
)

_read = database_sync_to_async(read_page, thread_sensitive=False)  # a long export holds up nobody's page


async def _lines(names: Sequence[str], where: Filter, form: str) -> AsyncIterator[str]:
    client = pages_client(config.settings().redis)
    cursor: str | None = None
    first = True
    while True:
        try:
            page = await _read(client, names, count=BATCH, cursor=cursor, where=where)
        except StoreUnavailable as error:
            # Half a file that looks whole would be worse: the last line says that it is not.
            yield f"# not complete: {error}\n"
            return
        rows = [{"exchange": name, **entry.to_json()} for name, entry in page.entries]
        if form == "jsonl":
            yield json_lines(rows)
        elif rows:
            yield csv_lines([{column: row.get(column, "") for column in COLUMNS} for row in rows], head=first)
            first = False
        cursor = page.next_cursor
        if cursor is None:
            return


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
