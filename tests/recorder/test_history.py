"""Stream and archive read as one history: no seam, nothing doubled, nothing missing, nothing false."""

from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection

from activity.filters import Filter
from activity.history import ArchiveAway, read_entry_at, read_instances, read_last_known, read_newest_ids, read_page
from activity.store import history as stream_history
from activity.store.client import SyncClient, sync_client
from activity.wire.entries import EntryId
from tests.recorder.archiving import Database, record_once, trim, write
from tests.servers import RedisServer

KEY = "logs:network:kraken"


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[SyncClient]:
    with sync_client(redis_server.url) as opened:
        yield opened


def paged(client: SyncClient, *names: str, count: int = 70, event: str = "", cursor: str | None = None) -> list[str]:
    """The ids of all pages from a cursor to the end of the history."""
    found: list[str] = []
    for _ in range(1000):
        page = read_page(client, names, count=count, cursor=cursor, where=Filter(event=event))
        found += [str(entry.id) for _, entry in page.entries]
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise AssertionError("the history never ends")


def refuse(*_: object) -> None:
    """Every statement fails, as it does when the server has gone."""
    raise OperationalError("the server closed the connection")


@pytest.fixture
def _away(sqlite_database: Database) -> Iterator[None]:
    """The database is away."""
    with connection.execute_wrapper(refuse):
        yield


@pytest.mark.parametrize("keep", [0, 1, 69, 70, 71, 140, 299, 300])
def test_pages_go_on_in_the_archive_wherever_the_stream_was_trimmed(
    sqlite_database: Database, redis_server: RedisServer, client: SyncClient, keep: int
) -> None:
    written = write(redis_server, 300)
    whole = read_page(client, ["kraken"], count=300).entries
    record_once(redis_server.url)
    trim(redis_server, keep)
    assert paged(client, "kraken") == written[::-1]
    assert read_page(client, ["kraken"], count=300).entries == whole


def test_pages_over_several_exchanges_are_in_order_across_every_seam(
    database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    written = [
        entry_id for _ in range(5) for name in ("binance", "kraken") for entry_id in write(redis_server, 30, name)
    ]
    record_once(redis_server.url)
    trim(redis_server, 10, "binance")
    trim(redis_server, 100, "kraken")
    written += write(redis_server, 5, "binance")
    found = paged(client, "binance", "coinbase", "kraken", count=33)
    assert sorted(found, key=EntryId.parse, reverse=True) == found
    assert sorted(found) == sorted(written)


def test_only_entries_of_one_event_are_found_on_both_sides_of_the_seam(
    database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    rare = []
    with redis_server.client() as redis:
        for number in range(6):
            write(redis_server, 200)
            rare.append(redis.xadd(KEY, {"event": "rare\0" + "x" * (98 * (number % 2)), "n": number}))
    record_once(redis_server.url)
    trim(redis_server, 450)
    expected = [entry_id.decode() for entry_id in rare]
    assert paged(client, "kraken", event="rare\0", count=2) == expected[::2][::-1]
    assert paged(client, "kraken", event="rare\0" + "x" * 98, count=2) == expected[1::2][::-1]


def test_entries_that_only_the_archive_has_stand_where_they_belong(
    database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    with redis_server.client() as redis:
        old = write(redis_server, 50)
        backup = redis.dump(KEY)
        assert backup is not None
        lost = write(redis_server, 50)
        record_once(redis_server.url)
        redis.delete(KEY)
        redis.restore(KEY, 0, backup)
        record_once(redis_server.url)
    new = write(redis_server, 50)
    assert paged(client, "kraken", count=7) == (old + lost + new)[::-1]
    record_once(redis_server.url)
    assert paged(client, "kraken", count=7) == (old + lost + new)[::-1]


def test_one_entry_is_found_wherever_it_stands(
    database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    ids = [EntryId.parse(text) for text in write(redis_server, 4)]
    in_stream = [read_entry_at(client, "kraken", entry_id) for entry_id in ids]
    record_once(redis_server.url)
    trim(redis_server, 1)
    assert [read_entry_at(client, "kraken", entry_id) for entry_id in ids] == in_stream
    assert read_entry_at(client, "binance", ids[0]) is None
    assert read_entry_at(client, "kraken", EntryId(1, 1)) is None
    assert read_entry_at(client, "kraken", EntryId((1 << 64) - 1, 0)) is None


def test_the_last_known_state_of_an_offline_exchange_comes_from_the_archive(
    database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    write(redis_server, 3)
    expected = stream_history.read_last_known(client, "kraken")
    record_once(redis_server.url)
    trim(redis_server, 0)
    assert read_last_known(client, "kraken") == expected
    (view,) = read_instances(client, [(3, "kraken")])
    assert (view.last_known, view.last_error) == expected
    assert read_last_known(client, "coinbase") == (None, None)


def test_the_newest_id_of_an_empty_stream_is_that_of_the_archive(
    database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    written = write(redis_server, 3)
    record_once(redis_server.url)
    trim(redis_server, 0)
    assert read_newest_ids(client, ["kraken", "coinbase"]) == {"kraken": written[-1], "coinbase": "0-0"}


@pytest.mark.parametrize("cursor", ["1-1@kraken", "18446744073709551615-18446744073709551615@kraken", "5-0@kraken"])
def test_any_cursor_is_taken(database: Database, redis_server: RedisServer, client: SyncClient, cursor: str) -> None:
    written = write(redis_server, 3)
    record_once(redis_server.url)
    trim(redis_server, 1)
    expected = written[::-1] if cursor.startswith("18") else []
    assert paged(client, "kraken", cursor=cursor) == expected


# --- while the database is away ---


def test_a_page_ends_with_a_cursor_from_which_it_goes_on_later(
    database: Database, redis_server: RedisServer, client: SyncClient
) -> None:
    written = write(redis_server, 100)
    record_once(redis_server.url)
    trim(redis_server, 40)
    with connection.execute_wrapper(refuse):
        full = read_page(client, ["kraken"], count=30)
        short = read_page(client, ["kraken"], count=30, cursor=full.next_cursor)
        none = read_page(client, ["kraken"], count=30, cursor=short.next_cursor)
    assert (len(full.entries), len(short.entries), len(none.entries)) == (30, 10, 0)
    assert none.next_cursor == short.next_cursor is not None
    shown = [str(entry.id) for page in (full, short) for _, entry in page.entries]
    assert shown + paged(client, "kraken", cursor=none.next_cursor) == written[::-1]


@pytest.mark.usefixtures("_away")
def test_exchanges_that_have_no_entries_do_not_keep_others_from_being_shown(
    redis_server: RedisServer, client: SyncClient
) -> None:
    written = write(redis_server, 5)
    page = read_page(client, ["binance", "kraken"], count=30)
    assert [str(entry.id) for _, entry in page.entries] == written[::-1]
    assert page.next_cursor == f"{written[0]}@kraken"
    empty = read_page(client, ["binance", "coinbase"], count=30)
    assert (empty.entries, bool(empty.next_cursor)) == ([], True)


@pytest.mark.usefixtures("_away")
def test_what_the_stream_tells_is_told_and_nothing_else_is_claimed(
    redis_server: RedisServer, client: SyncClient
) -> None:
    (written,) = write(redis_server, 1)
    known, error = read_last_known(client, "kraken")
    assert known is not None
    assert error is not None
    with pytest.raises(ArchiveAway, match="cannot be read: the server closed the connection"):
        read_last_known(client, "binance")
    assert read_entry_at(client, "kraken", EntryId.parse(written)) == known
    with pytest.raises(ArchiveAway):
        read_entry_at(client, "kraken", EntryId(1, 1))
    assert read_newest_ids(client, ["binance", "kraken"]) == {"kraken": written}
