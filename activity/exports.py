"""Rows as files of any size: CSV that no spreadsheet executes, and JSON lines. Streamed, one batch in memory."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

from channels.db import database_sync_to_async
from django.db.models import Model, QuerySet
from django.http import StreamingHttpResponse

#: Rows that are read, written and sent at once.
BATCH: Final = 1000
FORMATS: Final = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}
#: A spreadsheet takes a cell that begins so for a formula. A quote before it makes it a text.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", " ")

#: A row's columns, by name.
Columns = Callable[[Any], dict[str, Any]]


def cell(value: Any) -> str:
    """A CSV cell that stays a text in every spreadsheet."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_lines(rows: Sequence[dict[str, Any]], *, head: bool) -> str:
    """The rows as CSV (RFC 4180), with their names before them where asked."""
    out = io.StringIO()
    writer = csv.writer(out)
    if head and rows:
        writer.writerow(rows[0])
    writer.writerows([cell(value) for value in row.values()] for row in rows)
    return out.getvalue()


def json_lines(rows: Sequence[dict[str, Any]]) -> str:
    """One JSON object per line."""
    return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)


def _batch(queryset: QuerySet[Any], after: int, columns: Columns) -> tuple[list[dict[str, Any]], int]:
    rows: list[Model] = list(queryset.filter(pk__gt=after)[:BATCH])
    return [columns(row) for row in rows], rows[-1].pk if rows else after


async def _stream(queryset: QuerySet[Any], columns: Columns, form: str) -> AsyncIterator[str]:
    read = database_sync_to_async(_batch, thread_sensitive=False)  # a long export holds up nobody's page
    after, first = 0, True
    while True:
        rows, after = await read(queryset, after, columns)
        if not rows:
            return
        yield csv_lines(rows, head=first) if form == "csv" else json_lines(rows)
        first = False


def export(queryset: QuerySet[Any], columns: Columns, form: str, name: str) -> StreamingHttpResponse:
    """A download of every row of a queryset whose keys are numbers above 0, oldest first. `form` is one of FORMATS."""
    response = StreamingHttpResponse(_stream(queryset.order_by("pk"), columns, form), content_type=FORMATS[form])
    response["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    response["Cache-Control"] = "no-store"
    return response
