"""What nobody can read any more is written down as a gap, and a stream that begins anew is read from its start."""

import logging

import pytest

from activity.models import ArchiveCursor
from activity.models.archive import LARGEST
from activity.wire.entries import EntryId
from tests.recorder.archiving import Database, gaps, in_archive, in_stream, record_once, recording, trim, write
from tests.servers import RedisServer
from tests.waiting import eventually

KEY = "logs:network:kraken"


def ids(exchange: str = "kraken") -> list[str]:
    return [entry_id for entry_id, _ in in_archive(exchange)]


def test_entries_that_were_trimmed_before_they_were_read_are_a_gap(
    database: Database, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    first = write(redis_server, 5)
    record_once(redis_server.url)
    missed = write(redis_server, 10)
    trim(redis_server, 4)
    with caplog.at_level(logging.WARNING):
        record_once(redis_server.url)
    assert ids() == first + missed[6:]
    assert gaps() == [(first[-1], missed[6], "trimmed")]
    assert f"kraken: entries after {first[-1]} and before {missed[6]} may be missing" in caplog.text
    record_once(redis_server.url)
    assert len(gaps()) == 1


def test_a_stream_that_was_trimmed_to_nothing_leaves_a_gap_that_the_next_entry_closes(
    database: Database, redis_server: RedisServer
) -> None:
    first = write(redis_server, 2)
    record_once(redis_server.url)
    missed = write(redis_server, 3)
    trim(redis_server, 0)
    record_once(redis_server.url)
    record_once(redis_server.url)
    assert gaps() == [(first[-1], None, "trimmed")]
    later = write(redis_server, 2)
    record_once(redis_server.url)
    # The second one is caution: whether anything stood between them is not to be known.
    assert gaps() == [(first[-1], later[0], "trimmed"), (missed[-1], later[0], "trimmed")]
    assert ids() == first + later


def test_what_was_read_may_be_trimmed_without_a_gap(sqlite_database: Database, redis_server: RedisServer) -> None:
    first = write(redis_server, 10)
    record_once(redis_server.url)
    trim(redis_server, 1)
    later = write(redis_server, 5)
    record_once(redis_server.url)
    trim(redis_server, 0)
    record_once(redis_server.url)
    assert ids() == first + later
    assert gaps() == []


def test_a_stream_that_begins_anew_is_recorded_as_such_and_read_from_its_start(
    database: Database, redis_server: RedisServer
) -> None:
    first = write(redis_server, 3)
    record_once(redis_server.url)
    with redis_server.client() as client:
        client.delete(KEY)
    anew = write(redis_server, 3, at=EntryId(5, 1))
    record_once(redis_server.url)
    assert ids() == anew + first
    assert gaps() == [(first[-1], None, "recreated")]
    assert ArchiveCursor.objects.get(exchange__name="kraken").restarts == 1


def test_a_stream_that_begins_anew_is_noticed_while_nothing_can_arrive(
    sqlite_database: Database, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activity.store.reading.BLOCK_MILLISECONDS", 50)
    with recording(redis_server.url):
        first = write(redis_server, 3)
        eventually(lambda: ids() == first)
        with redis_server.client() as client:
            client.delete(KEY)
        anew = write(redis_server, 3, at=EntryId(5, 1))  # below the cursor: XREAD would never return them
        eventually(lambda: ids() == anew + first)
    assert gaps() == [(first[-1], None, "recreated")]


def test_an_older_state_of_redis_doubles_nothing_and_new_entries_are_added(
    database: Database, redis_server: RedisServer
) -> None:
    with redis_server.client() as client:
        old = write(redis_server, 5)
        backup = client.dump(KEY)
        assert backup is not None
        lost = write(redis_server, 5)
        record_once(redis_server.url)
        client.delete(KEY)
        client.restore(KEY, 0, backup)
        record_once(redis_server.url)
        new = write(redis_server, 2)
        record_once(redis_server.url)
    assert ids() == old + lost + new
    assert gaps() == [(lost[-1], new[0], "recreated")]


def test_an_id_that_is_given_to_a_second_entry_is_said_and_the_first_one_stays(
    database: Database, redis_server: RedisServer
) -> None:
    write(redis_server, 3, at=EntryId(1000, 1))
    record_once(redis_server.url)
    kept = in_archive()
    with redis_server.client() as client:
        client.delete(KEY)
        client.xadd(KEY, {"event": "error", "error": "another"}, id="1000-2")
        record_once(redis_server.url)
    assert in_archive() == kept
    assert ("1000-1", "1000-2", "conflict") in gaps()


def test_a_replica_that_lost_the_newest_entries_costs_none_of_the_next(
    database: Database, redis_server: RedisServer
) -> None:
    first = write(redis_server, 3)
    record_once(redis_server.url)
    with redis_server.client() as client:
        client.xdel(KEY, first[-1])
    later = write(redis_server, 2)
    record_once(redis_server.url)
    assert ids() == first + later
    assert gaps() == []
    assert ArchiveCursor.objects.get(exchange__name="kraken").restarts == 1


def test_an_id_that_sql_cannot_hold_is_a_gap_and_what_follows_is_kept(
    database: Database, redis_server: RedisServer
) -> None:
    with redis_server.client() as client:
        client.xadd(KEY, {"event": "a"}, id="7-1")
        client.xadd(KEY, {"event": "b"}, id=f"7-{LARGEST + 1}")
        client.xadd(KEY, {"event": "c"}, id=f"{LARGEST}-{LARGEST}")
        record_once(redis_server.url)
        client.xadd(KEY, {"event": "d"}, id=f"{LARGEST + 1}-0")
        client.xadd(KEY, {"event": "e"})
        record_once(redis_server.url)
        record_once(redis_server.url)
    assert ids() == ["7-1", f"{LARGEST}-{LARGEST}"]
    assert gaps() == [
        ("7-1", f"{LARGEST}-{LARGEST}", "beyond"),
        (f"{LARGEST}-{LARGEST}", None, "beyond"),
    ]
    assert len(in_stream(redis_server.url)) == 5
