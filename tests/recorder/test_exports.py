"""A file of entries says where some are missing, and never looks whole when it is not."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from activity import history, views_export
from activity.archived import ArchiveAway, archived_back
from activity.filters import EVERYTHING, Filter
from activity.store.history import HistoryPage
from activity.wire.entries import EntryId, StreamEntry
from tests.recorder.archiving import Database, record_once, trim, write
from tests.servers import RedisServer


def exported(form: str, names: Sequence[str] = ("kraken",), where: Filter = EVERYTHING) -> list[str]:
    """The file's lines."""

    async def text() -> str:
        async with asyncio.timeout(60):
            lines: AsyncIterator[str] = views_export._lines(names, where, form)
            return "".join([part async for part in lines])

    return asyncio.run(text()).splitlines()


def with_a_gap(server: RedisServer) -> tuple[list[str], list[str]]:
    """The ids before a gap and behind it: so many were trimmed before a recorder came."""
    before = write(server, 10)
    record_once(server.url)
    behind = write(server, 20)[15:]
    trim(server, 5)
    return before, behind


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_csv_says_in_its_place_what_is_missing(
    sqlite_database: Database, redis_server: RedisServer, is_recorded: bool
) -> None:
    before, behind = with_a_gap(redis_server)
    if is_recorded:
        record_once(redis_server.url)
    lines = exported("csv")
    gap = f"# gap: kraken: the entries between {before[-1]} and {behind[0]} are no longer held"
    assert lines[0] == ",".join(views_export.COLUMNS)
    assert lines[6] == gap
    assert [row["id"] for row in csv.DictReader(line for line in lines if line != gap)] == (before + behind)[::-1]


def test_json_lines_say_it_as_an_object(sqlite_database: Database, redis_server: RedisServer) -> None:
    before, behind = with_a_gap(redis_server)
    write(redis_server, 3, "binance")
    lines = [json.loads(line) for line in exported("jsonl", ("binance", "kraken"))]
    ids = [line.get("id") for line in lines]
    assert lines[ids.index(None)] == {"gap": {"exchange": "kraken", "after": before[-1], "first": behind[0]}}
    assert ids.index(None) == ids.index(before[-1]) - 1
    assert len(lines) == 3 + 5 + 1 + 10


def test_a_csv_of_nothing_but_a_gap_has_its_head_first(sqlite_database: Database, redis_server: RedisServer) -> None:
    with_a_gap(redis_server)
    head, gap = exported("csv", where=Filter(text="nobody said this"))
    assert head.startswith("exchange,id,")
    assert gap.startswith("# gap: kraken: ")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The cursor of each page that is read; tries follow quickly."""
    cursors: list[str | None] = []
    read = views_export._read

    async def counted(*given: object, **more: str | None) -> HistoryPage:
        cursors.append(more["cursor"])
        assert len(cursors) < 100, "it asks the same for ever"
        page: HistoryPage = await read(*given, **more)  # type: ignore[arg-type]
        return page

    monkeypatch.setattr(views_export, "_read", counted)
    monkeypatch.setattr(views_export, "PAUSE_SECONDS", 0.01)
    return cursors


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("keep", [5, 0])
def test_a_database_that_is_away_ends_the_file_with_a_line_that_says_so(
    sqlite_database: Database,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    reads: list[str | None],
    form: str,
    keep: int,
) -> None:
    write(redis_server, 20)
    record_once(redis_server.url)
    trim(redis_server, keep)

    def away(*_: object) -> Iterator[StreamEntry]:
        if reads:
            raise ArchiveAway("the database cannot be read")
        yield from ()

    monkeypatch.setattr(history, "archived_back", away)
    *rows, last = exported(form)
    assert last == "# not complete: the database, which holds the older entries, cannot be read"
    assert len(rows) == keep + (form == "csv" and keep > 0)
    assert len(reads) <= views_export.TRIES + 2


def test_a_database_that_comes_back_soon_is_waited_for(
    sqlite_database: Database, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, reads: list[str | None]
) -> None:
    written = write(redis_server, 20)
    record_once(redis_server.url)
    trim(redis_server, 5)

    def away_at_first(exchange_id: int, upto: EntryId | None, event: str, step: int) -> Iterator[StreamEntry]:
        if len(reads) < views_export.TRIES:
            raise ArchiveAway("the database cannot be read")
        yield from archived_back(exchange_id, upto, event, step)

    monkeypatch.setattr(history, "archived_back", away_at_first)
    assert [json.loads(line)["id"] for line in exported("jsonl")] == written[::-1]
