"""People are told what they asked for, each entry once, in order, through outages, and never too fast."""

import itertools
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from activity.models import Delivery, DeliveryEntry, NotificationChannel
from activity.recorder import outbound, pacing
from activity.recorder.notify import NotifyOptions
from perseus_admin.config import BASE_DIR, postgres_options
from tests.database.conftest import default_database
from tests.postgres import PostgresServer, running_postgres
from tests.recorder.telling import (
    SECRET,
    Answer,
    Remote,
    Running,
    archive,
    channel,
    error,
    free_port,
    make_exchanges,
    remote,
    sent,
    sqlite_archive,
    transition,
)
from tests.waiting import eventually

#: Seconds between two requests to a webhook in these tests; in life it is 1.
PACE = 0.1


@pytest.fixture(autouse=True)
def quick_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "KNOWN_SECONDS", {**pacing.KNOWN_SECONDS, "json": PACE})


@pytest.fixture
def sqlite(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with sqlite_archive(tmp_path / "perseus.sqlite3", django_db_blocker):
        yield


@pytest.fixture
def hook(sqlite: None) -> Iterator[Remote]:
    with remote() as server:
        yield server


def test_an_entry_is_told_once_with_all_that_it_says(hook: Remote) -> None:
    channel(hook.url())
    with Running():
        archive(3, error("no route to host"))
        (delivery,) = sent(1)
        time.sleep(3 * PACE)  # room for a second one, if there were one
    (request,) = hook.requests
    for told in ("kraken: error in active: no route to host", "host-a", "entry ", f"delivery {delivery.pk}"):
        assert told in request.message
    assert request.title == "Perseus: kraken"
    assert delivery.attempts == 1


def test_a_new_channel_is_not_told_of_what_was_before(hook: Remote) -> None:
    archive(3, error("long ago"), ms=1000)
    archive(3, error("a moment ago"), ms=int(time.time() * 1000) - 5000)
    channel(hook.url())
    with Running():
        archive(3, error("now"))
        sent(1)
    assert "ago" not in hook.told


def test_a_channel_is_told_of_its_kinds_and_exchanges_only(hook: Remote) -> None:
    channel(hook.url(), "a", "kraken", kinds=["to:active", "lost"])
    with Running():
        archive(1, transition("warming", "active"), error("gone", kind="lost"))
        archive(3, error("plain"), transition("idle", "starting"), {"event": "fill", "x": "1"})
        archive(3, transition("warming", "active"), error("was lost", kind="lost"))
        eventually(lambda: DeliveryEntry.objects.count() == 2)
        eventually(lambda: "was lost" in hook.told)
    assert "kraken: warming → active" in hook.told
    assert "kraken: LOST: was lost" in hook.told
    assert not any(text in hook.told for text in ("binance", "plain", "starting", "fill"))


def test_what_is_unknown_or_malformed_is_told_raw(hook: Remote) -> None:
    channel(hook.url(), kinds=["other"])
    with Running():
        archive(3, {"event": "fill", "price": "17"}, {"event": "error", "oops": "no timestamp"}, error("not this"))
        eventually(lambda: DeliveryEntry.objects.count() == 2)
        eventually(lambda: "oops: no timestamp" in hook.told)
    assert "unknown entry\nevent: fill\nprice: 17" in hook.told.replace("kraken: ", "")
    assert "not this" not in hook.told


def test_a_reset_is_told_to_everybody_whom_it_names(hook: Remote) -> None:
    text = "Registry reset: Redis failed over."
    channel(hook.url(), "kraken people", "kraken", kinds=["registry_reset"])
    with Running():
        archive(1, error(text, kind="registry_reset", exchanges="binance"))
        archive(1, error(text + " Again.", kind="registry_reset", exchanges="binance,kraken"))
        sent(1)
    assert "Again" in hook.told
    assert DeliveryEntry.objects.count() == 1


def test_entries_share_a_message_and_each_is_in_it(hook: Remote) -> None:
    channel(hook.url())
    archive(3, *(error(f"number {number}.") for number in range(50)))
    archive(1, *(error(f"other {number}.") for number in range(50)))
    with Running():
        eventually(lambda: DeliveryEntry.objects.count() == 100)
        eventually(lambda: not Delivery.objects.exclude(state="sent").exists())
    assert len(hook.requests) < 10
    assert [hook.told.count(f"number {number}.") for number in range(50)] == [1] * 50
    assert [hook.told.count(f"other {number}.") for number in range(50)] == [1] * 50
    places = [hook.told.index(f"number {number}.") for number in range(50)]
    assert places == sorted(places)


def test_an_entry_longer_than_a_message_comes_in_parts_and_whole(hook: Remote) -> None:
    text = "".join(f"{number:07d} " for number in range(7000))
    channel(hook.url())
    with Running():
        archive(3, error(text))
        (delivery,) = sent(1)
    assert len(hook.requests) == len(delivery.parts) == 2
    assert "part 1 of 2" in hook.requests[0].message
    together = "".join(request.message.rpartition("\n— delivery")[0] for request in hook.requests)
    assert text.strip() in together
    assert all(len(request.message.encode()) <= outbound.MESSAGE_BYTES for request in hook.requests)


def test_an_outage_loses_nothing_and_keeps_the_order(hook: Remote) -> None:
    hook.answers = [Answer(500), Answer(503), Answer(500)]
    ops = channel(hook.url())
    with Running():
        archive(3, error("first"))
        waiting = eventually(lambda: Delivery.objects.filter(state="waiting").first())
        assert waiting is not None
        assert waiting.reason.startswith("127.0.0.1 answered 50")
        archive(3, error("second"))
        sent(2)
    assert [("first" in r.message, "second" in r.message) for r in hook.requests] == [(True, False)] * 4 + [
        (False, True)
    ]
    assert "delivery" in hook.requests[0].message
    assert hook.requests[0].message == hook.requests[3].message  # the same number: a repetition is recognised
    ops.refresh_from_db()
    assert (ops.failures, ops.retry_at) == (0, None)


def test_a_remote_that_is_away_is_told_when_it_is_back(sqlite: None) -> None:
    port = free_port()
    channel(f"json://127.0.0.1:{port}/{SECRET}")
    with Running():
        archive(3, error("meanwhile"))
        waiting = eventually(lambda: Delivery.objects.filter(state="waiting").first())
        assert waiting is not None
        assert waiting.reason == "127.0.0.1: Connection refused"
        with remote(port) as back:
            sent(1)
    assert "meanwhile" in back.told


def test_a_429_is_obeyed_to_the_second(hook: Remote) -> None:
    hook.answers = [Answer(429, {"Retry-After": "1"})]
    channel(hook.url())
    with Running():
        archive(3, error("patience"))
        (delivery,) = sent(1)
    first, second = hook.requests
    assert second.at - first.at >= 1.0
    assert delivery.attempts == 2


def test_an_exhausted_window_is_waited_for_before_the_remote_has_to_refuse(hook: Remote) -> None:
    hook.answers = [Answer(200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "1"})]
    channel(hook.url())
    with Running():
        archive(3, error("one"))
        sent(1)
        archive(3, error("two"))
        sent(2)
    assert hook.requests[1].at - hook.requests[0].at >= 1.0


def test_requests_to_one_remote_keep_its_pace_though_two_channels_share_it(
    hook: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "KNOWN_SECONDS", {"json": 0.4})
    channel(hook.url("a"), "a")
    channel(hook.url("b"), "b")
    with Running():
        for number in range(3):
            archive(3, error(f"number {number}."))
            eventually(DeliveryEntry.objects.filter(entry__text=f"number {number}.").exists)
        eventually(lambda: hook.told.count("number 2.") == 2)
    times = [request.at for request in hook.requests]
    assert min(after - before for before, after in itertools.pairwise(times)) >= 0.39


def test_what_a_remote_asked_for_outlives_the_recorder(hook: Remote) -> None:
    hook.answers = [Answer(429, {"Retry-After": "2"})]
    channel(hook.url())
    with Running():
        archive(3, error("patience"))
        eventually(lambda: Delivery.objects.filter(state="waiting").exists())
    with Running():
        sent(1)
    assert hook.requests[1].at - hook.requests[0].at >= 1.9


def test_a_remote_that_hangs_holds_up_nobody_else(hook: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "TIMEOUT_SECONDS", 1.0)
    with remote() as hanging:
        hanging.usual = Answer(seconds=3)
        channel(hanging.url(), "hangs")
        channel(hook.url(), "answers")
        with Running():
            archive(3, error("hello"))
            (delivery,) = sent(1)
            assert delivery.channel.name == "answers"
            waiting = eventually(lambda: Delivery.objects.filter(state="waiting").first())
    assert waiting is not None
    assert waiting.reason == "127.0.0.1: no answer within 1 s"


def test_a_message_under_way_at_a_kill_is_sent_again_under_its_number(hook: Remote) -> None:
    ops = channel(hook.url())
    interrupted = Delivery.objects.create(channel=ops, state="sending", attempts=1, title="t", parts=["text"])
    with Running():
        (delivery,) = sent(1)
    assert delivery == interrupted
    assert delivery.attempts == 2
    assert f"delivery {delivery.pk}" in hook.told


def test_of_two_notifiers_one_sends_and_the_other_takes_over(hook: Remote) -> None:
    channel(hook.url())
    first = Running()
    with Running() as second:
        with first:
            archive(3, error("one"))
            sent(1)
        archive(3, error("two"))
        sent(2)
    assert second.failure is None
    assert (hook.told.count("one"), hook.told.count("two"), len(hook.requests)) == (1, 1, 2)


def test_a_channel_that_is_switched_on_again_begins_at_the_newest_entry(hook: Remote) -> None:
    ops = channel(hook.url(), active=False)
    with Running():
        archive(3, error("while it was off"), ms=int(time.time() * 1000) - 1000)
        ops.active = True
        ops.begin_anew()
        ops.save()
        archive(3, error("since it is on"))
        sent(1)
    assert "while" not in hook.told


def test_a_message_that_is_given_up_lets_the_next_one_go(hook: Remote) -> None:
    hook.answers = [Answer(400)]
    ops = channel(hook.url())
    with Running(NotifyOptions(first_retry=600, longest_retry=600)):
        archive(3, error("never taken"))
        stuck = eventually(lambda: Delivery.objects.filter(state="waiting").first())
        assert stuck is not None
        archive(3, error("behind it"))
        Delivery.objects.filter(pk=stuck.pk).update(state="given_up")
        NotificationChannel.objects.filter(pk=ops.pk).update(retry_at=None)
        sent(1)
    assert "behind it" in hook.requests[-1].message


def test_a_test_is_sent_ahead_and_once(hook: Remote) -> None:
    hook.answers = [Answer(500)]
    ops = channel(hook.url(), active=False)
    failing = Delivery.test_of(ops, "ann@example.org")
    with Running():
        eventually(lambda: Delivery.objects.get(pk=failing.pk).state == "failed")
        working = Delivery.test_of(ops, "ann@example.org")
        eventually(lambda: Delivery.objects.get(pk=working.pk).state == "sent")
    failing.refresh_from_db()
    assert failing.reason == "127.0.0.1 answered 500 Internal Server Error"
    assert "test of the channel “ops”, asked for by ann@example.org" in hook.requests[1].message
    assert len(hook.requests) == 2


def test_no_secret_of_a_url_is_logged_or_kept_with_a_reason(hook: Remote, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hook.answers = [Answer(500, body=SECRET.encode()), Answer(404)]
    channel(hook.url())
    channel(f"json://user:{SECRET}@127.0.0.1:{free_port()}/{SECRET}", "away")
    channel(f"nonsense://{SECRET}", "nonsense")
    channel(f"mailto://user:{SECRET}@127.0.0.1:{free_port()}", "mail")
    with Running():
        archive(3, error("hello"))
        sent(1)
        eventually(lambda: Delivery.objects.exclude(reason="").count() == 3)
    assert SECRET in hook.requests[0].path
    said = caplog.text + "".join(Delivery.objects.values_list("reason", flat=True))
    assert SECRET not in said
    assert "not sent" in said


# --- the same on Postgres: COPY, the lock of a session, a server that restarts ---


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def on_postgres(postgres: PostgresServer, django_db_blocker: DjangoDbBlocker) -> Iterator[PostgresServer]:
    with (
        postgres.database((BASE_DIR / "schema.sql").read_text()) as name,
        default_database(postgres_options(postgres.url(name), str(postgres.authority)), django_db_blocker),
    ):
        make_exchanges()
        yield postgres


def test_on_postgres_one_of_two_sends_and_a_cut_connection_loses_nothing(on_postgres: PostgresServer) -> None:
    with remote() as hook:
        channel(hook.url())
        with Running(), Running():
            archive(3, error("one"))
            sent(1)
            with on_postgres.connect() as admin:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7377002"
                )
            archive(3, error("two"))
            sent(2)
            archive(3, error("three"))
            sent(3)
    assert [hook.told.count(word) for word in ("one", "two", "three")] == [1, 1, 1]
