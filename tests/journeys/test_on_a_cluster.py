"""A whole network on a Redis Cluster: a worker, a standby, the recorder, pages, API, feed and doctor."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.feed.sockets import feed_of
from tests.instance.workers import Workers
from tests.redis_cluster import RedisCluster
from tests.waiting import eventually
from tests.web import ROOT, WebServer, recorder_beside


@pytest.fixture
def workers(cluster: RedisCluster) -> Iterator[Workers]:
    with tempfile.TemporaryDirectory(prefix="pw-") as folder:
        made = Workers(Path(folder), cluster.url)
        try:
            yield made
        finally:
            made.end()


def doctor(web: WebServer) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"], cwd=ROOT, env=web.environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


async def test_everything_runs_on_a_cluster(cluster: RedisCluster, cluster_web: WebServer, workers: Workers) -> None:
    web = cluster_web
    with recorder_beside(web):
        for name in ("binance", "coinbase", "kraken"):  # on two shards at the least
            worker = workers.manage("--exchange", name, PERSEUS_DATA=str(web.folder))
            worker.says(f"Registered {name}")
        standby = workers.manage("--exchange", "kraken", "--standby", PERSEUS_DATA=str(web.folder))
        standby.says("waiting")
        browser = web.browser().sign_in()
        assert "kraken" in browser.get("/")[1]
        status, page = browser.get("/exchanges/kraken/")
        assert status == 200
        assert "standby" in page.lower()
        status, text = browser.get("/api/v1/instances")
        assert status == 200, text
        online = {one["exchangeName"]: one["online"] for one in json.loads(text)["instances"]}
        assert online == {"binance": True, "coinbase": True, "kraken": True}
        async with feed_of(web) as feed:
            await feed.subscribe(kraken="0-0")
            told = await feed.entries(1)
            assert told[0]["exchangeName"] == "kraken"
            assert (await feed.next("status"))["online"]
        count = "print(ArchivedEntry.objects.filter(exchange__name='kraken').count())"
        eventually(lambda: int(web.run(count)) >= 1)
        code, said = doctor(web)
        assert code == 0, said
        for node in cluster.nodes:
            assert f"127.0.0.1:{node.port})" in said
        assert worker.stop() == 0
        standby.says("Registered kraken")
    replica = next(node for node in cluster.nodes if node.info("replication")["role"] == "slave")
    replica.kill()
    eventually(lambda: f"down: 127.0.0.1:{replica.port}" in doctor(web)[1])
    code, said = doctor(web)
    assert code == 1
    assert "primaries without any: 127.0.0.1:" in said
