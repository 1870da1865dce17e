"""An instance written in Node with ioredis, from the wire contract alone, is first-class everywhere."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.api.test_api import call
from tests.feed.sockets import feed_of
from tests.servers import RedisServer
from tests.waiting import eventually
from tests.web import ROOT, WebServer

NODE = Path(__file__).resolve().parents[1] / "node"
NASTY = "<script>alert(1)</script> \x00\x1b[31m\u202egnp.exe"


class NodeInstance:
    """One process of tests/node/instance.mjs."""

    def __init__(self, redis_server: RedisServer, hostname: str = "node-host") -> None:
        assert (NODE / "node_modules").is_dir(), "tests/node has no modules: `make test` installs them with npm ci"
        command = ["node", "instance.mjs", str(redis_server.socket), "3", "kraken", hostname, "1"]
        self.process = subprocess.Popen(
            command, cwd=NODE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def error(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(text) + "\n")
        self.process.stdin.flush()
        assert self.says() == "recorded"

    def close(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=10)


@contextmanager
def node_instance(redis_server: RedisServer) -> Iterator[NodeInstance]:
    instance = NodeInstance(redis_server)
    try:
        assert [instance.says() for _ in range(4)] == ["registered", "starting", "warming", "active"]
        yield instance
    finally:
        instance.close()


@contextmanager
def our_worker(web: WebServer, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "worker", "--exchange", "kraken", *arguments],
        cwd=ROOT,
        env={**web.environment, "PERSEUS_HEARTBEAT_SECONDS": "1", "PERSEUS_HOSTNAME": "our-host"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


@pytest.mark.asyncio
async def test_it_comes_online_and_its_entries_arrive_in_order(web: WebServer, redis_server: RedisServer) -> None:
    async with feed_of(web, "/ws/exchanges/kraken/") as client:
        await client.subscribe()
        await client.next("status")
        with node_instance(redis_server) as node:
            await asyncio.to_thread(node.error, NASTY)
            await asyncio.to_thread(node.error, "e" * 70_000)
            entries = await client.entries(5)
            with redis_server.client() as redis:
                redis.xadd("logs:network:kraken", {"event": "state_transition", "toState": "warp"})
            entries += await client.entries(1)
            status = await client.next("status")
    assert [entry.get("toState") for entry in entries[:3]] == ["starting", "warming", "active"]
    assert entries[3]["error"] == NASTY
    assert len(entries[4]["error"]) == 70_000
    assert entries[5]["toState"] == "warp"
    assert status["online"] is True
    assert status["status"]["bornIn"] == "node"


def test_what_it_writes_is_shown_and_harmless(web: WebServer, redis_server: RedisServer) -> None:
    browser = web.browser().sign_in()
    with node_instance(redis_server) as node, redis_server.client() as redis:
        node.error("e" * 70_000)
        node.error(NASTY)
        redis.xadd("logs:network:kraken", {"event": "state_transition", "toState": "warp"})
        for path in ("/", "/exchanges/kraken/"):
            status, page = browser.get(path)
            assert status == 200
            assert "<script>alert" not in page
            assert "&lt;script&gt;alert(1)" in page
            assert not {"\x00", "\x1b", "\u202e"} & set(page)
            assert "malformed" in page
            assert "node-host" in page
            assert "e" * 60_000 in page
        listed = call(web, "/instances")[1]["instances"]
        kraken = next(one for one in listed if one["exchangeName"] == "kraken")
        assert (kraken["online"], kraken["status"]["connectionState"]) == (True, "active")
        node.process.kill()
        gone = eventually(lambda: not call(web, "/exchanges/3/status")[1]["online"], within=10)
        assert gone
        known = call(web, "/exchanges/3/status")[1]["lastKnown"]
        assert known["state"] == "active"


def test_it_stops_in_order_and_leaves_nothing(web: WebServer, redis_server: RedisServer) -> None:
    with node_instance(redis_server) as node:
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(10) == 0
    body = call(web, "/exchanges/3/status")[1]
    assert (body["online"], body["lastKnown"]["toState"]) == (False, "stopped")


def test_our_worker_refuses_its_exchange(web: WebServer, redis_server: RedisServer) -> None:
    with node_instance(redis_server), our_worker(web) as worker:
        said, _ = worker.communicate(timeout=30)
        assert worker.returncode == 3
        assert "node-host" in said
        with redis_server.client() as redis:
            assert b"node-host" in (redis.get("exchange:3:status") or b"")


def test_it_refuses_the_exchange_of_our_worker(web: WebServer, redis_server: RedisServer) -> None:
    with our_worker(web), redis_server.client() as redis:
        eventually(lambda: b"our-host" in (redis.get("exchange:3:status") or b""), within=30)
        node = NodeInstance(redis_server)
        try:
            assert node.says().startswith("conflict our-host ")
            assert node.process.wait(10) == 3
        finally:
            node.close()
        assert b"our-host" in (redis.get("exchange:3:status") or b"")
