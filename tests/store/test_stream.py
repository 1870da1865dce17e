"""Appending to a stream and reading it, against every Redis that we promise to run on."""

import time
from collections.abc import AsyncIterator

import pytest

from activity.store.client import (
    AsyncClient,
    KeyUnreadable,
    StoreUnavailable,
    SyncClient,
    async_client,
    name_of,
    require_redis,
    sync_client,
)
from activity.store.history import (
    HistoryPage,
    Position,
    collect,
    newest_first,
    read_last_known,
    read_newest_ids,
    read_page_heads,
)
from activity.store.once import append_once
from activity.store.stream import RETENTION_MILLISECONDS, append
from activity.wire.entries import EntryId
from tests.servers import RedisServer

ERROR = {"event": "error", "timestamp": "t", "error": "e"}


@pytest.fixture
async def client(every_redis: RedisServer) -> AsyncIterator[AsyncClient]:
    opened = async_client(every_redis.url)
    yield opened
    await opened.aclose()


async def test_an_append_trims_what_is_older_than_ninety_days(client: AsyncClient, every_redis: RedisServer) -> None:
    now = int(time.time() * 1000)
    with every_redis.client() as redis:
        pipeline = redis.pipeline()
        for number in range(1000):  # more than a node of the stream: trimming is by whole nodes
            pipeline.xadd("logs:network:kraken", ERROR, id=f"{now - RETENTION_MILLISECONDS - 60_000}-{number}")
        pipeline.xadd("logs:network:kraken", ERROR, id=f"{now - RETENTION_MILLISECONDS + 60_000}-0")
        pipeline.execute()
        await append(client, "Kraken", ERROR)
        assert redis.xlen("logs:network:kraken") < 200
        kept = redis.xrange("logs:network:kraken", min=now - RETENTION_MILLISECONDS)
        assert len(kept) == 2


async def test_redis_trouble_is_one_kind_of_error(every_redis: RedisServer) -> None:
    with every_redis.client() as redis:
        redis.set("logs:network:kraken", "not a stream")
    client = async_client(every_redis.url)
    with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
        await append(client, "kraken", ERROR)
    await client.aclose()
    nowhere = async_client("unix:///nowhere/redis.sock")
    with pytest.raises(StoreUnavailable):
        await append(nowhere, "kraken", ERROR)
    await nowhere.aclose()


@pytest.mark.parametrize("after", [EntryId(0, 0), EntryId(2**64 - 1, 2**64 - 1)])
async def test_a_key_that_nothing_can_be_appended_to_is_told_from_a_redis_that_is_away(
    client: AsyncClient, every_redis: RedisServer, after: EntryId
) -> None:
    with every_redis.client() as redis:
        redis.set("logs:network:kraken", "not a stream")
        with pytest.raises(KeyUnreadable):
            await append_once(client, "kraken", ERROR, event_id="one", after=after)
        redis.delete("logs:network:kraken")
        redis.xadd("logs:network:kraken", ERROR, id=f"{2**64 - 1}-{2**64 - 1}")
    with pytest.raises(KeyUnreadable):
        await append_once(client, "kraken", ERROR, event_id="one", after=after)


def test_last_known_is_the_newest_entry_that_tells_a_state(every_redis: RedisServer) -> None:
    client = sync_client(every_redis.url)
    with every_redis.client() as redis:
        assert read_last_known(client, "kraken") == (None, None)
        redis.xadd("logs:network:kraken", {**ERROR, "state": "warming"})
        for _ in range(250):
            redis.xadd("logs:network:kraken", {"event": "gossip"})
    known, _ = read_last_known(client, "kraken")
    client.close()
    assert known is not None
    assert known.state == "warming"


def read_page(client: SyncClient, names: list[str], *, count: int, cursor: str | None = None) -> HistoryPage:
    position = Position.parse(cursor) if cursor is not None else None
    heads = read_page_heads(client, names, position, count)
    return collect(
        names,
        lambda name, upto: newest_first(client, name, upto, head=heads.get(name)),
        count=count,
        position=position,
        wanted=lambda entry: True,
    )


def test_pages_of_a_busy_exchange_among_quiet_ones_and_a_broken_one_hold_every_entry_once(
    every_redis: RedisServer,
) -> None:
    client = sync_client(every_redis.url)
    names = ["busy", "broken", *(f"quiet-{number}" for number in range(20))]
    written = []
    with every_redis.client() as redis:
        redis.set("logs:network:broken", "not a stream")
        for number in range(1, 301):
            for name in ["busy", names[2 + number % 20]] if number % 7 == 0 else ["busy"]:
                redis.xadd(f"logs:network:{name}", ERROR, id=f"{number}-1")
                written.append((name, number))
    found: list[tuple[str, int]] = []
    cursor = None
    while True:
        page = read_page(client, names, count=50, cursor=cursor)
        found += [(name, entry.id.milliseconds) for name, entry in page.entries]
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page.entries) == 50
    client.close()
    assert found == sorted(written, key=lambda one: (-one[1], one[0]))


def test_a_page_of_many_exchanges_ends_where_the_history_ends(every_redis: RedisServer) -> None:
    client = sync_client(every_redis.url)
    with every_redis.client() as redis:
        for name in ("a", "b"):
            for number in range(150):
                redis.xadd(f"logs:network:{name}", ERROR, id=f"{number + 1}-1")
    first = read_page(client, ["a", "b"], count=200)
    rest = read_page(client, ["a", "b"], count=200, cursor=first.next_cursor)
    newest = read_newest_ids(client, ["a", "c"])
    client.close()
    identities = [(name, entry.id) for name, entry in first.entries + rest.entries]
    assert len(identities) == len(set(identities)) == 300
    assert [entry_id for _, entry_id in identities] == sorted((i for _, i in identities), reverse=True)
    assert rest.next_cursor is None
    assert newest == {"a": "150-1", "c": "0-0"}


def test_a_url_is_shown_without_its_secrets() -> None:
    assert name_of("rediss://user:secret@redis.example:6380/2?password=x") == "rediss://redis.example:6380/2"
    assert name_of("unix:///run/redis.sock?password=x") == "unix:///run/redis.sock"


def test_a_server_that_is_too_old_is_refused(every_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    client = sync_client(every_redis.url)
    assert require_redis(client).startswith(("6.2", "7."))
    monkeypatch.setattr("activity.store.client.OLDEST_REDIS", (99, 0))
    with pytest.raises(StoreUnavailable, match=r"too old: at least 99\.0"):
        require_redis(client)
    client.close()
