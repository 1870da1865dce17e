"""Scrolled upwards, stream and archive read as one history, too: whole, in order, to its newest entry."""

from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection

from activity.archived import ArchiveAway
from activity.filters import Filter
from activity.history import read_page
from activity.newer import NewerPage, read_newer
from activity.rows import rows_of
from activity.store.client import SyncClient, sync_client
from activity.store.history import HistoryPage
from activity.wire.entries import EntryId
from tests.recorder.archiving import Database, record_once, trim, write
from tests.servers import RedisServer

KEY = "logs:network:kraken"
NAMES = ("binance", "coinbase", "kraken")


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[SyncClient]:
    with sync_client(redis_server.url) as opened:
        yield opened


def upwards(client: SyncClient, cursor: str, count: int = 7, where: Filter = Filter()) -> list[str]:  # noqa: B008
    """Exchange and id of all rows above a cursor, newest first, gaps as a rule."""
    found: list[str] = []
    for _ in range(1000):
        page = read_newer(client, NAMES, count=count, cursor=cursor, where=where)
        found = [*names(HistoryPage(page.entries, None, page.gaps)), *found]
        cursor = page.cursor
        if page.complete:
            return found
    raise AssertionError("the history never ends")


def names(page: HistoryPage) -> list[str]:
    return ["---" if row.kind == "gap" else f"{row.id}@{row.exchange}" for row in rows_of(page)]


def downwards(client: SyncClient, where: Filter = Filter()) -> list[str]:  # noqa: B008
    return names(read_page(client, NAMES, count=10_000, where=where))


@pytest.mark.parametrize("keep", [0, 1, 99, 100, 101, 250, 300])
def test_all_that_is_above_any_entry_is_found_wherever_the_stream_was_trimmed(
    sqlite_database: Database, redis_server: RedisServer, client: SyncClient, keep: int
) -> None:
    write(redis_server, 300)
    record_once(redis_server.url)
    trim(redis_server, keep)
    whole = downwards(client)
    assert len(whole) == 300
    for place in (0, 1, 99, 100, 150, 201, 298, 299):
        assert upwards(client, whole[place], 100) == whole[:place], place
    assert upwards(client, "0-0@kraken", 33) == whole


def test_exchanges_are_merged_in_the_order_of_pages_ids_that_they_share_included(
    database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    for at in range(1000, 1012):
        for name in NAMES:
            write(redis_server, 2 if at % 2 else 1, name, at=EntryId(at, 1))
    record_once(redis_server.url)
    trim(redis_server, 5, "binance")
    trim(redis_server, 9, "kraken")
    whole = downwards(client)
    assert len(whole) == 54
    for place, cursor in enumerate(whole):
        assert upwards(client, cursor, 4) == whole[:place], cursor


def test_a_gap_is_found_from_below_as_it_is_from_above(
    sqlite_database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    old = write(redis_server, 3)
    record_once(redis_server.url)
    write(redis_server, 4)
    new = write(redis_server, 3)
    trim(redis_server, 3)
    expected = [*[f"{one}@kraken" for one in new[::-1]], "---"]
    for count in range(1, 9):
        assert upwards(client, f"{old[-1]}@kraken", count) == expected, count
        assert upwards(client, f"{old[1]}@kraken", count) == [*expected, f"{old[2]}@kraken"], count
    assert upwards(client, f"{new[0]}@kraken") == expected[:2]


def test_entries_that_only_the_archive_has_stand_where_they_belong(
    sqlite_database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    with redis_server.client() as redis:
        write(redis_server, 5)
        backup = redis.dump(KEY)
        assert backup is not None
        write(redis_server, 5)
        record_once(redis_server.url)
        redis.delete(KEY)
        redis.restore(KEY, 0, backup)
        record_once(redis_server.url)
    write(redis_server, 5)
    whole = downwards(client)
    assert len(whole) == 15 + whole.count("---")
    assert upwards(client, "0-0@kraken", 4) == whole


def test_only_what_is_wanted_is_found_and_the_search_goes_on_where_it_ended(
    sqlite_database: Database, redis_server: RedisServer, client: SyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activity.newer.SCAN_LIMIT", 50)
    write(redis_server, 230)
    record_once(redis_server.url)
    trim(redis_server, 120)
    where = Filter(text="NUMBER 2")
    wanted = downwards(client, where)
    assert len(wanted) == 1 + 10 + 30
    assert upwards(client, "0-0@kraken", where=where) == wanted
    empty = read_newer(client, NAMES, count=7, cursor=wanted[-1], where=Filter(text="not there"))
    assert (empty.entries, empty.complete) == ([], False)


def test_while_the_database_is_away_the_stream_is_read_and_nothing_is_passed_over(
    sqlite_database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("the server closed the connection")

    write(redis_server, 10)
    record_once(redis_server.url)
    trim(redis_server, 4)
    whole = downwards(client)
    with connection.execute_wrapper(refuse):
        page = read_newer(client, ["kraken"], count=10, cursor=whole[3])
        assert (names(HistoryPage(page.entries, None)), page.complete) == (whole[:3], True)
        with pytest.raises(ArchiveAway):
            read_newer(client, ["kraken"], count=10, cursor=whole[5])


def test_what_comes_while_a_page_is_read_is_above_it(
    sqlite_database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    first, *_ = write(redis_server, 5)
    page: NewerPage = read_newer(client, NAMES, count=100, cursor=f"{first}@kraken")
    assert page.complete
    (later,) = write(redis_server, 1)
    assert upwards(client, page.cursor) == [f"{later}@kraken"]
