"""What people and programs get from a real web process where a stream has been trimmed: the archive, without a seam."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from tests.feed.sockets import FeedClient, Frame, feed_of, write_entries
from tests.recorder.archiving import trim
from tests.servers import RedisServer
from tests.web import ROOT, WebServer


def record(web: WebServer) -> None:
    """Catch up, as an operator does by hand."""
    command = [sys.executable, "manage.py", "recorder", "--once"]
    done = subprocess.run(command, cwd=ROOT, env=web.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def sql(web: WebServer, statement: str) -> None:
    with closing(sqlite3.connect(web.folder / "perseus.sqlite3", timeout=20)) as database, database:
        database.execute(statement)


def ids(entries: list[Frame]) -> list[str]:
    return [entry["id"] for entry in entries]


def told_gaps(client: FeedClient) -> list[Frame]:
    return [frame for frame in client.frames if frame["type"] == "gap"]


@pytest.mark.parametrize("first", ["after an entry", "from the beginning"])
async def test_a_socket_goes_on_in_the_archive_and_then_in_the_stream(
    own_web: WebServer, own_redis: RedisServer, first: str
) -> None:
    async with feed_of(own_web, "/ws/exchanges/kraken/") as client:
        await client.subscribe()
        await client.next("status")
        written = write_entries(own_redis, "kraken", 1500)
        live = await client.entries(1500)
    record(own_web)
    trim(own_redis, 100)
    late = write_entries(own_redis, "kraken", 50, first=1500)
    async with feed_of(own_web, "/ws/exchanges/kraken/") as client:
        await client.subscribe(kraken=written[9] if first == "after an entry" else "0-0")
        expected = live[10:] if first == "after an entry" else live
        found = await client.entries(len(expected) + 50)
        assert found[:-50] == expected, "the same objects as live"
        assert ids(found[-50:]) == late
        more = write_entries(own_redis, "kraken", 5, first=1550)
        assert ids(await client.entries(5)) == more
    assert told_gaps(client) == []


@pytest.mark.parametrize("recorded", [True, False])
async def test_a_gap_is_told_where_neither_has_the_entries(
    own_web: WebServer, own_redis: RedisServer, recorded: bool
) -> None:
    first = write_entries(own_redis, "kraken", 10)
    record(own_web)
    second = write_entries(own_redis, "kraken", 10, first=10)
    trim(own_redis, 4)
    if recorded:
        record(own_web)
        trim(own_redis, 2)  # what is behind the gap is in the archive now, too
    async with feed_of(own_web, "/ws/exchanges/kraken/") as client:
        await client.subscribe(kraken=first[2])
        assert ids(await client.entries(7)) == first[3:]
        assert ids(await client.entries(4)) == second[6:]
    assert told_gaps(client) == [{"type": "gap", "exchange": "kraken", "after": first[-1], "first": second[6]}]


async def test_after_redis_was_emptied_the_archive_is_told_then_the_gap_then_what_is_new(
    own_web: WebServer, own_redis: RedisServer
) -> None:
    first = write_entries(own_redis, "kraken", 10)
    record(own_web)
    with own_redis.client() as redis:
        redis.flushall()
    record(own_web)
    async with feed_of(own_web, "/ws/exchanges/kraken/") as client:
        await client.subscribe(kraken=first[2])
        assert ids(await client.entries(7)) == first[3:]
        assert await client.next("gap") == {"type": "gap", "exchange": "kraken", "after": first[-1], "first": None}
        new = write_entries(own_redis, "kraken", 3, first=10)
        assert ids(await client.entries(3)) == new
    assert len(told_gaps(client)) == 1


async def test_while_the_archive_cannot_be_read_nothing_false_is_told_and_others_go_on(
    own_web: WebServer, own_redis: RedisServer
) -> None:
    first = write_entries(own_redis, "kraken", 10)
    record(own_web)
    trim(own_redis, 2)
    sql(own_web, "ALTER TABLE archived_entries RENAME TO hidden")
    async with feed_of(own_web) as client:
        await client.subscribe(kraken=first[2])
        await client.next("status")
        other = write_entries(own_redis, "binance", 3)
        assert ids(await client.entries(3)) == other
        assert told_gaps(client) == []
        sql(own_web, "ALTER TABLE hidden RENAME TO archived_entries")
        assert ids(await client.entries(7)) == first[3:]
    assert told_gaps(client) == []


def test_api_and_pages_go_on_in_the_archive(own_web: WebServer, own_redis: RedisServer) -> None:
    written = write_entries(own_redis, "kraken", 450)
    record(own_web)
    trim(own_redis, 120)
    browser, cookie = own_web.browser(), own_web.cookie()

    found: list[Frame] = []
    path = "/api/v1/activity?exchange=kraken&count=200"
    cursor: str | None = ""
    while cursor is not None:
        status, body = browser.get(f"{path}&cursor={cursor}" if cursor else path, Cookie=cookie)
        assert status == 200, body
        answer = json.loads(body)
        found += answer["entries"]
        cursor = answer["nextCursor"]
    assert ids(found) == written[::-1]
    assert found[-1]["error"].startswith("number 0 ")

    status, page = browser.get(f"/exchanges/kraken/?before={written[50]}@kraken", Cookie=cookie)
    assert status == 200
    assert "number 49 " in page
    assert "number 0 " in page
    assert "number 50 " not in page.partition("<ol data-rows>")[2]

    status, body = browser.get(f"/exchanges/kraken/entries/{written[0]}/", Cookie=cookie)
    assert (status, json.loads(body)["error"][:9]) == (200, "number 0 ")

    trim(own_redis, 0)
    status, body = browser.get("/api/v1/exchanges/3/status", Cookie=cookie)
    assert (status, json.loads(body)["lastKnown"]["id"]) == (200, written[-1])
    status, page = browser.get("/exchanges/kraken/", Cookie=cookie)
    assert "number 449 " in page
