"""The activity: each entry once, in order, whole, and never in the way of the heartbeat."""

import json
import re
from collections.abc import AsyncIterator

import pytest

from activity.instance.agent import FLUSH_SECONDS
from activity.instance.exits import ExitCode
from activity.store.client import AsyncClient, async_client
from activity.store.once import append_once
from activity.store.stream import START, append, last_generated_id
from tests.instance.workers import PYTHON, Exchange, Workers
from tests.proxy import proxy_before
from tests.servers import RedisServer, running_redis

#: Each line in one piece: a program that is ended leaves no half of one.
COUNTING = (
    *(PYTHON, "-c"),
    "import time\nfor i in range(10**6): print(f'ERROR {i}\\n', end='', flush=True); time.sleep(0.05)",
)


@pytest.fixture
async def client(every_redis: RedisServer) -> AsyncIterator[AsyncClient]:
    client = async_client(every_redis.url)
    yield client
    await client.aclose()


async def test_an_append_that_is_repeated_finds_its_entry(client: AsyncClient) -> None:
    fields = {"event": "error", "error": "once"}
    before = await append(client, "kraken", fields)
    first = await append_once(client, "kraken", fields, event_id="a:1", after=before)
    for n in range(1200):  # more than the script looks through in one step
        await append(client, "kraken", {"event": "other", "n": str(n)})
    newest = await last_generated_id(client, "kraken")
    assert await append_once(client, "kraken", fields, event_id="a:1", after=before) == first
    assert await last_generated_id(client, "kraken") == newest
    assert await append_once(client, "kraken", fields, event_id="a:2", after=START) > newest


def test_an_entry_whose_reply_is_lost_is_written_once_while_the_heartbeat_goes_on(
    workers: Workers, redis_server: RedisServer
) -> None:
    with proxy_before(redis_server.socket) as proxy, redis_server.client() as client:
        workers.redis_url = proxy.url
        exchange = Exchange(client)
        worker = workers.start(*COUNTING, error_pattern="^ERROR", ready_after=0.1)
        exchange.eventually_errors(5)
        proxy.lose_replies(b"'XADD'", 4)
        before = exchange.becomes(lambda _: proxy.lost >= 4)
        exchange.becomes(lambda status: status["lastHeartbeat"] > before["lastHeartbeat"])
        worker.says("Activity is written again")
        assert worker.stop() == ExitCode.STOPPED
        written = exchange.errors()
        assert written == [f"ERROR {i}" for i in range(len(written))]
        ids = [entry["eventId"] for entry in exchange.entries()]
        assert len(set(ids)) == len(ids)
        assert "Heartbeat failed" not in worker.output


def test_entries_are_stamped_when_they_happened_and_not_when_they_were_written(workers: Workers) -> None:
    with running_redis() as own, proxy_before(own.socket) as proxy, own.client() as client:
        workers.redis_url = proxy.url
        exchange = Exchange(client)
        worker = workers.start(*COUNTING, error_pattern="^ERROR", ready_after=0.1, heartbeat_seconds=20)
        exchange.eventually_errors(2)
        proxy.black_hole()
        worker.says("Activity cannot be written, trying again")
        proxy.pass_again()
        worker.says("Activity is written again")
        assert worker.stop() == ExitCode.STOPPED
        stamps = [entry["timestamp"] for entry in exchange.entries("error")]
        assert stamps == sorted(stamps)
        assert len(set(stamps)) > len(stamps) // 2
        assert exchange.errors() == [f"ERROR {i}" for i in range(len(stamps))]


def test_an_error_of_70_kb_is_kept_whole_in_the_activity(workers: Workers, exchange: Exchange) -> None:
    # Its last lines of output make it long: each of the 20 has 3.5 KB.
    text = "for i in range(20): print(f'{i:02}' + 'x' * 3498)\nraise SystemExit(9)"
    worker = workers.start(PYTHON, "-c", text)
    assert worker.wait() == ExitCode.PROGRAM_FAILED
    (error,) = exchange.errors()
    assert len(error) > 70_000
    assert [line[:2] for line in error.splitlines()[1:]] == [f"{i:02}" for i in range(20)]


def test_what_cannot_be_written_at_the_end_is_said_and_the_end_is_not_held_up(workers: Workers) -> None:
    with running_redis() as own, proxy_before(own.socket) as proxy, own.client() as client:
        workers.redis_url = proxy.url
        exchange = Exchange(client)
        worker = workers.start(*COUNTING, error_pattern="^ERROR", ready_after=0.1, heartbeat_seconds=30)
        exchange.eventually_errors(2)
        proxy.black_hole()
        worker.says(f"| ERROR {len(exchange.errors()) + 3}")
        assert worker.stop() == ExitCode.STOPPED
        told = re.search(rf"(\d+) entries could not be written within {FLUSH_SECONDS:.0f} s", worker.output)
        assert told
        assert '"toState": "stopped"' in worker.output
        assert "The exchange could not be released, its key runs out in" in worker.output
        unwritten = [json.loads(one) for one in re.findall(r"Not written to the activity: (.*)", worker.output)]
        assert len(unwritten) == int(told[1])
        errors = [entry["error"] for entry in unwritten if entry["event"] == "error"]
        shown = re.findall(r"\| (ERROR \d+)", worker.output)
        assert len(errors) >= 3
        assert set(shown) <= {*exchange.errors(), *errors}
