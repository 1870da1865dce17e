"""First paint, heartbeats and the archive: each in a process of its own, as it runs in the product."""

import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.contenders import make_folder
from tests.postgres import running_postgres
from tests.servers import RedisServer, running_redis
from tests.web import ROOT, environment

_PAINT = r"""
import gzip, json, re, statistics, time
import django
django.setup()
from django.contrib.staticfiles import finders
from django.test import Client
from activity.models import User
client = Client(HTTP_HOST="127.0.0.1", HTTP_ACCEPT_ENCODING="gzip")
client.force_login(User.objects.first(), backend="django.contrib.auth.backends.ModelBackend")
times = []
for turn in range(6):
    began = time.perf_counter()
    answer = client.get("/")
    times.append((time.perf_counter() - began) * 1000)
    assert answer.status_code == 200, answer
page = gzip.decompress(answer.content)
files, asked = set(), re.findall(r'(?:src|href)="/static/([^"?#]+)', page.decode())
while asked:
    name = asked.pop()
    if name not in files:
        files.add(name)
        if name.endswith(".js"):
            beside = re.findall(r'from "\./([^"]+)"', open(finders.find(name)).read())
            asked += [f"{name.rpartition('/')[0]}/{one}" for one in beside]
sent = len(answer.content) + sum(len(gzip.compress(open(finders.find(name), "rb").read())) for name in files)
sent += len(client.get("/words.js?en").content)
print(json.dumps({"ms": statistics.median(times[1:]), "bytes": len(page), "bytes compressed": len(answer.content),
                  "bytes compressed with all files": sent, "files": len(files)}))
"""

_BEATS = """
import asyncio, json, os, time
from activity.store.answers import Claimed
from activity.store.client import lease_client
from activity.store.ownership import Ownership
from tests.bench.statuses import status_of
async def main():
    client = lease_client(os.environ["REDIS_URL"])
    owners = []
    for number in range(1, 65):
        status = status_of(number)
        claimed = await Ownership(client, number).claim(status, ttl_seconds=45)
        assert isinstance(claimed, Claimed), claimed
        owners.append((Ownership(client, number), status.model_copy(update={"epoch": claimed.epoch})))
    done, ends = 0, time.monotonic() + 4
    async def beat(owner, status):
        nonlocal done
        while time.monotonic() < ends:
            await owner.heartbeat(status, ttl_seconds=45)
            done += 1
    await asyncio.gather(*(beat(*one) for one in owners))
    print(json.dumps({"per second": done / 4}))
asyncio.run(main())
"""

_ARCHIVE = """
import asyncio, json, os, time
import django
django.setup()
from django.db import connections
from activity.models import ArchivedEntry, Exchange
from activity.recorder.archive import Archive
from activity.recorder.database import limit_waiting
from activity.recorder.service import calm_collector, hand_over_quickly
limit_waiting()
Exchange.objects.create(id=3, name="kraken", display_name="Kraken")
calm_collector()
hand_over_quickly()
began = time.perf_counter()
asyncio.run(Archive(os.environ["REDIS_URL"], once=True).run())
took = time.perf_counter() - began
count = ArchivedEntry.objects.count()
columns = "exchange_id, ms, seq, raw, event, state, host, admin, text, recorded_at"
with connections["default"].cursor() as sql:
    sql.execute(f"SELECT {columns} FROM archived_entries ORDER BY ms, seq")
    rows = sql.fetchall()
    sql.execute("CREATE TABLE bare (LIKE archived_entries INCLUDING ALL)")
    def copied():
        began = time.perf_counter()
        for start in range(0, count, 1000):
            sql.execute("BEGIN")
            with sql.copy(f"COPY bare ({columns}) FROM STDIN") as copy:
                for row in rows[start:start + 1000]:
                    copy.write_row(row)
            sql.execute("COMMIT")
        return time.perf_counter() - began
    bare = copied()
    sql.execute("TRUNCATE bare")
    # LIKE leaves it out, and it costs the archive's own table a look at `exchanges` for each row.
    sql.execute("ALTER TABLE bare ADD FOREIGN KEY (exchange_id) REFERENCES exchanges DEFERRABLE INITIALLY DEFERRED")
    keyed = copied()
    sql.execute("DROP TABLE bare")
print(json.dumps({"entries": count, "entries per second": count / took, "copy per second": count / bare,
                  "share": bare / took, "copy with foreign key per second": count / keyed,
                  "share with foreign key": keyed / took}))
"""


def _run(code: str, env: dict[str, str]) -> Any:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def first_paint(say: Callable[[str], None]) -> dict[str, Any]:
    """The network page at 10, 100 and 1,000 exchanges: milliseconds in the server, and bytes.

    Each exchange has a history of 200 entries. The time includes the compression of the answer.
    """
    from tests.bench.statuses import write_entries, write_statuses

    found = {}
    for size in (10, 100, 1000):
        say(f"first paint at {size} exchanges")
        with tempfile.TemporaryDirectory(prefix="bench-") as name, running_redis() as redis:
            folder = Path(name) / "data"
            make_folder(folder, size)
            write_statuses(redis, size)
            write_entries(redis, size)
            found[str(size)] = _run(_PAINT, environment(folder, redis.url))
    return found


def heartbeats(say: Callable[[str], None]) -> Any:
    """Heartbeats a second of 64 owners in one process."""
    say("heartbeats")
    with tempfile.TemporaryDirectory(prefix="bench-") as name, running_redis() as redis:
        return _run(_BEATS, environment(Path(name), redis.url))


def archive(say: Callable[[str], None], count: int, rounds: int) -> dict[str, Any]:
    """The archive catching up on Postgres, and a bare loop that copies the same rows by the thousand."""
    found: list[dict[str, float]] = []
    with running_postgres() as postgres:
        for turn in range(rounds):
            say(f"archive ({turn + 1} of {rounds})")
            with running_redis() as redis, postgres.database((ROOT / "schema.sql").read_text()) as database:
                _write(redis, count)
                env = environment(
                    Path(tempfile.gettempdir()), redis.url, DATABASE_URL=postgres.url(database),
                    PERSEUS_DATABASE_CA=str(postgres.authority), PERSEUS_SECRET_KEY=secrets.token_urlsafe(48),
                )  # fmt: skip
                found.append(_run(_ARCHIVE, env))
    return {key: statistics.median(one[key] for one in found) for key in found[0]} | {
        "share spread": [min(one["share"] for one in found), max(one["share"] for one in found)],
        "load average": os.getloadavg(),
    }


def _write(redis: RedisServer, count: int) -> None:
    with redis.client() as client:
        for start in range(0, count, 1000):
            pipeline = client.pipeline(transaction=False)
            for number in range(start, min(count, start + 1000)):
                fields = {
                    "event": "error", "timestamp": "2026-11-22T14:31:38.907Z", "exchangeName": "kraken", "ip": "",
                    "error": f"order book is out of sequence: expected {number}; asking for a snapshot",
                    "exchangeId": "3", "hostname": "trader-07.example.org", "state": "active",
                }  # fmt: skip
                pipeline.xadd("logs:network:kraken", dict(fields))
            pipeline.execute()
