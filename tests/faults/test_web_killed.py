"""SIGKILL of the web process under its sockets."""

import contextlib
import signal
import threading

import websockets

from tests.feed.sockets import Frame, feed_of, write_entries
from tests.servers import RedisServer
from tests.web import WebServer


async def test_a_feed_goes_on_where_it_was_after_the_web_process_was_killed(
    own_web: WebServer, own_redis: RedisServer
) -> None:
    """Fault: SIGKILL of the web process while entries run through a socket, and a start on the same port.

    Holds: a client that resumes behind the last entry that it has seen gets every entry once, in order, without a
    gap: those of before, those of the time without a web process, and those of afterwards.
    """
    written: list[str] = []
    seen: list[Frame] = []
    over = threading.Event()

    def write() -> None:
        while not over.wait(0.002):
            written.extend(write_entries(own_redis, "kraken", 5, first=len(written)))

    writer = threading.Thread(target=write, name="writer")
    frames: list[Frame] = []
    async with feed_of(own_web, "/ws/exchanges/kraken/") as client:
        await client.subscribe()
        await client.next("status")
        writer.start()
        try:
            seen += await client.entries(100)
            own_web.stop(signal.SIGKILL)
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:  # what had been sent before still arrives
                    seen += await client.entries(1)
            before = len(written)
            own_web.start()
        finally:
            over.set()
            writer.join()
        frames += client.frames
    assert len(written) > before > len(seen) - 5, "entries came while no web process ran"
    async with feed_of(own_web, "/ws/exchanges/kraken/") as client:
        await client.subscribe(kraken=seen[-1]["id"])
        seen += await client.entries(len(written) - len(seen))
        last = write_entries(own_redis, "kraken", 1, first=len(written))
        seen += await client.entries(1)
        frames += client.frames
    assert [entry["id"] for entry in seen] == written + last
    assert [frame for frame in frames if frame["type"] == "gap"] == []
