"""SIGKILL of the recorder, between any two steps of each of its duties."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from activity.models import Exchange
from activity.recorder.sightings import DeathOptions
from activity.wire.keys import stream_key
from tests.recorder.archiving import Database, gaps, in_archive, in_stream, record_once, write
from tests.recorder.telling import SECRET, Answer, error, remote
from tests.recorder.watching import NAMES, Owners, clients, entries, gone, look_until, watcher, written
from tests.servers import RedisServer
from tests.waiting import eventually
from tests.web import ROOT, DataFolder


def test_a_recorder_that_is_killed_between_any_two_steps_loses_and_doubles_nothing(
    database: Database, redis_server: RedisServer
) -> None:
    """Fault: SIGKILL of the recorder after reading, locking, inserting, moving the cursor, committing.

    Holds: after each kill the archive is a whole beginning of the stream, and whoever goes on completes it: every
    entry once, byte by byte, on SQLite and on Postgres.
    """
    Exchange.objects.exclude(name="kraken").update(active=False)  # each step is a step of kraken's
    write(redis_server, 5000)  # more than five processes store, two batches of at most 800 each
    before = 0
    for step in ("read", "locked", "inserted", "advanced", "stored"):
        # The second time, so that each process has stored something and the next finds a cursor that has moved.
        code, said = database.run(redis_server.url, "-m", "tests.faults.killed_recorder", step, "2")
        assert code == -signal.SIGKILL, said
        kept = in_archive()
        assert len(kept) > before, step
        assert kept == in_stream(redis_server.url)[: len(kept)], step
        before = len(kept)
    assert before < 5000
    record_once(redis_server.url)
    assert in_archive() == in_stream(redis_server.url)
    assert gaps() == []


async def die_before(step: str, redis_url: str, wait: str) -> None:
    dying = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.faults.dying_watcher", redis_url, step, wait],
        cwd=ROOT,
        timeout=60,
        capture_output=True,
    )
    assert dying.returncode == -signal.SIGKILL, dying.stderr


@pytest.fixture
async def beating(own_redis: RedisServer) -> AsyncIterator[Owners]:
    owners = Owners(own_redis.url)
    yield owners
    await owners.close()


@pytest.mark.parametrize(
    "step",
    [
        "looking for an earlier notice",
        "appending",
        "hearing that it is appended",
        "noting that it is appended",
    ],
)
async def test_a_watcher_killed_between_two_steps_leaves_neither_none_nor_two(
    own_redis: RedisServer, beating: Owners, step: str
) -> None:
    """Fault: SIGKILL of the recorder that has declared a death, before each step of writing it down.

    Holds: two other recorders that find it unfinished write exactly one notice.
    """
    await beating.start(3)
    await die_before(step, own_redis.url, "0")
    assert await beating.state(3) == "lost_pending"
    async with clients(own_redis.url, 2) as (one, other):
        await asyncio.gather(watcher(one).look(), watcher(other).look())
    assert len(entries(own_redis, "kraken")) == 1
    assert await beating.state(3) == "lost_logged"


async def test_a_watcher_killed_before_it_tells_of_a_reset_is_finished_by_another(
    own_redis: RedisServer, beating: Owners
) -> None:
    """Fault: SIGKILL of the recorder that is about to tell of a registry that was reset.

    Holds: another one tells of it, once, and then of each owner that did not come back.
    """
    await beating.start(*NAMES)
    while not gone(own_redis, *NAMES):
        await asyncio.sleep(0.05)
    await die_before("appending", own_redis.url, "0.3")
    assert written(own_redis, "registry_reset") == written(own_redis, "lost") == []
    async with clients(own_redis.url) as (client,):
        watch = watcher(client, options=DeathOptions(settle=0, reset_wait=0.3))
        await look_until(watch, lambda: len(written(own_redis, "lost")) == 5)
        await watch.look()
    assert len(written(own_redis, "registry_reset")) == 1


_CHANNEL = """
channel = NotificationChannel.objects.create(name="ops", url={url!r}, shown_url="json://127.0.0.1/…", kinds=["error"])
"""


@contextmanager
def recording_for(data: DataFolder) -> Iterator[subprocess.Popen[bytes]]:
    with (data.folder / "recorder.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "recorder"], cwd=ROOT, env=data.environment, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def say(client: redis.Redis, text: str) -> None:
    fields: dict[Any, Any] = {**error(text)}
    client.xadd(stream_key("kraken"), fields)


def test_a_recorder_killed_while_it_sends_tells_everything_and_repeats_by_number(
    own_folder: DataFolder, own_redis: RedisServer
) -> None:
    """Fault: SIGKILL of the recorder while a remote takes its message.

    Holds: the next recorder sends that message again under the same delivery number, and then everything else once.
    """
    with remote() as hook, own_redis.client() as client:
        own_folder.run(_CHANNEL.format(url=hook.url()))
        hook.answers = [Answer(seconds=8)]
        with recording_for(own_folder) as first:
            say(client, "before the kill")
            eventually(lambda: hook.requests, within=30)
            first.send_signal(signal.SIGKILL)
            first.wait(10)
            say(client, "while nobody looks")
        with recording_for(own_folder) as second:
            eventually(lambda: "while nobody looks" in hook.told, within=30)
            second.terminate()
            assert second.wait(15) == 0
        numbers = [request.message.rpartition("— delivery ")[2] for request in hook.requests]
        assert numbers[0] == numbers[1]
        assert hook.requests[0].message == hook.requests[1].message
        assert hook.told.count("while nobody looks") == 1
    log = (own_folder.folder / "recorder.log").read_text()
    assert SECRET not in log
    assert "Traceback" not in log
