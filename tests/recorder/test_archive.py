"""The archive holds what the streams held: every entry once, byte by byte, whatever happens to the recorder."""

import signal
import threading
from pathlib import Path

import pytest
from django.db import connection

from activity.models import ArchiveCursor, ArchivedEntry, Exchange
from activity.recorder import archive as archive_module
from activity.recorder import follow, writing
from activity.store import reading
from activity.store.client import AsyncClient
from activity.store.reading import Reading
from activity.wire.entries import EntryId, read_entry
from tests.postgres import PostgresServer
from tests.recorder.archiving import (
    Database,
    gaps,
    in_archive,
    in_stream,
    record_once,
    recording,
    trim,
    write,
)
from tests.servers import RedisServer
from tests.waiting import eventually

KEY = "logs:network:kraken"
#: Names and values as one XADD takes them.
STRANGE: list[list[bytes]] = [
    [b"event", b"error", b"error", b"twice", b"error", b"named", b"event", b"again"],
    [b"\xff\xfe", b"\xc3\x28", b"ip", b"\x00\x00", b"", b""],
    [b"event", b"error", b"timestamp", b"t", b"error", b"a\x00b" + "ü…😀".encode(), b"state", b"active"],
    [b"event", b"error", b"timestamp", b"t", b"error", bytes(range(256)) * 280, b"hostname", b"h" * 1000],
    [b"event", b"gossip\x00" + b"x" * 300, b"id", b"mine", b"5:event,", b"3:,,,"],
    [b"event", b"state_transition", b"timestamp", b"t", b"fromState", b"idle", b"toState", b"starting"],
]


def test_every_byte_of_strange_entries_is_kept_and_reads_as_it_read_in_the_stream(
    database: Database, redis_server: RedisServer
) -> None:
    with redis_server.client() as client:
        for pairs in STRANGE:
            client.execute_command("XADD", KEY, "*", *pairs)
    record_once(redis_server.url)

    stream = in_stream(redis_server.url)
    assert in_archive() == stream
    assert [pairs for _, pairs in stream] == STRANGE
    rows = list(ArchivedEntry.objects.order_by("ms", "seq"))
    assert [row.entry for row in rows] == [read_entry(entry_id, pairs) for entry_id, pairs in stream]
    assert rows[2].text == "a\u2400bü…😀"
    assert (rows[3].text.count("\u2400") > 1, len(rows[3].text), len(rows[3].host)) == (True, 10_000, 255)
    assert (rows[4].event[:8], len(rows[4].event)) == ("gossip\u2400x", 100)
    assert (rows[5].text, rows[5].state) == ("idle → starting", "starting")


def test_what_somebody_archived_without_asking_the_cursor_is_not_doubled_and_the_rest_is_added(
    database: Database, redis_server: RedisServer
) -> None:
    written = write(redis_server, 20)
    record_once(redis_server.url)
    ArchivedEntry.objects.exclude(ms=int(written[7].split("-")[0]), seq=int(written[7].split("-")[1])).delete()
    ArchiveCursor.objects.update(ms=0, seq=0)
    record_once(redis_server.url)
    assert [str(row.entry_id) for row in ArchivedEntry.objects.order_by("ms", "seq")] == written
    assert gaps() == []


def test_two_recorders_double_nothing_and_the_second_takes_over_from_the_first(
    database: Database, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "STAND_BY_SECONDS", 0.05)
    monkeypatch.setattr(follow, "MOST_ENTRIES", 100)
    write(redis_server, 3000)
    with recording(redis_server.url) as one, recording(redis_server.url):
        writer = threading.Thread(target=lambda: [write(redis_server, 100) for _ in range(20)], name="writer")
        writer.start()
        writer.join()
        eventually(lambda: ArchivedEntry.objects.count() == 5000)
        one.stop()
        write(redis_server, 10)
        eventually(lambda: ArchivedEntry.objects.count() == 5010)
    assert in_archive() == in_stream(redis_server.url)
    assert gaps() == []


def test_exchanges_come_and_go_while_it_runs(
    sqlite_database: Database, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "LOOK_SECONDS", 0.05)
    with recording(redis_server.url):
        write(redis_server, 1, "okx")
        Exchange.objects.create(id=9, name="okx", display_name="OKX")
        eventually(lambda: len(in_archive("okx")) == 1)
        Exchange.objects.filter(name="okx").update(active=False)

        def is_left_alone() -> bool:
            with redis_server.client() as client:
                waiting = [other for other in client.client_list() if other["cmd"] == "xread"]
            return len(waiting) == 3

        eventually(is_left_alone)
        late = write(redis_server, 2, "okx")
        write(redis_server, 1, "binance")
        eventually(lambda: len(in_archive("binance")) == 1)
        assert len(in_archive("okx")) == 1
        Exchange.objects.filter(name="okx").update(active=True)
        eventually(lambda: [entry_id for entry_id, _ in in_archive("okx")][1:] == late)


def test_redis_may_go_away_and_come_back(sqlite_database: Database, own_redis: RedisServer) -> None:
    with recording(own_redis.url):
        write(own_redis, 10)
        eventually(lambda: len(in_archive()) == 10)
        own_redis.stop()
        own_redis.start()
        write(own_redis, 10)
        eventually(lambda: len(in_archive()) == 20)
    assert in_archive() == in_stream(own_redis.url)
    assert gaps() == []


def test_the_database_may_go_away_and_come_back(
    postgres_database: Database, postgres: PostgresServer, redis_server: RedisServer
) -> None:
    with recording(redis_server.url):
        write(redis_server, 10)
        eventually(lambda: len(in_archive()) == 10)
        with postgres.connect() as admin:
            admin.execute("ALTER ROLE perseus NOLOGIN")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'perseus'")
            write(redis_server, 10)
            try:
                assert "the database is away" in record_once(redis_server.url).behind
            finally:
                admin.execute("ALTER ROLE perseus LOGIN")
        connection.close()
        eventually(lambda: len(in_archive()) == 20)
    assert in_archive() == in_stream(redis_server.url)
    assert gaps() == []


def batch_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Entries of each batch from now on."""
    sizes: list[int] = []

    def store(exchange_id: int, batch: writing.Batch, step: writing.Step) -> str:
        sizes.append(len(batch.entries))
        return writing.store(exchange_id, batch, step)

    monkeypatch.setattr(follow, "store", store)
    return sizes


def test_large_entries_come_in_small_batches(
    sqlite_database: Database, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "BATCH_BYTES", 200_000)
    with redis_server.client() as client:
        for _ in range(400):
            client.xadd(KEY, {"event": "error", "error": "x" * 10_000})
    sizes = batch_sizes(monkeypatch)
    record_once(redis_server.url)
    assert in_archive() == in_stream(redis_server.url)
    assert sizes[-1] < sizes[0]
    assert min(sizes) >= 1


def test_full_readings_are_stored_together_on_postgres_and_one_by_one_on_sqlite(
    database: Database, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(redis_server, 16_000)
    sizes = batch_sizes(monkeypatch)
    record_once(redis_server.url)
    assert max(sizes) == (8000 if connection.vendor == "postgresql" else 1000)
    assert in_archive() == in_stream(redis_server.url)
    record_once(redis_server.url)  # another run adds nothing
    assert sum(sizes) == ArchivedEntry.objects.count() == 16_000
    assert gaps() == []


def test_a_gap_that_opens_between_two_readings_of_one_batch_is_recorded(
    database: Database, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = write(redis_server, 2000)
    readings: list[EntryId] = []

    async def read_on(client: AsyncClient, name: str, cursor: EntryId, count: int) -> Reading:
        if name == "kraken":
            readings.append(cursor)
        if name == "kraken" and len(readings) == 2:
            trim(redis_server, 100)
        return await reading.read_on(client, name, cursor, count)

    monkeypatch.setattr(follow, "read_on", read_on)
    record_once(redis_server.url)
    assert [entry_id for entry_id, _ in in_archive()] == written[:250] + written[-100:]
    assert gaps() == [(written[249], written[-100], "trimmed")]


# --- the command ---


def test_once_catches_up_says_so_and_ends_with_0(database: Database, redis_server: RedisServer) -> None:
    write(redis_server, 10_000)  # behind the first batch there must be enough left to be worth a word
    code, said = database.run(redis_server.url, "manage.py", "recorder", "--once")
    assert code == 0, said
    assert "caught up: 10,000 entries in" in said
    assert in_archive() == in_stream(redis_server.url)


def test_once_says_what_is_away_and_ends_with_1(sqlite_database: Database) -> None:
    code, said = sqlite_database.run("unix:///nowhere/redis.sock", "manage.py", "recorder", "--once")
    assert code == 1, said
    assert "Not caught up: Redis is away" in said
    assert "Traceback" not in said


def test_it_follows_until_it_is_asked_to_end(database: Database, redis_server: RedisServer) -> None:
    with database.start(redis_server.url, "manage.py", "recorder") as process:
        try:
            write(redis_server, 3)
            eventually(lambda: len(in_archive()) == 3, within=40)
            # It waits for more: between two entries nothing happens.
            with redis_server.client() as client:
                eventually(lambda: [other for other in client.client_list() if other["cmd"] == "xread"])
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0, said
    assert "SIGTERM: ending" in said


def test_a_database_that_is_not_ready_is_refused(tmp_path: Path, redis_server: RedisServer) -> None:
    empty = Database({"PERSEUS_DATA": str(tmp_path), "PERSEUS_SECRET_KEY": "for this test only" * 4})
    code, said = empty.run(redis_server.url, "manage.py", "recorder")
    assert code == 2
    assert "manage.py prepare" in said


def test_a_stream_key_that_is_no_stream_is_said_and_does_not_end_the_others(
    sqlite_database: Database, redis_server: RedisServer
) -> None:
    with redis_server.client() as client:
        client.set("logs:network:binance", "no stream")
        with recording(redis_server.url):
            write(redis_server, 2)
            eventually(lambda: len(in_archive()) == 2)
            client.delete("logs:network:binance")
            write(redis_server, 2, "binance")
            eventually(lambda: len(in_archive("binance")) == 2)
