"""The audit trail: what writes to it, that nobody changes it, and that a change would be seen."""

import http.client
import io
import json
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from guardian.shortcuts import assign_perm, remove_perm

from activity.audit import Action, record, verify
from activity.exports import cell
from activity.management.commands import verify_audit
from activity.models import ApiToken, AuditEvent, Exchange, User
from activity.schema.drift import find_drift
from tests.web import PASSWORD, WebServer

STRONG = "nine green bottles"


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both databases, one after the other, with their tables."""
    fixture = {"sqlite": "current_sqlite", "postgres": "loaded_postgres"}[request.param]
    request.getfixturevalue(fixture)
    call_command("prepare", verbosity=0, stdout=io.StringIO(), stderr=io.StringIO())
    yield request.param
    connection.close()


def newest() -> AuditEvent:
    event = AuditEvent.objects.first()
    assert event
    return event


def drop_triggers() -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ALTER TABLE audit_events DISABLE TRIGGER ALL")
        else:
            cursor.execute("DROP TRIGGER audit_events_append_only_update")
            cursor.execute("DROP TRIGGER audit_events_append_only_delete")


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    "statement", ["UPDATE audit_events SET actor = 'somebody else' WHERE number = 1", "DELETE FROM audit_events"]
)
def test_tampering_by_sql_is_refused(statement: str) -> None:
    record(Action.CREATED, "something")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert verify().fault == ""


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE audit_events SET actor = 'somebody else' WHERE number = 2", "event 2 was changed"),
        ("UPDATE audit_events SET reason = 'a better one' WHERE number = 3", "event 3 was changed"),
        ("DELETE FROM audit_events WHERE number = 2", "event 2 is missing"),
        ("UPDATE audit_events SET previous = hash WHERE number = 3", "event 3 does not follow event 2"),
    ],
)
@pytest.mark.usefixtures("database")
def test_with_the_triggers_dropped_the_verifier_points_at_the_row(
    monkeypatch: pytest.MonkeyPatch, statement: str, fault: str
) -> None:
    while AuditEvent.objects.count() < 4:
        record(Action.CREATED, "something")
    drop_triggers()
    assert any("audit_events_append_only" in line for line in find_drift())
    with connection.cursor() as cursor:
        cursor.execute(statement)
    said = io.StringIO()
    found = verify()
    assert found.fault.startswith(fault)
    # The start check refuses a database without its triggers, too: here the verifier itself is asked.
    monkeypatch.setattr(verify_audit, "require_current_schema", lambda: None)
    with pytest.raises(SystemExit) as ended:
        call_command("verify_audit", stderr=said)
    assert ended.value.code == 1
    assert fault in said.getvalue()


@pytest.mark.usefixtures("database")
def test_a_head_that_was_noted_shows_what_was_cut_off() -> None:
    record(Action.CREATED, "one")
    record(Action.CREATED, "two")
    out = io.StringIO()
    call_command("verify_audit", stdout=out)
    head = out.getvalue().rpartition("Head: ")[2].strip()
    call_command("verify_audit", "--head", head, stdout=io.StringIO())
    wrong = head.partition(":")[0] + ":" + "0" * 64
    with pytest.raises(SystemExit):
        call_command("verify_audit", "--head", wrong, stderr=io.StringIO())


@pytest.mark.usefixtures("database")
def test_people_rights_exchanges_and_tokens_are_recorded_with_before_and_after() -> None:
    kraken = Exchange.objects.create(name="kraken-test", display_name="Kraken")
    assert (newest().action, newest().exchange) == ("created", "kraken-test")
    kraken.display_name = "Kraken Pro"
    kraken.save()
    assert json.loads(newest().before) == {"display_name": "Kraken"}
    assert json.loads(newest().after) == {"display_name": "Kraken Pro"}
    count = AuditEvent.objects.count()
    kraken.save()
    assert AuditEvent.objects.count() == count  # nothing changed

    user = User.objects.create_user("marta@example.org", STRONG)
    user.set_password("eight brown bottles")
    user.save()
    assert json.loads(newest().after) == {"password": "[another secret]"}

    assign_perm("activity.view_exchange", user, kraken)
    assert newest().action == "granted"
    assert json.loads(newest().after) == {"right": "view_exchange", "on": "kraken-test"}
    remove_perm("activity.view_exchange", user, kraken)
    assert (newest().action, newest().exchange) == ("withdrawn", "kraken-test")

    group = Group.objects.create(name="night shift")
    user.groups.add(group)
    assert (newest().action, json.loads(newest().after)) == ("granted", {"groups": ["night shift"]})
    user.groups.clear()
    assert (newest().action, json.loads(newest().before)) == ("withdrawn", {"groups": ["night shift"]})

    token, text = ApiToken.issue(user, "a script")
    told = newest()
    assert told.action == "created"
    assert token.digest not in told.after
    assert text not in told.after
    assert verify().fault == ""


@pytest.mark.usefixtures("database")
def test_a_change_that_is_taken_back_leaves_no_event() -> None:
    record(Action.CREATED, "before")
    with transaction.atomic():
        Exchange.objects.create(name="never", display_name="Never")
        transaction.set_rollback(True)
    assert newest().subject == "before"
    assert verify().fault == ""


@pytest.mark.usefixtures("database")
def test_sign_ins_failures_and_sign_outs_are_recorded_with_the_address() -> None:
    User.objects.create_user("marta@example.org", STRONG)
    client = Client(REMOTE_ADDR="203.0.113.7")
    client.post("/sign-in/", {"login": "Marta@example.org", "password": "wrong"})
    assert (newest().action, newest().subject, newest().ip) == (
        "sign_in_failed", "user marta@example.org", "203.0.113.7",
    )  # fmt: skip
    client.post("/sign-in/", {"login": "marta@example.org", "password": STRONG})
    assert (newest().action, newest().actor, newest().ip, newest().via) == (
        "signed_in", "marta@example.org", "203.0.113.7", "web",
    )  # fmt: skip
    client.post("/sign-out/")
    assert (newest().action, newest().actor) == ("signed_out", "marta@example.org")


@pytest.mark.usefixtures("database")
def test_an_event_of_an_exchange_is_seen_by_whoever_administers_it_and_by_nobody_else() -> None:
    kraken = Exchange.objects.create(name="kraken-test", display_name="Kraken")
    Exchange.objects.create(name="binance-test", display_name="Binance")
    staff = User.objects.create_user("staff@example.org", STRONG, is_staff=True)
    client = Client()
    client.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/admin/activity/auditevent/").status_code == 403
    for right in ("view_exchange", "administer_exchange"):
        assign_perm(f"activity.{right}", staff, kraken)
    page = client.get("/admin/activity/auditevent/").content.decode()
    assert "kraken-test" in page
    assert "binance-test" not in page
    hidden = AuditEvent.objects.get(exchange="binance-test").number
    assert client.get(f"/admin/activity/auditevent/{hidden}/change/").status_code == 302  # as if it did not exist
    shown = AuditEvent.objects.filter(exchange="kraken-test").last()
    assert shown
    page = client.get(f"/admin/activity/auditevent/{shown.number}/change/").content.decode()
    assert shown.hash in page
    assert 'name="_save"' not in page


def test_exports_are_streamed_filtered_whole_and_recorded(own_web: WebServer) -> None:
    own_web.run(
        "from activity.audit import record, Action\n"
        "for n in range(2500): record(Action.CREATED, f'=row {n}')\n"
    )  # fmt: skip

    def fetch(path: str) -> str:
        asked = http.client.HTTPConnection("127.0.0.1", own_web.port, timeout=60)
        asked.request("GET", path, headers={"Cookie": own_web.cookie()})
        answer = asked.getresponse()
        assert answer.status == 200, path
        body = answer.read().decode()
        asked.close()
        return body

    rows = [json.loads(line) for line in fetch("/admin/activity/auditevent/export.jsonl?q=row").splitlines()]
    assert [row["subject"] for row in rows] == [f"=row {n}" for n in range(2500)]
    lines = fetch("/admin/activity/auditevent/export.csv?q=row").splitlines()
    assert len(lines) == 2501
    assert ",'=row 0," in lines[1]
    told = fetch("/admin/activity/auditevent/export.jsonl?action__exact=exported").splitlines()
    assert [json.loads(line)["actor"] for line in told] == ["admin@example.org"] * 3


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", " =1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text) == f"'{text}"


def test_a_failing_request_in_the_admin_leaves_neither_change_nor_event(own_web: WebServer) -> None:
    before = own_web.run("print(AuditEvent.objects.count())")
    browser = own_web.browser().sign_in()
    status, _ = browser.post("/admin/activity/exchange/add/", name="Bad Name", display_name="x", active="on")
    assert status == 200  # the form again
    after = own_web.run("print(AuditEvent.objects.count(), Exchange.objects.filter(display_name='x').count())")
    assert after.split() == [str(int(before) + 1), "0"]  # the sign-in alone
    assert PASSWORD not in own_web.run("print([e.after for e in AuditEvent.objects.all()])")
