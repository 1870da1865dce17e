"""What is known of an offline exchange is not lost by what happens at the same moment."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from activity.archived import ArchiveAway
from activity.feed import board as board_module
from activity.feed.audience import Audiences, Bell
from activity.feed.board import Board
from activity.store import history
from activity.store.client import SyncClient, sync_client
from activity.store.history import LastKnown
from activity.wire.entries import EntryId, RawEntry
from activity.wire.keys import status_key, stream_key
from tests.feed.test_socket_status import payload
from tests.servers import RedisServer

NAMES = {"binance": 1, "kraken": 3}
STOPPED = {"event": "state_transition", "timestamp": "t", "fromState": "stopping", "toState": "stopped"}
LOST = {"event": "error", "timestamp": "t", "error": "lost", "state": "active", "kind": "lost"}


def entry(milliseconds: int, fields: dict[str, str]) -> RawEntry:
    return RawEntry(EntryId(milliseconds, 0), [part.encode() for pair in fields.items() for part in pair])


@pytest.fixture
async def board(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Board]:
    """A board that somebody watches; each test looks when it wants to. Last known states come from streams alone."""

    async def read(client: SyncClient, name: str) -> LastKnown:
        return history.read_last_known(client, name)

    monkeypatch.setattr(board_module, "_read_last_known", read)
    audiences = Audiences()
    audiences.join(NAMES, Bell())
    with sync_client(redis_server.url) as client:
        made = Board(client, audiences)
        made._want()
        yield made
        await made.close()


def meanwhile(board: Board, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Have something happen on the event loop while the next look is under way in its thread."""
    loop, look = asyncio.get_running_loop(), board._glances.look

    def slow(exchange_ids: Sequence[int]) -> Any:
        monkeypatch.setattr(board._glances, "look", look)
        found = list(look(exchange_ids))
        done = threading.Event()

        def happen() -> None:
            act()
            done.set()

        loop.call_soon_threadsafe(happen)
        assert done.wait(10)
        return iter(found)

    monkeypatch.setattr(board._glances, "look", slow)


def last_known(board: Board, name: str) -> dict[str, str]:
    known = board.known[name].last_known
    return known.fields if known is not None else {}


async def look_at_what_is_due(board: Board) -> None:
    due, board._due = board._due, set()
    await board._look(due)


async def test_what_an_offline_exchange_says_while_another_is_looked_at_is_shown(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    await board._look(board._wanted)
    assert last_known(board, "kraken") == {}
    meanwhile(board, monkeypatch, lambda: board.entries_seen("kraken", [entry(5, STOPPED)]))
    await board._look(["binance"])
    await look_at_what_is_due(board)
    assert last_known(board, "kraken") == STOPPED


async def test_an_exchange_whose_archive_was_away_is_asked_again_although_another_was_looked_at_first(
    board: Board, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = board_module._read_last_known

    async def away(_client: SyncClient, _name: str) -> LastKnown:
        raise ArchiveAway("the database is away")

    monkeypatch.setattr(board_module, "_read_last_known", away)
    await board._look(board._wanted)
    monkeypatch.setattr(board_module, "_read_last_known", read)
    with redis_server.client() as redis:
        redis.xadd(stream_key("kraken"), STOPPED)
    await board._look(["binance"])
    await board._look(board._wanted)
    assert last_known(board, "kraken") == STOPPED


async def test_the_late_notice_of_an_older_owner_says_nothing_of_the_one_that_followed(
    board: Board, redis_server: RedisServer
) -> None:
    followed, late = {**STOPPED, "epoch": "7"}, {**LOST, "epoch": "5"}
    with redis_server.client() as redis:
        redis.xadd(stream_key("kraken"), followed, id="5-0")
        await board._look(board._wanted)
        redis.xadd(stream_key("kraken"), late, id="6-0")
        board.entries_seen("kraken", [entry(6, late)])
        await look_at_what_is_due(board)
        assert last_known(board, "kraken") == followed
        newest = {**LOST, "epoch": "7"}
        redis.xadd(stream_key("kraken"), newest, id="7-0")
    board.entries_seen("kraken", [entry(7, newest)])
    await look_at_what_is_due(board)
    assert last_known(board, "kraken") == newest


@pytest.mark.parametrize("was_online", [True, False])
async def test_what_comes_while_the_last_known_state_is_read_is_shown(
    board: Board, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, was_online: bool
) -> None:
    with redis_server.client() as redis:
        if was_online:
            redis.set(status_key(3), payload(), ex=45)
            await board._look(board._wanted)
            redis.delete(status_key(3))

        async def read(client: SyncClient, name: str) -> LastKnown:
            found = history.read_last_known(client, name)
            if name == "kraken" and found == (None, None):
                redis.xadd(stream_key("kraken"), LOST, id="5-0")
                board.entries_seen("kraken", [entry(5, LOST)])
            return found

        monkeypatch.setattr(board_module, "_read_last_known", read)
        await board._look(board._wanted)
        await look_at_what_is_due(board)
    assert last_known(board, "kraken") == LOST


async def test_what_was_heard_of_an_exchange_that_nobody_watches_any_more_is_forgotten(board: Board) -> None:
    await board._look(board._wanted)
    board.entries_seen("kraken", [entry(5, STOPPED)])
    for audience in list(board._audiences):
        board._audiences.leave(audience, next(iter(audience.members)))
    board._want()
    board._audiences.join(NAMES, Bell())
    board._want()
    await board._look(board._wanted)
    assert last_known(board, "kraken") == {}
