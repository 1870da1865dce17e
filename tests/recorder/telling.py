"""What the tests about notifications share: a remote that is told, an archive to be told of, notifiers that run."""

import asyncio
import contextlib
import copy
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from django.conf import settings as django_settings
from django.db import connections
from pytest_django import DjangoDbBlocker

from activity.models import Delivery, Exchange, NotificationChannel
from activity.recorder.database import DatabaseThread
from activity.recorder.notify import Notifier, NotifyOptions
from activity.recorder.outages import Outages
from activity.recorder.writing import Batch, load_cursor, store
from activity.schema import usage
from activity.schema.prepare import create_tables_where_empty
from activity.wire.clock import now_timestamp
from activity.wire.entries import EntryId, RawEntry
from tests.database.conftest import default_database, make_with_tables
from tests.servers import free_port
from tests.waiting import eventually

#: Stands in every URL of these tests and must stand nowhere else.
SECRET = "s3cr3t-t0k3n-of-the-channel"
#: No patience where a test is not about it.
HASTY = NotifyOptions(first_retry=0.1, longest_retry=0.4)


@dataclass
class Answer:
    """What the remote does with one request: it holds it for `seconds`, then answers."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    body: bytes = b"{}"


@dataclass
class Request:
    """What arrived, and when by the monotonic clock."""

    at: float
    path: str
    message: str
    title: str


class Remote:
    """A webhook on this machine. Answers 200 unless `answers` has something else for the next request."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.answers: list[Answer] = []
        #: What is answered when `answers` is empty.
        self.usual = Answer()
        remote = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                told = json.loads(self.rfile.read(length))
                remote.requests.append(Request(time.monotonic(), self.path, told["message"], told["title"]))
                answer = remote.answers.pop(0) if remote.answers else remote.usual
                time.sleep(answer.seconds)
                with contextlib.suppress(OSError):  # who asked may have gone
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def url(self, path: str = "") -> str:
        return f"json://user:{SECRET}@127.0.0.1:{self.port}/{SECRET}/{path}"

    @property
    def told(self) -> str:
        return "\n\n".join(request.message for request in self.requests)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextlib.contextmanager
def remote(port: int = 0) -> Iterator[Remote]:
    server = Remote(port)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def sqlite_archive(file: Path, blocker: DjangoDbBlocker) -> Iterator[None]:
    """An SQLite file of the product's own kind with two exchanges is Django's database."""
    entry = copy.deepcopy(django_settings.DATABASES["default"])
    make_with_tables(file, blocker)
    with default_database({**entry, "NAME": file}, blocker):
        create_tables_where_empty()  # there are some: from here on this process counts as one that uses it
        try:
            make_exchanges()
            yield
        finally:
            connections["default"].close()
            if descriptor := usage._held.pop(file.with_name(f"{file.name}.lock"), None):
                os.close(descriptor)


def make_exchanges() -> None:
    Exchange.objects.create(id=1, name="binance", display_name="Binance")
    Exchange.objects.create(id=3, name="kraken", display_name="Kraken")


def channel(url: str, name: str = "ops", *exchanges: str, **fields: Any) -> NotificationChannel:
    made = NotificationChannel.objects.create(
        **{"name": name, "url": url, "shown_url": "json://127.0.0.1/…", "kinds": ["error", "lost"], **fields}
    )
    made.exchanges.set(Exchange.objects.filter(name__in=exchanges))
    return made


def error(text: str, **more: str) -> dict[str, str]:
    fields = {"event": "error", "timestamp": now_timestamp(), "error": text, "hostname": "host-a", "state": "active"}
    return {**fields, **more}


def transition(before: str, after: str) -> dict[str, str]:
    return {"event": "state_transition", "timestamp": now_timestamp(), "fromState": before, "toState": after}


def archive(exchange_id: int, *entries: dict[str, str], ms: int | None = None) -> None:
    """Write entries into the archive as the recorder does, behind all that are there."""
    begin = load_cursor(exchange_id)
    first = max(begin.milliseconds + 1, int(time.time() * 1000)) if ms is None else ms
    raw = [
        RawEntry(EntryId(first, place), [part.encode() for pair in fields.items() for part in pair])
        for place, fields in enumerate(entries)
    ]
    assert store(exchange_id, Batch(begin, raw[-1].id, raw)) == "stored"


class Running:
    """A notifier in a thread of its own, as it runs in the recorder."""

    def __init__(self, options: NotifyOptions = HASTY) -> None:
        self._options = options
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self.failure: BaseException | None = None

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        database = DatabaseThread("notifications of a test")
        task = asyncio.create_task(Notifier(database, Outages(), self._options).run())
        self._ready.set()
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        task.cancel()
        await asyncio.wait({task, stop})
        await database.end()
        if not task.cancelled():
            self.failure = task.exception()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        assert self.failure is None, self.failure


def sent(count: int, *, within: float = 20.0) -> list[Delivery]:
    """The deliveries, as soon as so many are sent."""

    def enough() -> list[Delivery]:
        done = list(Delivery.objects.filter(state=Delivery.State.SENT).order_by("id"))
        return done if len(done) >= count else []

    return eventually(enough, within=within)


__all__ = ["free_port"]
