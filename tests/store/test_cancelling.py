"""Whoever is cancelled while it speaks to Redis ends, at whatever moment the cancellation comes."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from activity.store.client import AsyncClient, async_client, blocking_client, lease_client
from activity.store.reading import read_on, wait_beyond
from activity.store.stream import START
from tests.servers import RedisServer

#: Turns of the event loop after which the cancellation comes. One round trip takes about ten of them.
TURNS = range(120)
#: Seconds after which a cancellation counts as lost: a task that heeds it ends within a few turns.
PATIENCE = 10.0

Asking = Callable[[AsyncClient], Awaitable[object]]
ASKING: dict[str, Asking] = {
    "one command": lambda client: client.ping(),
    "a reading of several commands": lambda client: read_on(client, "kraken", START, 10),
    "a wait for entries that are there": lambda client: wait_beyond(client, "kraken", START),
}


async def _ask_for_ever(client: AsyncClient, asking: Asking) -> None:
    while True:
        await asking(client)


async def cancel_after(client: AsyncClient, asking: Asking, turns: int) -> None:
    """Cancel whoever asks for ever, after that many turns of the loop. Fails where that was lost."""
    task = asyncio.create_task(_ask_for_ever(client, asking), name="asks for ever")
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=PATIENCE)
    lost = not task.done()
    while not task.done():  # so that nothing is left behind
        task.cancel()
        await asyncio.sleep(0)
    assert not lost, f"a cancellation after {turns} turns of the loop was lost"
    assert task.cancelled()


@pytest.mark.parametrize("kind", [async_client, blocking_client, lease_client])
@pytest.mark.parametrize("asking", ASKING.values(), ids=ASKING.keys())
async def test_a_cancellation_is_never_lost_whatever_it_meets(
    redis_server: RedisServer, kind: Callable[[str], AsyncClient], asking: Asking
) -> None:
    client = kind(redis_server.url)
    try:
        await client.xadd("logs:network:kraken", {"event": "error"})
        for turns in TURNS:
            await cancel_after(client, asking, turns)
    finally:
        await client.aclose()
