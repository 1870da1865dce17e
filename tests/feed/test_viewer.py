"""The hub from inside one process: what is shared, what stalls, what a failure does."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from activity.feed import hub as hub_module
from activity.feed import viewer as viewer_module
from activity.feed.hub import Tail, TailFailed
from activity.feed.service import Feed
from activity.feed.viewer import Stalled, Viewer
from activity.wire.entries import EntryId
from tests.feed.sockets import write_entries
from tests.servers import RedisServer

#: The board asks the archive for what is last known of an exchange that is offline.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def feed(redis_url: str) -> AsyncIterator[Feed]:
    opened = Feed(redis_url)
    yield opened
    await opened.farewell()


@pytest.fixture(autouse=True, params=[False, True], ids=["by its task", "at once"])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the server can write without a task, as daphne here can, and uvicorn cannot."""
    monkeypatch.setattr(Sent, "at_once", request.param)
    return bool(request.param)


class Sent:
    """What a viewer sent, and the task that runs it."""

    at_once = False

    def __init__(self, feed: Feed, exchanges: dict[str, int], **after: str) -> None:
        self.texts: list[str] = []
        cursors = {name: EntryId.parse(text) for name, text in after.items()}
        #: How many texts were written at once, and whether that works.
        self.written, self.writable = 0, True
        write = self._write if self.at_once else None
        self.viewer = Viewer(feed.hub, feed.board, self._send, cursors, write=write)
        self.viewer.show(exchanges)
        self.task = asyncio.create_task(self.viewer.run())

    async def _send(self, text: str) -> None:
        self.texts.append(text)

    def _write(self, text: str) -> bool:
        if self.writable:
            self.texts.append(text)
            self.written += 1
        return self.writable

    def acknowledge(self) -> None:
        """Everything that came so far was shown."""
        self.viewer.acknowledge({"kraken": EntryId.parse(self.ids()[-1])})

    def ids(self) -> list[str]:
        frames = [json.loads(text) for text in self.texts]
        return [entry["id"] for frame in frames if frame["type"] == "entries" for entry in frame["entries"]]

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.ids()) < count and not self.task.done():
                await asyncio.sleep(0.01)

    async def settled(self, feed: Feed) -> None:
        async with asyncio.timeout(20):
            while not any('"status"' in text for text in self.texts):
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


async def test_a_client_that_acknowledges_nothing_stalls(
    feed: Feed, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer_module, "STALL_SECONDS", 0.2)
    monkeypatch.setattr(viewer_module, "_LOOK_SECONDS", 0.05)
    written = write_entries(redis_server, "kraken", 2)
    silent = Sent(feed, {"kraken": 3}, kraken=written[0])
    with pytest.raises(Stalled):
        async with asyncio.timeout(10):
            await silent.task


async def test_a_client_to_whom_nothing_was_sent_does_not_stall(
    feed: Feed, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer_module, "STALL_SECONDS", 0.05)
    monkeypatch.setattr(viewer_module, "_LOOK_SECONDS", 0.01)
    quiet = Sent(feed, {"kraken": 3})
    await quiet.settled(feed)
    _, pending = await asyncio.wait({quiet.task}, timeout=0.3)
    assert pending == {quiet.task}
    await quiet.end()


async def test_viewers_of_one_exchange_share_its_reader_and_the_last_one_closes_it(
    feed: Feed, redis_server: RedisServer
) -> None:
    viewers = [Sent(feed, {"kraken": 3}) for _ in range(20)]
    for viewer in viewers:
        await viewer.settled(feed)
    assert feed.hub.watched == {"kraken"}
    with redis_server.client() as redis:
        blocked = [client for client in redis.client_list() if client["cmd"] == "xread"]
    assert len(blocked) == 1
    written = write_entries(redis_server, "kraken", 50)
    for viewer in viewers:
        await viewer.until(50)
        assert viewer.ids() == written
    one_frame = {id(text) for viewer in viewers for text in viewer.texts if '"entries"' in text}
    assert len(one_frame) <= 50
    for viewer in viewers:
        await viewer.end()
    assert feed.hub.watched == frozenset()


async def test_an_exchange_that_is_added_or_taken_away_while_the_feed_runs(
    feed: Feed, redis_server: RedisServer
) -> None:
    viewer = Sent(feed, {"kraken": 3})
    await viewer.settled(feed)
    viewer.viewer.show({"kraken": 3, "binance": 1})
    async with asyncio.timeout(10):
        while feed.hub.watched != {"kraken", "binance"}:
            await asyncio.sleep(0.01)
    viewer.viewer.show({"binance": 1})
    async with asyncio.timeout(10):
        while feed.hub.watched != {"binance"}:
            await asyncio.sleep(0.01)
    write_entries(redis_server, "kraken", 3)
    expected = write_entries(redis_server, "binance", 3)
    await viewer.until(3)
    assert viewer.ids() == expected
    await viewer.end()


async def test_a_reader_that_fails_ends_its_viewers_and_the_next_one_gets_a_new_reader(
    feed: Feed, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = Sent(feed, {"kraken": 3})
    await viewer.settled(feed)

    def broken(self: Tail, entries: object) -> None:
        raise RuntimeError("broken on purpose")

    with monkeypatch.context() as broken_for_now:
        broken_for_now.setattr(hub_module.Tail, "_keep", broken)
        first = write_entries(redis_server, "kraken", 1)
        with pytest.raises(TailFailed):
            async with asyncio.timeout(10):
                await viewer.task
    again = Sent(feed, {"kraken": 3}, kraken="0-0")
    await again.until(1)
    assert again.ids() == first
    await again.end()


async def test_a_ring_that_drops_entries_costs_no_viewer_any(
    feed: Feed, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "RING_ENTRIES", 10)
    monkeypatch.setattr(hub_module, "BATCH_ENTRIES", 50)
    ahead, behind = Sent(feed, {"kraken": 3}), Sent(feed, {"kraken": 3})
    await ahead.settled(feed)
    await behind.settled(feed)
    written: list[str] = []
    for burst in range(10):
        written += write_entries(redis_server, "kraken", 100, first=100 * burst, size=2000)
        await ahead.until(len(written))
        ahead.viewer.acknowledge({"kraken": EntryId.parse(written[-1])})
    assert len(behind.ids()) < 200
    while len(behind.ids()) < 1000:
        had = len(behind.ids())
        behind.viewer.acknowledge({"kraken": EntryId.parse(behind.ids()[-1])})
        await behind.until(had + 1)
    assert ahead.ids() == behind.ids() == written
    await ahead.end()
    await behind.end()


async def test_what_comes_while_a_viewer_waits_is_written_without_its_task(
    feed: Feed, redis_server: RedisServer, at_once: bool
) -> None:
    viewer = Sent(feed, {"kraken": 3})
    await viewer.settled(feed)
    async with asyncio.timeout(10):
        while feed.hub.watched != {"kraken"} or not viewer.viewer._parked:
            await asyncio.sleep(0.01)
    written = write_entries(redis_server, "kraken", 1)
    await viewer.until(1)
    assert viewer.ids() == written
    assert viewer.written == (1 if at_once else 0)
    await viewer.end()


async def test_a_window_that_fills_in_the_middle_of_a_burst_opens_again_and_nothing_is_lost_or_doubled(
    feed: Feed, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer_module, "WINDOW_BYTES", 20_000)
    monkeypatch.setattr(hub_module, "BATCH_BYTES", 6_000)
    viewer = Sent(feed, {"kraken": 3})
    await viewer.settled(feed)
    written: list[str] = []
    for _ in range(5):
        written += write_entries(redis_server, "kraken", 300)
        await viewer.until(len(written) - 299)
        assert len(viewer.ids()) < len(written)
        async with asyncio.timeout(20):
            while len(viewer.ids()) < len(written):
                viewer.acknowledge()
                await asyncio.sleep(0.005)
        viewer.acknowledge()
    assert viewer.ids() == written
    await viewer.end()


async def test_a_socket_that_cannot_be_written_to_at_once_is_fed_by_its_task(
    feed: Feed, redis_server: RedisServer, at_once: bool
) -> None:
    viewer = Sent(feed, {"kraken": 3})
    await viewer.settled(feed)
    written = write_entries(redis_server, "kraken", 3)
    await viewer.until(3)
    viewer.writable = False
    written += write_entries(redis_server, "kraken", 3)
    await viewer.until(6)
    viewer.writable = True
    written += write_entries(redis_server, "kraken", 3)
    await viewer.until(9)
    assert viewer.ids() == written
    await viewer.end()
