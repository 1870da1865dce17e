"""However many exchanges are behind, what is read of them and not stored yet has a bound, and nobody waits for ever."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from django.db import OperationalError

from activity.models import ArchivedEntry, Exchange
from activity.recorder import follow, writing
from activity.recorder.room import Room, bytes_held
from activity.store import reading
from activity.store.client import AsyncClient
from activity.store.reading import Reading
from activity.wire.entries import EntryId, RawEntry
from tests.recorder.archiving import Database, in_archive, in_stream, record_once, recording, write
from tests.servers import RedisServer
from tests.waiting import eventually

MANY = [f"many{number}" for number in range(20)]
EACH = 3000
#: Three first readings, of which nobody knows how large they are, or a batch and a half on Postgres.
BOUND = 4 << 20


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> list[Room]:
    """A small bound, and the rooms that recorders make from now on."""
    made: list[Room] = []

    def room(size: int) -> Room:
        made.append(Room(size))
        return made[-1]

    monkeypatch.setattr(follow, "HELD_BYTES", BOUND)
    monkeypatch.setattr(follow, "Room", room)
    return made


def many_are_behind(server: RedisServer, each: int = EACH) -> None:
    for number, name in enumerate(MANY, start=100):
        Exchange.objects.create(id=number, name=name, display_name=name)
        write(server, each, name)


class Held:
    """What is held by the measure of the test: from the end of a reading to the end of its storing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most = self._now = 0
        self._lock = threading.Lock()  # readings end on the loop, storing in the database's thread
        monkeypatch.setattr(follow, "read_on", self._read_on)
        monkeypatch.setattr(follow, "store", self._store)

    def _add(self, entries: Sequence[RawEntry], sign: int) -> None:
        size = sum(sum(map(len, entry.pairs)) for entry in entries)
        with self._lock:
            self._now += sign * bytes_held(entries, size)
            self.most = max(self.most, self._now)

    async def _read_on(self, client: AsyncClient, name: str, cursor: EntryId, count: int) -> Reading:
        found = await reading.read_on(client, name, cursor, count)
        self._add(found.entries, 1)
        return found

    def _store(self, exchange_id: int, batch: writing.Batch, step: writing.Step) -> str:
        outcome = writing.store(exchange_id, batch, step)
        self._add(batch.entries, -1)
        return outcome


def test_many_exchanges_that_are_behind_never_hold_more_than_the_bound(
    database: Database, redis_server: RedisServer, rooms: list[Room], monkeypatch: pytest.MonkeyPatch
) -> None:
    many_are_behind(redis_server)
    held = Held(monkeypatch)
    record_once(redis_server.url)
    assert ArchivedEntry.objects.count() == len(MANY) * EACH
    assert BOUND // 2 < held.most <= BOUND
    assert rooms[0].used == 0


def test_a_database_that_fails_now_and_then_leaves_no_room_taken(
    sqlite_database: Database, redis_server: RedisServer, rooms: list[Room], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    def store(exchange_id: int, batch: writing.Batch, step: writing.Step) -> str:
        nonlocal tries
        tries += 1
        if tries % 3 == 0:
            raise OperationalError("the server closed the connection")
        return writing.store(exchange_id, batch, step)

    monkeypatch.setattr(follow, "store", store)
    monkeypatch.setattr(follow, "FIRST_PAUSE", 0.01)
    many_are_behind(redis_server, 1000)
    with recording(redis_server.url):
        eventually(lambda: ArchivedEntry.objects.count() == len(MANY) * 1000)
        eventually(lambda: rooms[0].used == 0)
    assert all(in_archive(name) == in_stream(redis_server.url, name) for name in MANY)


def test_a_recorder_that_is_ended_in_the_midst_of_it_leaves_no_room_taken(
    sqlite_database: Database, redis_server: RedisServer, rooms: list[Room]
) -> None:
    many_are_behind(redis_server)
    with recording(redis_server.url):
        eventually(lambda: ArchivedEntry.objects.exists())
    assert ArchivedEntry.objects.count() < len(MANY) * EACH
    assert rooms[0].used == 0


# --- the room by itself ---


async def test_who_follows_live_goes_before_those_that_catch_up() -> None:
    room, order = Room(100), list[str]()

    async def come(name: str, *, live: bool) -> None:
        with await room.take(60, live=live):
            order.append(name)
            await asyncio.sleep(0)

    first = await room.take(60, live=False)
    async with asyncio.TaskGroup() as group:
        for name in ("behind", "behind too"):
            group.create_task(come(name, live=False))
        group.create_task(come("live", live=True))
        await asyncio.sleep(0)
        first.give_back()
    assert order == ["live", "behind", "behind too"]
    assert room.used == 0


async def test_a_little_is_had_at_once_by_who_follows_live_though_others_wait_for_much() -> None:
    room = Room(100)
    with await room.take(60, live=False):
        waits = asyncio.create_task(room.take(60, live=False))
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            (await room.take(10, live=True)).give_back()
        assert not waits.done()
    (await waits).give_back()
    assert room.used == 0


async def test_more_than_all_of_it_is_all_of_it() -> None:
    room = Room(100)
    share = await room.take(1000, live=False)
    waits = asyncio.create_task(room.take(1, live=True))
    await asyncio.sleep(0)
    assert (room.used, waits.done()) == (100, False)
    share.give_back()
    (await waits).give_back()
    assert room.used == 0


async def test_who_has_some_gets_more_at_once_or_not_at_all() -> None:
    room = Room(100)
    share = await room.take(40, live=False)
    assert share.grow(40)
    assert not share.grow(40)
    waits = asyncio.create_task(room.take(50, live=True))
    await asyncio.sleep(0)
    assert not share.grow(10), "somebody live waits for it"
    share.set(130)  # what was read was larger than thought
    assert room.used == 130
    share.give_back()
    share.give_back()
    assert room.used == 50
    (await waits).give_back()


@pytest.mark.parametrize("is_granted", [False, True])
async def test_a_wait_that_is_cancelled_takes_nothing_and_the_next_one_has_its_turn(is_granted: bool) -> None:
    room = Room(100)
    first = await room.take(100, live=False)
    waits = [asyncio.create_task(room.take(100, live=False)) for _ in range(2)]
    await asyncio.sleep(0)
    if is_granted:
        first.give_back()  # granted, and cancelled before it hears of it
    waits[0].cancel()
    await asyncio.wait({waits[0]})
    assert waits[0].cancelled()
    first.give_back()
    async with asyncio.timeout(5):
        (await waits[1]).give_back()
    assert room.used == 0
