"""The worker's small parts on their own."""

import asyncio
import os
import socket
import tempfile
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from activity.instance import VERSION
from activity.instance.address import find_country, find_ip
from activity.instance.console import Console
from activity.instance.host import HostError, HostLock, LockTaken, runtime_folder
from activity.instance.lifecycle import IllegalTransitionError, Lifecycle
from activity.instance.logger import ActivityLogger
from activity.instance.notify import NotifySocket, parse
from activity.instance.options import WorkerConfig
from activity.instance.program import LINE_BYTES, cut
from activity.instance.redaction import LineRedactor, redact
from activity.instance.registry import LAST_ERROR_CHARACTERS, Registry, fresh_status
from activity.instance.tasks import Tasks
from activity.store.client import async_client, lease_client
from activity.store.ownership import Ownership
from activity.wire.status import TRANSITIONS, ConnectionState
from perseus_admin.config import BASE_DIR
from tests.servers import RedisServer
from tests.waiting import eventually

CONFIG = WorkerConfig(7, "kraken", "unix:///nothing.sock", "host-a", heartbeat_seconds=15)


@pytest.fixture
def short_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pw-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_the_version_that_an_instance_reports_is_the_projects() -> None:
    assert tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]["version"] == VERSION


@pytest.mark.parametrize("before", ConnectionState)
async def test_only_the_contracts_transitions_are_possible(before: ConnectionState, redis_server: RedisServer) -> None:
    lease, stream = lease_client(redis_server.url), async_client(redis_server.url)
    for after in ConnectionState:
        registry = Registry(
            Ownership(lease, 7), fresh_status(CONFIG, "x").model_copy(update={"connectionState": before})
        )
        registry.fence("a test writes no status")
        lifecycle = Lifecycle(registry, ActivityLogger(stream, registry))
        if after in TRANSITIONS[before]:
            await lifecycle.to(after)
            assert lifecycle.state == after
            assert (registry.status.connectedAt is not None) == (after == ConnectionState.ACTIVE)
        else:
            with pytest.raises(IllegalTransitionError):
                await lifecycle.to(after)
            assert lifecycle.state == before
    await lease.aclose()
    await stream.aclose()


async def test_a_long_error_is_shortened_in_the_status_and_says_so() -> None:
    lease = lease_client(CONFIG.redis_url)
    registry = Registry(Ownership(lease, 7), fresh_status(CONFIG, "x"))
    registry.record_error("x" * 70_000, "2026-11-22T14:31:38.907Z")
    error = registry.status.lastError or ""
    assert error.startswith("x" * LAST_ERROR_CHARACTERS + "… [65904 more characters")
    await lease.aclose()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://user:sesame@host:6379/0 refused", "redis://user:[redacted]@host:6379/0 refused"),
        ("redis://:sesame@host", "redis://:[redacted]@host"),
        ("https://0123456789abcdef0123@sentry.example.org/4", "https://[redacted]@sentry.example.org/4"),
        ("Authorization: Bearer eyJhbGciOi.J9-_x", "Authorization: Bearer [redacted]"),
        ("GET /v1?api_key=abc123&symbol=BTC", "GET /v1?api_key=[redacted]&symbol=BTC"),
        ('{"password": "sesame", "user": "ann"}', '{"password": "[redacted]", "user": "ann"}'),
        ("API-Key: abcdef123456", "API-Key: [redacted]"),
        ("a\x00b", "a\u2400b"),
        ("x -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- y", "x [redacted] PEM block y"),
        ("invalid token: expected ']' at https://docs.example.org/a", "invalid token: expected ']' at https://docs.example.org/a"),
        ("ann@example.org could not sign in to wss://ws.kraken.com/v2", "ann@example.org could not sign in to wss://ws.kraken.com/v2"),
    ],
)  # fmt: skip
def test_secrets_are_taken_out_and_nothing_else(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


def test_a_pem_block_over_several_lines_is_taken_out_and_what_follows_is_shown() -> None:
    redactor = LineRedactor()
    lines = ["key:", "-----BEGIN PRIVATE KEY-----", "MIIEvQIBADANBg", "-----END PRIVATE KEY-----", "done"]
    block = "[redacted] PEM block"
    assert [redactor.line(line) for line in lines] == ["key:", block, block, block, "done"]


def test_a_notification_is_read_in_order_and_nonsense_is_named() -> None:
    message = parse(b"READY=1\n\nSTATUS=a=b\nnonsense\n=x\n\xff=1")
    assert message.assignments == (("READY", "1"), ("STATUS", "a=b"))
    assert len(message.problems) == 3
    assert parse(b"READY=1", cut=True).assignments == ()


def test_the_notify_socket_is_for_its_user_or_as_open_as_systemds_and_closes_what_it_is_sent(
    short_folder: Path,
) -> None:
    receiver = NotifySocket()
    # A program of root's may have changed its user before it speaks; anybody else's has not.
    assert receiver.folder.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)
    read_end, write_end = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(receiver.path))
        socket.send_fds(sender, [b"BARRIER=1"], [write_end])
    os.close(write_end)
    message = receiver.receive_now()
    assert message is not None
    assert message.assignments == (("BARRIER", "1"),)
    assert os.read(read_end, 1) == b"", "the other end was closed by the receiver"
    os.close(read_end)
    assert receiver.receive_now() is None
    receiver.close()
    assert not receiver.folder.exists()


def test_a_folder_that_somebody_else_can_write_to_is_refused(short_folder: Path) -> None:
    folder = short_folder / f"perseus-{os.getuid()}"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    with pytest.raises(HostError, match="mode 0700"):
        runtime_folder()


def test_the_nodes_of_a_cluster_in_another_order_are_the_same_network(short_folder: Path) -> None:
    lock = HostLock.acquire("redis+cluster://u:old@a:6379,b:6380", "host-a", 7)
    try:
        with pytest.raises(LockTaken):
            HostLock.acquire("redis+cluster://u:new@b:6380,a", "host-a", 7)
        HostLock.acquire("redis+cluster://u:old@c:6379,b:6380", "host-a", 7).close()
    finally:
        lock.close()


def test_a_host_lock_is_held_once_remembers_its_instance_and_is_free_after_its_process(short_folder: Path) -> None:
    lock = HostLock.acquire("unix:///a", "host-a", 7)
    assert lock.previous is None
    lock.record("first")
    with pytest.raises(LockTaken) as taken:
        HostLock.acquire("unix:///a", "host-a", 7)
    assert taken.value.pid == os.getpid()
    other = HostLock.acquire("unix:///a", "host-b", 7)
    lock.close()
    again = HostLock.acquire("unix:///a", "host-a", 7)
    assert again.previous == "first"
    for one in (other, again):
        one.close()


@pytest.mark.parametrize("length", [0, 1, LINE_BYTES - 1, LINE_BYTES, LINE_BYTES + 1, 3 * LINE_BYTES])
def test_long_lines_are_cut_without_losing_or_breaking_a_character(length: int) -> None:
    line = ("€" * (length // 3 + 1)).encode()[: length // 3 * 3] + b"x" * (length % 3)
    pieces = cut(line)
    assert b"".join(pieces) == line
    assert all(len(piece) <= LINE_BYTES for piece in pieces)
    for piece in pieces:
        piece.decode()


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answer = {"/ip": "203.0.113.7\n", "/country/203.0.113.7": "de", "/html": "<html>busy</html>"}.get(self.path)
        self.send_response(200 if answer else 503)
        self.end_headers()
        self.wfile.write((answer or "").encode())

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def lookups() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_the_public_ip_is_the_first_sensible_answer_and_nothing_is_guessed(lookups: str) -> None:
    assert await find_ip([f"{lookups}/nothing", "ftp://x/", f"{lookups}/html", f"{lookups}/ip"]) == "203.0.113.7"
    assert await find_ip([f"{lookups}/html", "http://127.0.0.1:9/"]) is None
    assert await find_country(f"{lookups}/country/{{ip}}", "203.0.113.7") == "DE"
    assert await find_country(f"{lookups}/html", "203.0.113.7") is None


async def test_a_task_that_dies_or_ends_by_itself_is_noticed() -> None:
    async def dies() -> None:
        raise RuntimeError("boom")

    async def ends() -> None:
        return

    for work, allowed in ((dies, True), (ends, False)):
        tasks = Tasks()
        tasks.start("allowed", ends(), may_end=True)
        tasks.start("side", work(), may_end=allowed)
        async with asyncio.timeout(5):
            failure = await tasks.failure
        assert failure.name == "side"
        assert isinstance(failure.error, RuntimeError)
        await tasks.cancel()


def test_a_reader_that_stalls_never_blocks_the_log_and_what_was_left_out_is_counted() -> None:
    read_end, write_end = os.pipe()
    console = Console(write_end)
    for n in range(40_000):
        console.write(f"line {n} " + "x" * 80)
    text = b""
    while b"lines were left out here" not in text:
        text += os.read(read_end, 1 << 20)
        console.write("more\nlines")
    assert b"more\\nlines" in text or eventually(lambda: b"more\\nlines" in os.read(read_end, 1 << 20))
    drained = threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(read_end, 1 << 20), b"")])
    drained.start()
    console.close()
    os.close(write_end)
    drained.join(10)
    os.close(read_end)
