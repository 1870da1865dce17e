"""Where entries are missing is said among those that are there: once, at its place, and nowhere else."""

from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection

from activity.filters import Filter
from activity.history import read_page
from activity.models.archive import LARGEST
from activity.rows import rows_of
from activity.store.client import SyncClient, sync_client
from activity.store.history import HistoryPage, Position
from activity.wire.entries import EntryId
from tests.recorder.archiving import Database, record_once, trim, write
from tests.servers import RedisServer

KEY = "logs:network:kraken"


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[SyncClient]:
    with sync_client(redis_server.url) as opened:
        yield opened


def pages(client: SyncClient, count: int, *names: str) -> Iterator[HistoryPage]:
    cursor: str | None = None
    while True:
        page = read_page(client, names or ["kraken"], count=count, cursor=cursor)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return


def said(client: SyncClient, count: int = 200, *names: str) -> list[tuple[str, str | None]]:
    """(after, first) of every gap of every page."""
    return [
        (str(gap.after), str(gap.first) if gap.first else None)
        for page in pages(client, count, *names)
        for gap in page.gaps
    ]


def shown(client: SyncClient, count: int) -> list[str]:
    """What all pages show, entries by their id, a gap as a rule."""
    rows = [row for page in pages(client, count) for row in rows_of(page)]
    return ["---" if row.kind == "gap" else row.id for row in rows]


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "before it is recorded"])
def test_a_gap_stands_between_its_entries_however_long_a_page_is(
    database: Database, redis_server: RedisServer, client: SyncClient, recorded: bool
) -> None:
    old = write(redis_server, 3)
    record_once(redis_server.url)
    write(redis_server, 4)
    new = write(redis_server, 3)
    trim(redis_server, 3)
    if recorded:
        record_once(redis_server.url)
    expected = [*new[::-1], "---", *old[::-1]]
    for count in range(1, 9):
        assert shown(client, count) == expected, count
    assert said(client) == [(old[-1], new[0])]
    if recorded:
        trim(redis_server, 0)
        assert shown(client, 2) == expected


def test_several_gaps_of_several_exchanges_are_each_said_once(
    sqlite_database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    expected = []
    for name in ("binance", "kraken", "binance"):
        last = write(redis_server, 2, name)[-1]
        record_once(redis_server.url)
        write(redis_server, 3, name)
        trim(redis_server, 1, name)
        record_once(redis_server.url)
        with redis_server.client() as redis:
            first = redis.xrange(f"logs:network:{name}", count=1)[0][0].decode()
        expected.append((last, first))
    for count in (1, 2, 3, 50):
        assert said(client, count, "binance", "coinbase", "kraken") == expected[::-1]


def test_what_was_archived_before_it_was_trimmed_is_not_missing(
    sqlite_database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    write(redis_server, 5)
    assert said(client) == []
    record_once(redis_server.url)
    assert said(client) == []
    write(redis_server, 5)  # the recorder has yet to read them
    trim(redis_server, 6)
    assert said(client) == []
    record_once(redis_server.url)
    trim(redis_server, 2)
    assert said(client) == []
    trim(redis_server, 0)
    assert said(client) == []


def test_without_an_archive_nothing_is_claimed(
    sqlite_database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    write(redis_server, 5)
    trim(redis_server, 2)
    assert said(client) == []


def test_entries_that_follow_each_other_leave_no_room_for_a_missing_one(
    sqlite_database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    write(redis_server, 3, at=EntryId(1000, 1))
    record_once(redis_server.url)
    write(redis_server, 3, at=EntryId(1000, 4))
    trim(redis_server, 3)
    assert said(client) == []


def test_a_stream_that_is_gone_or_began_anew_is_said_above_what_is_left(
    sqlite_database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    old = write(redis_server, 3)
    record_once(redis_server.url)
    with redis_server.client() as redis:
        redis.delete(KEY)
    assert said(client) == [(old[-1], None)]
    anew = write(redis_server, 2, at=EntryId(5, 1))
    record_once(redis_server.url)
    assert shown(client, 2) == ["---", *old[::-1], *anew[::-1]]
    trouble, *_ = [row.words for page in pages(client, 9) for row in rows_of(page) if row.kind == "gap"]
    assert trouble == f"kraken: its history began anew; what followed {old[-1]} is no longer held"


def test_an_id_that_the_archive_cannot_hold_is_missing_only_when_the_stream_has_lost_it(
    sqlite_database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    with redis_server.client() as redis:
        redis.xadd(KEY, {"event": "a"}, id="7-1")
        redis.xadd(KEY, {"event": "b"}, id=f"7-{LARGEST + 1}")
        redis.xadd(KEY, {"event": "c"}, id="8-1")
    record_once(redis_server.url)
    assert said(client) == []
    trim(redis_server, 1)
    assert said(client) == [("7-1", "8-1")]


def test_a_search_says_gaps_as_well(sqlite_database: Database, redis_server: RedisServer, client: SyncClient) -> None:
    old = write(redis_server, 2)
    record_once(redis_server.url)
    write(redis_server, 3)
    trim(redis_server, 1)
    record_once(redis_server.url)
    page = read_page(client, ["kraken"], count=10, where=Filter(event="nothing like it"))
    assert page.entries == []
    assert [str(gap.after) for gap in page.gaps] == [old[-1]]


def test_while_the_database_is_away_no_gap_is_made_up(
    sqlite_database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("the server closed the connection")

    write(redis_server, 2)
    record_once(redis_server.url)
    new = write(redis_server, 3)
    trim(redis_server, 2)
    with connection.execute_wrapper(refuse):
        page = read_page(client, ["kraken"], count=10)
    assert [str(entry.id) for _, entry in page.entries] == new[:0:-1]
    assert page.gaps == []
    assert page.next_cursor == str(Position(EntryId.parse(new[1]), "kraken"))
