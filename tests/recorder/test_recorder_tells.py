"""`manage.py recorder` as a whole: from the stream through the archive to the remote, killed in between."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from activity.wire.keys import stream_key
from tests.recorder.telling import SECRET, Answer, error, remote
from tests.servers import RedisServer
from tests.waiting import eventually
from tests.web import ROOT, WebServer

_CHANNEL = """
channel = NotificationChannel.objects.create(name="ops", url={url!r}, shown_url="json://127.0.0.1/…", kinds=["error"])
"""


@contextmanager
def recorder(web: WebServer) -> Iterator[subprocess.Popen[bytes]]:
    with (web.folder / "recorder.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "recorder"], cwd=ROOT, env=web.environment, stdout=log, stderr=log
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
    own_web: WebServer, own_redis: RedisServer
) -> None:
    own_web.stop()
    with remote() as hook, own_redis.client() as client:
        own_web.run(_CHANNEL.format(url=hook.url()))
        hook.answers = [Answer(seconds=8)]
        with recorder(own_web) as first:
            say(client, "before the kill")
            eventually(lambda: hook.requests, within=30)
            first.send_signal(signal.SIGKILL)
            first.wait(10)
            say(client, "while nobody looks")
        with recorder(own_web) as second:
            eventually(lambda: "while nobody looks" in hook.told, within=30)
            second.terminate()
            assert second.wait(15) == 0
        numbers = [request.message.rpartition("— delivery ")[2] for request in hook.requests]
        assert numbers[0] == numbers[1]
        assert hook.requests[0].message == hook.requests[1].message
        assert hook.told.count("while nobody looks") == 1
    log = (own_web.folder / "recorder.log").read_text()
    assert SECRET not in log
    assert "Traceback" not in log
