"""What a client says is heard at once where it came whole, and by way of the server's own reading where it did not."""

import asyncio
import json
from pathlib import Path

import pytest
from websockets.frames import Frame, Opcode

from perseus_admin.daphne_sockets import text_of
from tests.feed.sockets import FeedClient, feed_of, write_entries
from tests.servers import RedisServer
from tests.web import WebServer

MORE_THAN_A_WINDOW = 40  # entries of 10 KB


def framed(text: bytes, opcode: Opcode = Opcode.TEXT, *, mask: bool = True, fin: bool = True) -> bytes:
    """As a client's library sends it."""
    return Frame(opcode, text, fin).serialize(mask=mask)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 124, 125, 126, 127, 128, 1000, 65_535])
def test_a_frame_that_came_whole_is_read_as_it_was_said(size: int) -> None:
    text = ("žluťoučký kůň 🐎 " * (size // 10 + 1)).encode()[:size]
    assert text_of(framed(text)) == text


LEFT = {
    "nothing": b"",
    "the head of a frame": framed(b"x")[:6],
    "all but the last byte": framed(b"hello")[:-1],
    "all but its length": framed(b"h" * 200)[:3],
    "the next one too": framed(b"hello") + b"\x81",
    "two": framed(b"hello") * 2,
    "without a mask": framed(b"hello", mask=False),
    "of 70 KB": framed(b"h" * 70_000),
    "more to follow": framed(b"hello", fin=False),
    "going on": framed(b"hello", Opcode.CONT),
    "binary": framed(b"hello", Opcode.BINARY),
    "a ping": framed(b"hello", Opcode.PING),
    "compressed": b"\xc1" + framed(b"hello")[1:],
}


@pytest.mark.parametrize("what", LEFT)
def test_everything_else_is_left_to_the_server(what: str) -> None:
    assert text_of(LEFT[what]) is None


def waiting(client: FeedClient) -> int:
    """Bytes that this client has sent and the server has not read: on their way, or in the queue of its socket."""
    ours, theirs = (int(client.socket.transport.get_extra_info(name)[1]) for name in ("sockname", "peername"))
    sent = unread = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        ports = (int(local.partition(":")[2], 16), int(remote.partition(":")[2], 16))
        if ports == (ours, theirs):
            sent = int(queues.partition(":")[0], 16)
        elif ports == (theirs, ours):
            unread = int(queues.partition(":")[2], 16)
    return sent + unread


@pytest.mark.asyncio
@pytest.mark.parametrize("cut", [None, 1, 3, 7, -1])
async def test_an_acknowledgement_counts_in_however_many_pieces_it_comes(
    web: WebServer, redis_server: RedisServer, cut: int | None
) -> None:
    async with feed_of(web, "/ws/exchanges/kraken/") as client:
        await client.subscribe()
        await client.next("status")
        written = write_entries(redis_server, "kraken", MORE_THAN_A_WINDOW, size=10_000)
        found: list[str] = []
        while len(found) < len(written):
            frame = await client.next("entries")
            found += [entry["id"] for entry in frame["entries"]]
            ack = framed(json.dumps({"type": "ack", "last": {"kraken": found[-1]}}).encode())
            client.socket.transport.write(ack[:cut])
            if cut is not None:
                while waiting(client):  # so that the pieces travel alone
                    await asyncio.sleep(0.001)
                client.socket.transport.write(ack[cut:])
        assert found == written


@pytest.mark.asyncio
async def test_what_is_no_acknowledgement_is_refused_although_it_came_whole(web: WebServer) -> None:
    async with feed_of(web) as client:
        await client.subscribe()
        await client.next("status")
        await client.ack(kraken="not an id")
        code, reason = await client.closed()
        assert code == 4400
        assert "last" in reason
