"""Claims and commands by form: who may, to whom exactly, what is asked for, and what the receipt says."""

import json
import re
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from django.test import Client
from guardian.shortcuts import assign_perm

from activity.models import AuditEvent, Command, Exchange, User
from activity.settling import settle, settle_open
from activity.store.client import pages_client
from activity.wire.commands import CommandType
from tests.pages.conftest import PASSWORD, SignIn
from tests.pages.reading import page_of
from tests.pages.writing import put_older_status, put_status
from tests.servers import RedisServer

INSTANCE = "fra-edge-03-31877-x7k2"


@pytest.fixture
def marta(exchanges: dict[str, Exchange]) -> User:
    """May view, claim and command kraken."""
    user = User.objects.create_user("marta@example.org", PASSWORD, display_name="Marta Kovač")
    for verb in ("view", "claim", "command"):
        assign_perm(f"activity.{verb}_exchange", user, exchanges["kraken"])
    return user


@pytest.fixture
def jonas(exchanges: dict[str, Exchange]) -> User:
    """May take over as well."""
    user = User.objects.create_user("jonas@example.org", PASSWORD, display_name="Jonas Weber")
    for verb in ("view", "claim", "command", "takeover"):
        assign_perm(f"activity.{verb}_exchange", user, exchanges["kraken"])
    return user


def form_of(client: Client, kind: str) -> dict[str, str]:
    """The hidden fields of a command's form."""
    page = client.get(f"/exchanges/kraken/command/{kind}/").content.decode()
    return dict(re.findall(r'<input type="hidden" name="([\w.]+)" value="([^"]*)"', page))


def post(client: Client, kind: str, **fields: str) -> tuple[int, str]:
    """Open the form, fill it in, send it."""
    answer = client.post(f"/exchanges/kraken/command/{kind}/", {**form_of(client, kind), **fields})
    return answer.status_code, page_of(answer).text if answer.status_code != 302 else answer["Location"]


def in_stream(store: redis.Redis) -> list[dict[str, str]]:
    rows = store.xrange(f"{{commands:{INSTANCE}}}")
    return [{name.decode(): value.decode() for name, value in fields.items()} for _, fields in rows]  # type: ignore[union-attr]


def unclaimed(store: redis.Redis, **fields: Any) -> None:
    put_status(store, "kraken", **{"adminEmail": None, "adminDisplayName": None, **fields})


def test_a_claim_is_a_row_an_audit_event_and_an_entry_of_the_instances_stream(
    sign_in: SignIn, marta: User, store: redis.Redis
) -> None:
    unclaimed(store)
    client = sign_in(marta)
    assert "Claim kraken" in page_of(client.get("/exchanges/kraken/")).text
    assert post(client, "claim") == (302, "/exchanges/kraken/")
    [sent] = in_stream(store)
    assert (sent["type"], sent["issuedBy"]) == ("claim", "marta@example.org")
    assert json.loads(sent["payload"]) == {"email": "marta@example.org", "displayName": "Marta Kovač"}
    row = Command.objects.get()
    assert (row.state, str(row.correlation_id), row.instance_id) == ("delivered", sent["correlationId"], INSTANCE)
    event = AuditEvent.objects.get(action=AuditEvent.Action.CLAIMED)
    assert (event.actor, event.exchange, event.correlation_id) == ("marta@example.org", "kraken", row.correlation_id)
    text = page_of(client.get("/exchanges/kraken/")).text
    assert "Pending: marta@example.org" in text
    assert "Until then the card shows nobody." in text
    put_status(store, "kraken", adminEmail="marta@example.org")
    assert "Pending" not in page_of(client.get("/exchanges/kraken/")).text


def test_an_instance_that_never_shows_a_claim_is_said_to(sign_in: SignIn, marta: User, store: redis.Redis) -> None:
    unclaimed(store)
    client = sign_in(marta)
    post(client, "claim")
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    Command.objects.update(state="succeeded", ended_at=long_ago)
    assert "has taken the claim and does not show it" in page_of(client.get("/exchanges/kraken/")).text


def test_an_older_writer_is_said_to_know_no_commands(sign_in: SignIn, marta: User, store: redis.Redis) -> None:
    put_older_status(store, "kraken", adminEmail=None, adminDisplayName=None)
    client = sign_in(marta)
    text = page_of(client.get("/exchanges/kraken/")).text
    assert "it knows no claims and no commands" in text
    assert "Claim kraken" not in text
    status, words = post(client, "claim")
    assert status == 409
    assert "An older writer holds the exchange" in words
    assert Command.objects.count() == 0


def test_the_same_form_sent_twice_is_one_command(sign_in: SignIn, marta: User, store: redis.Redis) -> None:
    unclaimed(store)
    client = sign_in(marta)
    fields = form_of(client, "claim")
    for _ in range(2):
        assert client.post("/exchanges/kraken/command/claim/", fields).status_code == 302
    assert len(in_stream(store)) == Command.objects.count() == 1


def test_who_lacks_the_right_is_refused_and_offered_nothing(
    sign_in: SignIn, kraken_viewer: User, store: redis.Redis
) -> None:
    unclaimed(store)
    client = sign_in(kraken_viewer)
    text = page_of(client.get("/exchanges/kraken/")).text
    assert "Claim kraken" not in text
    assert "Stop" not in text
    for kind in ("claim", "stop", "switch-mode"):
        assert client.get(f"/exchanges/kraken/command/{kind}/").status_code == 403
        assert client.post(f"/exchanges/kraken/command/{kind}/").status_code == 403
    assert client.get("/exchanges/binance/command/stop/").status_code == 404
    assert client.get("/exchanges/kraken/command/explode/").status_code == 404
    assert in_stream(store) == []


def test_stopping_a_live_instance_asks_for_the_exchanges_name(sign_in: SignIn, marta: User, store: redis.Redis) -> None:
    unclaimed(store)
    client = sign_in(marta)
    status, words = post(client, "stop", confirm="krakn", reason="a bad fill")
    assert status == 400
    assert "type the name of the exchange, kraken" in words
    assert "a bad fill" in words, "what was typed is kept"
    assert post(client, "stop", confirm="kraken", reason="a bad fill")[0] == 302
    assert Command.objects.get().reason == "a bad fill"
    assert AuditEvent.objects.get(action=AuditEvent.Action.COMMANDED).reason == "a bad fill"


def test_one_that_is_not_live_is_stopped_without_typing(sign_in: SignIn, marta: User, store: redis.Redis) -> None:
    unclaimed(store, connectionState="warming")
    assert post(sign_in(marta), "stop")[0] == 302


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("switch-mode", {"mode": "a b"}, "mode: String should match pattern"),
        ("add-symbol", {"symbol": ""}, "symbol: String should match pattern"),
        ("handover", {"to": ""}, "to: String should have at least 1 character"),
    ],
)
def test_what_cannot_be_sent_names_the_field(
    sign_in: SignIn, marta: User, store: redis.Redis, kind: str, fields: dict[str, str], words: str
) -> None:
    unclaimed(store)
    status, text = post(sign_in(marta), kind, **fields)
    assert status == 400
    assert words in text
    assert in_stream(store) == []


def test_a_take_over_asks_for_a_reason_and_a_fresh_proof(sign_in: SignIn, jonas: User, store: redis.Redis) -> None:
    put_status(store, "kraken", adminEmail="marta@example.org")
    client = sign_in(jonas)
    text = page_of(client.get("/exchanges/kraken/command/claim/")).text
    for part in ("fra-edge-03", "203.0.113.7", "marta@example.org", "212"):
        assert part in text
    assert post(client, "claim")[0] == 400
    fields = {**form_of(client, "claim"), "reason": "she is on a plane"}
    answer = client.post("/exchanges/kraken/command/claim/", fields)
    assert answer["Location"].startswith("/sign-in/again/")
    assert Command.objects.count() == 0
    # The proof, and what was asked for goes on by itself.
    answer = client.post(answer["Location"], {"password": PASSWORD, "next": "/exchanges/kraken/command/claim/"})
    assert answer.status_code == 302
    assert Command.objects.get().reason == "she is on a plane"
    event = AuditEvent.objects.get(action=AuditEvent.Action.TAKEN_OVER)
    assert event.reason == "she is on a plane"
    assert "marta@example.org" in event.before


def test_a_take_over_of_a_holder_that_changed_meanwhile_does_nothing_and_marks_what_changed(
    sign_in: SignIn, jonas: User, store: redis.Redis
) -> None:
    put_status(store, "kraken", adminEmail="marta@example.org", connectionState="warming")
    client = sign_in(jonas)
    fields = form_of(client, "claim")
    put_status(store, "kraken", adminEmail="anna@example.org", hostname="ams-1", epoch=213, connectionState="warming")
    answer = client.post("/exchanges/kraken/command/claim/", {**fields, "reason": "x"})
    page = page_of(answer)
    assert answer.status_code == 409
    assert "Somebody else was faster" in page.text
    assert [node.text for node in page.all(class_="changed")][:3] == [
        "host fra-edge-03 ams-1",
        "admin marta@example.org anna@example.org",
        "epoch 212 213",
    ]
    assert Command.objects.count() == 0
    assert post(client, "claim", reason="x")[0] == 302


def test_of_two_who_take_over_within_one_heartbeat_one_wins(
    client: Client, marta: User, jonas: User, store: redis.Redis
) -> None:
    put_status(store, "kraken", adminEmail="anna@example.org", connectionState="warming")
    assign_perm("activity.takeover_exchange", marta, Exchange.objects.get(name="kraken"))
    other = Client()
    client.force_login(jonas, backend="django.contrib.auth.backends.ModelBackend")
    other.force_login(marta, backend="django.contrib.auth.backends.ModelBackend")
    first, second = form_of(client, "claim"), form_of(other, "claim")
    assert client.post("/exchanges/kraken/command/claim/", {**first, "reason": "x"}).status_code == 302
    # The instance has not beaten yet: its status still names the one who was relieved.
    answer = other.post("/exchanges/kraken/command/claim/", {**second, "reason": "x"})
    assert answer.status_code == 409
    assert [node.text for node in page_of(answer).all(class_="changed")][:1] == [
        "admin anna@example.org jonas@example.org"
    ]
    assert Command.objects.count() == 1
    put_status(store, "kraken", adminEmail="jonas@example.org", connectionState="warming")
    assert post(other, "claim", reason="x")[0] == 302


def test_who_may_only_claim_takes_nothing_over(sign_in: SignIn, marta: User, store: redis.Redis) -> None:
    put_status(store, "kraken", adminEmail="jonas@example.org")
    client = sign_in(marta)
    assert "Take over" not in page_of(client.get("/exchanges/kraken/")).text
    status, words = post(client, "claim", reason="x")
    assert status == 409
    assert "needs the right to take over" in words
    assert post(client, "release")[0] == 409


# --- what becomes of it ---


def sent(client: Client, kind: str = "release", **fields: str) -> Command:
    assert post(client, kind, **fields)[0] == 302
    return Command.objects.latest("id")


def report(store: redis.Redis, command: Command, **said: object) -> None:
    store.hset(f"{{commands:{INSTANCE}}}:taken", str(command.correlation_id), json.dumps(said))


def now_ms() -> int:
    return int(time.time() * 1000)


def test_the_receipt_follows_what_the_instance_reports(sign_in: SignIn, marta: User, store: redis.Redis) -> None:
    put_status(store, "kraken", adminEmail="marta@example.org")
    client = sign_in(marta)
    command = sent(client)
    receipt = page_of(client.get("/exchanges/kraken/steering/")).one(id=f"c-{command.correlation_id}")
    assert "Delivered" in receipt.text
    report(store, command, progress="acknowledged", at=now_ms(), acknowledgedAt=now_ms())
    client.get("/exchanges/kraken/steering/")
    command.refresh_from_db()
    assert command.state == "acknowledged"
    report(store, command, progress="succeeded", at=now_ms(), acknowledgedAt=now_ms(), text="nobody answers for it")
    text = page_of(client.get("/exchanges/kraken/steering/")).text
    assert "nobody answers for it" in text
    command.refresh_from_db()
    assert command.state == "succeeded"
    assert command.ended_at


def test_what_nobody_took_in_30_s_expires_and_cannot_be_taken_any_more(
    sign_in: SignIn, marta: User, store: redis.Redis, redis_server: RedisServer
) -> None:
    put_status(store, "kraken", adminEmail="marta@example.org")
    command = sent(sign_in(marta))
    client = pages_client(redis_server.url)
    settle(client, [command], now=datetime.now(UTC) + timedelta(seconds=29))
    assert command.state == "delivered"
    settle(client, [command], now=datetime.now(UTC) + timedelta(seconds=31))
    assert (command.state, command.text) == ("expired", "the instance did not take it within 30 s")
    assert store.hexists(f"{{commands:{INSTANCE}}}:taken", str(command.correlation_id))


@pytest.mark.parametrize("off_seconds", [-600, 600])
def test_a_clock_that_is_ten_minutes_off_ends_no_command_early(
    sign_in: SignIn, marta: User, store: redis.Redis, redis_server: RedisServer, off_seconds: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    put_status(store, "kraken", adminEmail="marta@example.org")
    client = sign_in(marta)
    form = form_of(client, "release")

    class Off(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=off_seconds)

    from activity import settling

    monkeypatch.setattr(settling, "datetime", Off)
    monkeypatch.setattr("django.utils.timezone.now", lambda: Off.now(UTC))
    assert client.post("/exchanges/kraken/command/release/", form).status_code == 302
    command = Command.objects.get()
    settle(pages_client(redis_server.url), [command])
    assert command.state == "delivered"
    assert command.delivered_at is not None
    assert abs(command.delivered_at.timestamp() - time.time()) < 60


def test_an_instance_that_ended_before_it_reported_leaves_no_command_open(
    sign_in: SignIn, marta: User, store: redis.Redis, redis_server: RedisServer
) -> None:
    put_status(store, "kraken", adminEmail="marta@example.org")
    command = sent(sign_in(marta))
    report(store, command, progress="acknowledged", at=now_ms(), acknowledgedAt=now_ms())
    client = pages_client(redis_server.url)
    later = datetime.now(UTC) + timedelta(seconds=120)
    settle(client, [command], now=later)
    assert command.state == "acknowledged", "its instance lives: it may still report"
    store.delete("exchange:3:status")
    settle(client, [command], now=later)
    assert command.state == "failed"
    assert "what was done is not known" in command.text


def test_redis_gone_between_row_and_stream_is_said_and_ends_truthfully(
    sign_in: SignIn, marta: User, store: redis.Redis, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from activity import steering
    from activity.store.client import StoreUnavailable

    put_status(store, "kraken", adminEmail="marta@example.org")
    client = sign_in(marta)

    def away(*_: object) -> None:
        raise StoreUnavailable("Redis: connection lost")

    monkeypatch.setattr(steering, "send_command", away)
    command = sent(client)
    assert command.state == "requested"
    assert "connection lost" in page_of(client.get("/exchanges/kraken/steering/")).text
    settle(pages_client(redis_server.url), [command], now=datetime.now(UTC) + timedelta(seconds=31))
    assert (command.state, command.text) == ("expired", "it never reached Redis")
    assert in_stream(store) == []


def test_a_lost_answer_that_had_arrived_is_found_out(
    sign_in: SignIn, marta: User, store: redis.Redis, redis_server: RedisServer
) -> None:
    put_status(store, "kraken", adminEmail="marta@example.org")
    command = sent(sign_in(marta))
    Command.objects.update(state="requested", delivered_at=None)
    report(store, command, progress="succeeded", at=now_ms(), acknowledgedAt=now_ms(), text="done")
    assert settle_open(pages_client(redis_server.url)) == 0
    command.refresh_from_db()
    assert (command.state, command.delivered_at == command.acknowledged_at) == ("succeeded", True)


# --- instances that wait ---


def idle(store: redis.Redis) -> None:
    status = {
        "instanceId": "idle-1", "hostname": "spare-1", "pid": 4, "version": "1", "program": "bot.js",
        "registeredAt": "2026-01-01T00:00:00.000Z", "lastHeartbeat": "2026-01-01T00:00:00.000Z", "heartbeatSeconds": 15,
    }  # fmt: skip
    store.hset("{instances:idle}", "idle-1", json.dumps(status))
    store.zadd("{instances:idle}:until", {"idle-1": now_ms() + 40_000})


def test_an_idle_instance_is_listed_and_assigned(sign_in: SignIn, marta: User, store: redis.Redis) -> None:
    idle(store)
    client = sign_in(marta)
    text = page_of(client.get("/instances/")).text
    assert "spare-1" in text
    assert "bot.js" in text
    page = client.get("/instances/idle-1/assign/").content.decode()
    assert re.findall("<option[^>]*>(.*?)</option>", page)[1:] == ["kraken"]
    fields = {"correlation": str(uuid.uuid4()), "exchange": "kraken", "mode": "paper", "symbols": "BTC/USD, ETH/USD"}
    assert client.post("/instances/idle-1/assign/", fields)["Location"] == "/exchanges/kraken/"
    rows: Any = store.xrange("{commands:idle-1}")
    [(_, entry)] = rows
    assert entry[b"type"] == b"start"
    assert b'"symbols": ["BTC/USD", "ETH/USD"]' in entry[b"payload"]
    assert AuditEvent.objects.filter(action=AuditEvent.Action.ASSIGNED, host="spare-1").count() == 1


def test_an_exchange_that_is_held_is_not_assigned(sign_in: SignIn, marta: User, store: redis.Redis) -> None:
    idle(store)
    put_status(store, "kraken")
    fields = {"correlation": str(uuid.uuid4()), "exchange": "kraken", "mode": "", "symbols": ""}
    answer = sign_in(marta).post("/instances/idle-1/assign/", fields)
    assert answer.status_code == 409
    assert "kraken has an instance already" in page_of(answer).text
    bad = sign_in(marta).post("/instances/idle-1/assign/", {**fields, "exchange": "binance"})
    assert "exchange: choose one of kraken" in page_of(bad).text


def test_who_may_command_nothing_sees_no_idle_instance(
    sign_in: SignIn, kraken_viewer: User, store: redis.Redis
) -> None:
    idle(store)
    client = sign_in(kraken_viewer)
    assert "spare-1" not in page_of(client.get("/instances/")).text
    assert client.get("/instances/idle-1/assign/").status_code == 403


def test_only_what_may_end_or_start_a_program_leads_to_its_transitions() -> None:
    moving = {kind for kind in CommandType if Command(type=kind).moves}
    assert moving == {"start", "stop", "switch-mode", "reload-settings", "handover"}
