"""What the tests about the archive share: recorders inside this process and beside it, and what was archived."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from activity.models import ArchivedEntry, ArchiveGap
from activity.recorder.archive import Archive
from activity.store.client import sync_client
from activity.wire.entries import EntryId
from activity.wire.keys import stream_key
from tests.servers import RedisServer
from tests.web import ROOT

Raw = list[tuple[str, list[bytes]]]


@dataclass(frozen=True)
class Database:
    """Django's database within a test; `settings` name it to other processes."""

    settings: dict[str, str]

    def environment(self, redis_url: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PERSEUS_", "DATABASE"))}
        ours = {"REDIS_URL": redis_url, "DJANGO_SETTINGS_MODULE": "perseus_admin.settings", "PYTHONPATH": str(ROOT)}
        return {**kept, **ours, **self.settings}

    def start(self, redis_url: str, *arguments: str) -> "subprocess.Popen[str]":
        """A process of ours on this database."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=self.environment(redis_url), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, redis_url: str, *arguments: str) -> tuple[int, str]:
        """(exit code, output)."""
        with self.start(redis_url, *arguments) as process:
            said, _ = process.communicate(timeout=60)
            return process.returncode, said


def record_once(redis_url: str, **options: Any) -> Archive:
    """Catch up, in this process."""
    archive = Archive(redis_url, once=True, **options)
    asyncio.run(archive.run())
    return archive


class Recorder:
    """A recorder in a thread of this process, until `stop`."""

    def __init__(self, redis_url: str, name: str = "recorder") -> None:
        self._archive = Archive(redis_url)
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self.error: BaseException | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()
        self._started.wait(10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._task = asyncio.create_task(self._archive.run(), name="archive")
        self._started.set()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self.error = self._task.exception()

    def stop(self) -> None:
        """As SIGTERM does. Fails where it had died."""
        if self._thread.is_alive() and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(20)
        assert not self._thread.is_alive()
        assert self.error is None, repr(self.error)


@contextmanager
def recording(redis_url: str) -> Iterator[Recorder]:
    """A recorder for the length of a `with`."""
    recorder = Recorder(redis_url)
    try:
        yield recorder
    finally:
        recorder.stop()


def in_stream(redis_url: str, exchange: str = "kraken") -> Raw:
    """Every entry that the stream holds, byte by byte."""
    with sync_client(redis_url) as client:
        rows: Any = client.xrange(stream_key(exchange))
    return [(row[0].decode(), row[1]) for row in rows]


def in_archive(exchange: str = "kraken") -> Raw:
    """Every entry that the archive holds, byte by byte, in id order."""
    rows = ArchivedEntry.objects.filter(exchange__name=exchange).order_by("ms", "seq")
    return [(str(row.entry_id), row.pairs) for row in rows]


def gaps(exchange: str = "kraken") -> list[tuple[str, str | None, str]]:
    """(after, first, reason) of every gap that was recorded."""
    rows = ArchiveGap.objects.filter(exchange__name=exchange).order_by("id")
    return [(str(row.after), str(row.first) if row.first else None, row.reason) for row in rows]


def write(server: RedisServer, count: int, exchange: str = "kraken", *, at: EntryId | None = None) -> list[str]:
    """Errors with a running number, from the id `at` on or at ids of Redis' own; their ids."""
    found: list[str] = []
    with server.client() as client:
        for start in range(0, count, 1000):
            pipeline = client.pipeline(transaction=False)
            for number in range(start, min(start + 1000, count)):
                fields: Mapping[Any, Any] = {
                    "event": "error",
                    "timestamp": "2026-11-22T14:31:38.907Z",
                    "error": f"number {number}",
                    "exchangeName": exchange,
                    "hostname": "host-a",
                    "state": "active",
                }
                entry_id = f"{at.milliseconds}-{at.sequence + number}" if at else "*"
                pipeline.xadd(stream_key(exchange), dict(fields), id=entry_id)
            found += [entry_id.decode() for entry_id in pipeline.execute()]
    return found


def trim(server: RedisServer, keep: int, exchange: str = "kraken") -> None:
    """Keep the newest entries only."""
    with server.client() as client:
        client.xtrim(stream_key(exchange), maxlen=keep, approximate=False)
