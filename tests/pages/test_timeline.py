"""The timeline of an exchange, and pages as of a moment: from raw entries alone, unknown where nobody knows."""

import re
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import redis
from django.test import Client

from activity.models import Command, Exchange, User
from activity.store.client import sync_client
from activity.timeline import LIMIT, read_timeline
from activity.wire.keys import ownership_key
from tests.pages.conftest import SignIn
from tests.pages.reading import page_of
from tests.pages.writing import append_error, append_move, put_status
from tests.servers import RedisServer

NOW = int(time.time() * 1000)
MINUTE = 60_000
HOUR = 60 * MINUTE


def day(store: redis.Redis) -> None:
    """An hour of kraken: started, active, an error, lost, and started anew by another host."""

    def at(minutes: int) -> str:
        return f"{NOW - minutes * MINUTE}-0"

    append_move(store, "kraken", "idle", "starting", entry_id=at(60), epoch="111111", hostname="a-host")
    append_move(store, "kraken", "starting", "warming", entry_id=at(58), epoch="111111", hostname="a-host")
    append_move(store, "kraken", "warming", "active", entry_id=at(50), epoch="111111", hostname="a-host")
    append_error(store, "kraken", "RateLimited", entry_id=at(30), epoch="111111", hostname="a-host")
    append_error(store, "kraken", "was lost", entry_id=at(20), epoch="111111", hostname="a-host", kind="lost")
    append_move(store, "kraken", "idle", "starting", entry_id=at(5), epoch="222222", hostname="b-host")


def told(redis_server: RedisServer, begin: int, end: int = NOW) -> list[tuple[str, str, float]]:
    with sync_client(redis_server.url) as client:
        line = read_timeline(client, "kraken", begin, end)
    assert all(a.end == b.begin for a, b in zip(line.states, line.states[1:], strict=False)), "no hole, no overlap"
    assert (line.states[0].begin, line.states[-1].end) == (begin, end)
    return [(s.what, s.state, (s.end - s.begin) / MINUTE) for s in line.states]


@pytest.mark.django_db
def test_each_moment_shows_what_its_newest_entry_told(store: redis.Redis, redis_server: RedisServer) -> None:
    day(store)
    assert told(redis_server, NOW - 90 * MINUTE) == [
        ("unknown", "", 30.0),
        ("state", "starting", 2.0),
        ("state", "warming", 8.0),
        ("state", "active", 30.0),
        ("lost", "active", 15.0),
        ("state", "starting", 5.0),
    ]


@pytest.mark.django_db
def test_a_window_begins_with_what_was_known_before_it(store: redis.Redis, redis_server: RedisServer) -> None:
    day(store)
    assert told(redis_server, NOW - 40 * MINUTE, NOW - 25 * MINUTE) == [("state", "active", 15.0)]


@pytest.mark.django_db
def test_owners_and_errors_are_marked(store: redis.Redis, redis_server: RedisServer) -> None:
    day(store)
    with sync_client(redis_server.url) as client:
        line = read_timeline(client, "kraken", NOW - 90 * MINUTE, NOW)
    assert [(o.label, (o.end - o.begin) / MINUTE) for o in line.owners] == [
        ("epoch …111111, a-host", 55.0),
        ("epoch …222222, b-host", 5.0),
    ]
    assert [(mark.label, (NOW - mark.at) / MINUTE) for mark in line.errors] == [("RateLimited", 30), ("was lost", 20)]


@pytest.mark.django_db
def test_of_more_entries_than_fit_the_newest_are_drawn_and_the_rest_is_said_to_be_left_out(
    store: redis.Redis, redis_server: RedisServer
) -> None:
    pipeline = store.pipeline(transaction=False)
    for number in range(LIMIT + 10):
        pipeline.xadd("logs:network:kraken", {"event": "error", "timestamp": "x", "error": "e", "state": "active"},
                      id=f"{NOW - 10 * MINUTE + number}-0")  # fmt: skip
    pipeline.execute()
    states = told(redis_server, NOW - 20 * MINUTE)
    assert states[0][:2] == ("unknown", "")
    assert states[0][2] > 10
    assert states[1][:2] == ("state", "active")


def test_the_page_draws_it_without_scripts_and_links_to_the_feed_at_that_moment(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    day(store)
    client = sign_in(admin)
    page = page_of(client.get("/exchanges/kraken/?span=1h"))
    assert "State timeline" in page.text
    assert "lost, was active" in client.get("/exchanges/kraken/?span=6h").content.decode()
    link = page.all(tag="a", class_="seg-lost")[0].attributes["href"] or ""
    assert f"before={NOW - 20 * MINUTE}-1%40kraken" in link
    there = page_of(client.get(link.partition("#")[0]))
    assert there.all(data_id=None)[0].attributes["data-id"] == f"{NOW - 20 * MINUTE}-0"


def taken_over(store: redis.Redis) -> None:
    """The owner was last heard 11 minutes ago, another has gone on for 10, and the notice was written after that."""

    def at(minutes: float) -> str:
        return f"{NOW - int(minutes * MINUTE)}-0"

    append_move(store, "kraken", "warming", "active", entry_id=at(30), epoch="111111", hostname="a-host")
    append_move(store, "kraken", "idle", "starting", entry_id=at(10), epoch="222222", hostname="b-host")
    append_error(
        store, "kraken", "was lost", entry_id=at(9.7), epoch="111111", hostname="a-host", kind="lost",
        lastHeartbeat=f"{datetime.fromtimestamp((NOW - 11 * MINUTE) / 1000, UTC):%Y-%m-%dT%H:%M:%S}Z",
    )  # fmt: skip


def test_a_label_at_an_edge_of_the_band_stays_within_it(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    day(store)
    end = NOW // HOUR * HOUR  # full hours: one line at either edge, the others between
    answer = sign_in(admin).get(f"/exchanges/kraken/?begin={end - 6 * HOUR}&end={end}")
    labels = [one.attributes["class"] for one in page_of(answer).all(tag="text", data_axis=None)]
    assert (labels[0], labels[-1], set(labels[1:-1])) == ("when first", "when last", {"when"})


@pytest.mark.django_db
def test_a_death_that_is_written_after_a_takeover_is_drawn_where_it_was(
    store: redis.Redis, redis_server: RedisServer
) -> None:
    taken_over(store)
    begin = NOW - 30 * MINUTE
    with sync_client(redis_server.url) as client:
        line = read_timeline(client, "kraken", begin, NOW)
    drawn = [(s.what, s.state, round((s.end - s.begin) / MINUTE)) for s in line.states]
    assert drawn == [("state", "active", 19), ("lost", "active", 1), ("state", "starting", 10)]
    assert [o.label for o in line.owners] == ["epoch …111111, a-host", "epoch …222222, b-host"]


def test_a_notice_about_an_owner_that_was_succeeded_makes_nobody_lost(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    taken_over(store)
    page = page_of(sign_in(admin).get(f"/exchanges/kraken/?at={NOW - 9 * MINUTE}"))
    assert page.one(data_card="kraken").attributes["data-cond"] == "then"
    assert "starting" in page.text


def test_what_people_did_stands_on_the_same_axis_and_leads_to_what_followed(sign_in: SignIn, admin: User) -> None:
    command = Command.objects.create(
        correlation_id=uuid4(), exchange=Exchange.objects.get(name="kraken"), instance_id="one", host="a-host",
        epoch="1", type="stop", user=admin, issued_by=admin.email, ip="127.0.0.1",
        requested_at=datetime.now(UTC) - timedelta(minutes=5),
    )  # fmt: skip
    page = page_of(sign_in(admin).get("/exchanges/kraken/timeline/?span=1h"))
    [mark] = page.all(tag="circle", class_="person")
    links = [link for link in page.all(tag="a") if f"stop, asked for by {admin.email}: requested" in link.text]
    assert [link.attributes["href"] for link in links] == [f"/exchanges/kraken/?text={command.correlation_id}#activity"]
    assert float((mark.attributes["cx"] or "").rstrip("%")) == pytest.approx(100 * 55 / 60, abs=1)


@pytest.mark.parametrize(("minutes", "span"), [(5, "15m"), (40, "1h"), (200, "6h")])
def test_a_young_history_fills_the_band(
    sign_in: SignIn, admin: User, store: redis.Redis, minutes: int, span: str
) -> None:
    append_move(store, "kraken", "idle", "starting", entry_id=f"{int(time.time() * 1000) - minutes * MINUTE}-0")
    page = page_of(sign_in(admin).get("/exchanges/kraken/"))
    assert [link.text for link in page.all(tag="a", aria_current="true")] == [span]


def test_errors_that_lie_on_one_another_are_drawn_once_and_lead_to_the_newest(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    append_error(store, "kraken", "long before", entry_id=f"{NOW - 30 * MINUTE}-0")
    for number in range(20):
        append_error(store, "kraken", "in a storm", entry_id=f"{NOW - 20 * MINUTE}-{number}")
    page = page_of(sign_in(admin).get("/exchanges/kraken/timeline/?span=1h"))
    drawn = [link.attributes["href"] or "" for link in page.all(tag="a") if "in a storm" in link.text]
    assert len(page.all(tag="line", class_="tick")) == 2
    assert len(drawn) == 1
    assert f"entry={NOW - 20 * MINUTE}-19" in drawn[0]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("span=year", "span=year: expected 15m, 1h"),
        ("begin=5&end=4", "a window from one second to 90 days"),
        ("end=soon", "end=soon: expected a time such as"),
        ("at=yesterday", "at=yesterday: expected a time such as"),
        ("at=99999999999999", "still to come"),
        ("at=9999999999999999", "no calendar has this time"),
    ],
)
def test_a_wrong_window_or_moment_is_an_error_that_names_it(
    sign_in: SignIn, admin: User, query: str, words: str
) -> None:
    answer = sign_in(admin).get(f"/exchanges/kraken/?{query}")
    assert answer.status_code == 400
    assert words in page_of(answer).text


# --- the network as it was ---


def cards(client: Client, minutes: float) -> str:
    page = page_of(client.get(f"/?at={NOW - round(minutes * MINUTE)}"))
    assert "The network as it was at" in page.text
    return page.one(data_card="kraken").text


def test_any_page_shows_the_network_as_it_was(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    day(store)
    client = sign_in(admin)
    assert "unknown" in cards(client, 61)
    assert "Before the history that is held." in cards(client, 61)
    assert "warming" in cards(client, 55)
    assert "active" in cards(client, 40)
    assert "a-host" in cards(client, 40)
    assert "Lost" in cards(client, 10)
    assert "starting" in cards(client, 1)
    assert "b-host" in cards(client, 1)


def test_a_page_of_the_past_is_marked_and_not_live(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    day(store)
    client = sign_in(admin)
    answer = client.get(f"/exchanges/kraken/?at={NOW - 40 * MINUTE}")
    page = page_of(answer)
    assert "nothing on this page is live" in page.text
    assert "js/page.js" not in answer.content.decode()
    ids = [node.attributes["data-id"] for node in page.all(data_id=None) if node.attributes["data-id"]]
    assert ids == [f"{NOW - minutes * MINUTE}-0" for minutes in (50, 58, 60)]
    assert page.all(href="/exchanges/kraken/")


def test_the_moment_may_be_written_as_people_do(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    answer = sign_in(admin).get("/?at=2026-01-02T03:04:05Z")
    assert "03:04:05" in page_of(answer).text


def test_the_band_of_a_card_is_for_those_who_may_view_its_exchange(
    sign_in: SignIn, kraken_viewer: User, store: redis.Redis
) -> None:
    append_move(store, "kraken", "warming", "active")
    client = sign_in(kraken_viewer)
    answer = client.get("/exchanges/kraken/strip/")
    assert answer.status_code == 200
    assert b'data-state="active"' in answer.content
    hidden, unknown = client.get("/exchanges/binance/strip/"), client.get("/exchanges/binanse/strip/")
    assert hidden.status_code == unknown.status_code == 404
    assert hidden.content.replace(b"binance", b"it") == unknown.content.replace(b"binanse", b"it")


@pytest.mark.parametrize("path", ["/exchanges/kraken/strip/", "/exchanges/kraken/timeline/?span=6h"])
@pytest.mark.parametrize("owned", [True, False])
def test_a_band_is_no_greener_than_its_card_where_no_recorder_has_written_a_notice(
    sign_in: SignIn, admin: User, store: redis.Redis, path: str, owned: bool
) -> None:
    now = int(time.time() * 1000)
    append_move(store, "kraken", "warming", "active", entry_id=f"{now - 240 * MINUTE}-0")
    append_error(store, "kraken", "One: entry", entry_id=f"{now - 200 * MINUTE}-0")
    if owned:
        store.hset(ownership_key(3), mapping={"state": "held", "beat": now - 121 * MINUTE, "until": now - 120 * MINUTE})
    said = sign_in(admin).get(path).content.decode()
    *_, last = re.findall(r'class="seg-(\w+)" data-state="(\w*)".*?x="([\d.]+)%"', said, re.DOTALL)
    assert last[:2] == ("lost", "active")
    hours = 6 * (1 - float(last[2]) / 100)
    assert hours == pytest.approx(2 if owned else 200 / 60, abs=0.02)


def test_a_band_goes_up_to_now_while_the_key_is_there_or_was_let_go_in_good_order(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    now = int(time.time() * 1000)
    for name in ("kraken", "binance"):
        append_move(store, name, "warming", "active", entry_id=f"{now - 240 * MINUTE}-0")
    put_status(store, "kraken")
    append_move(store, "binance", "active", "stopped", entry_id=f"{now - 100 * MINUTE}-0")
    for name in ("kraken", "binance"):
        assert b"seg-lost" not in sign_in(admin).get(f"/exchanges/{name}/strip/").content


def ago(minutes: float) -> str:
    """The id of an entry that many minutes before now."""
    return f"{int(time.time() * 1000 - minutes * MINUTE)}-0"


def band(client: Client, query: str, path: str = "timeline/") -> list[tuple[str, str, float]]:
    """What kraken's timeline draws: what, state, and where it begins in percent of the width."""
    said = client.get(f"/exchanges/kraken/{path}{query}").content.decode()
    found = re.findall(r'class="seg-(\w+)" data-state="(\w*)".*?x="([\d.]+)%"', said, re.DOTALL)
    assert found, said
    return [(what, state, float(x)) for what, state, x in found]


def died_and_was_told_late(store: redis.Redis) -> None:
    """Last heard 40 minutes ago; the recorder wrote it down 20 minutes later."""
    append_move(store, "kraken", "warming", "active", entry_id=ago(100), epoch="111111")
    beat = datetime.now(UTC) - timedelta(minutes=40)
    told = {"kind": "lost", "lastHeartbeat": f"{beat:%Y-%m-%dT%H:%M:%S}Z"}
    append_error(store, "kraken", "was lost", entry_id=ago(20), epoch="111111", **told)


def test_a_window_that_ends_between_a_death_and_its_notice_is_not_green_after_the_death(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    died_and_was_told_late(store)
    now = int(time.time() * 1000)
    drawn = band(sign_in(admin), f"?begin={now - 90 * MINUTE}&end={now - 30 * MINUTE}")
    assert [one[:2] for one in drawn] == [("state", "active"), ("lost", "active")]
    assert drawn[1][2] == pytest.approx(100 * 50 / 60, abs=0.5)


def test_a_window_that_begins_after_a_death_and_ends_before_its_notice_is_lost_all_over(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    died_and_was_told_late(store)
    now = int(time.time() * 1000)
    drawn = band(sign_in(admin), f"?begin={now - 35 * MINUTE}&end={now - 30 * MINUTE}")
    assert drawn == [("lost", "active", 0.0)]


def test_a_window_that_ends_before_a_death_is_green_to_its_end(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    died_and_was_told_late(store)
    now = int(time.time() * 1000)
    assert band(sign_in(admin), f"?begin={now - 90 * MINUTE}&end={now - 50 * MINUTE}") == [("state", "active", 0.0)]


def test_a_page_as_it_was_is_unknown_after_a_death_that_nobody_knew_of_then(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    died_and_was_told_late(store)
    now = int(time.time() * 1000)
    client = sign_in(admin)
    drawn = band(client, f"?at={now - 30 * MINUTE}&span=1h", path="")
    assert [one[:2] for one in drawn] == [("state", "active"), ("unknown", "")]
    page = page_of(client.get(f"/exchanges/kraken/?at={now - 30 * MINUTE}&span=1h"))
    assert "not heard from since" in page.text
    card = page.one(data_card="kraken")
    assert card.attributes["data-cond"] == "unknown"
    assert "By then nothing was heard from it any more." in card.text
    before = page_of(client.get(f"/exchanges/kraken/?at={now - 50 * MINUTE}"))
    assert before.one(data_card="kraken").attributes["data-cond"] == "then"


@pytest.mark.parametrize(
    ("owner_state", "what", "since"), [("held", "lost", 39), ("lost_logged", "lost", 39), ("released", "unknown", 40)]
)
@pytest.mark.parametrize("at", [False, True])
def test_a_window_of_the_past_ends_as_the_ownership_tells_where_nobody_wrote_it_down(
    sign_in: SignIn, admin: User, store: redis.Redis, owner_state: str, what: str, since: int, *, at: bool
) -> None:
    now = int(time.time() * 1000)
    append_move(store, "kraken", "warming", "active", entry_id=ago(100), epoch="111111")
    own = {"state": owner_state, "epoch": "111111", "beat": str(now - 40 * MINUTE), "until": str(now - 39 * MINUTE)}
    for name, value in own.items():
        store.hset(ownership_key(3), name, value)
    client = sign_in(admin)
    if at:
        drawn = band(client, f"?at={now - 30 * MINUTE}&span=1h", path="")
    else:
        drawn = band(client, f"?begin={now - 90 * MINUTE}&end={now - 30 * MINUTE}")
    assert [one[0] for one in drawn] == ["state", "unknown" if at else what]
    for minutes, cond in ((30, "unknown"), (50, "then")):
        card = page_of(client.get(f"/?at={now - minutes * MINUTE}")).one(data_card="kraken")
        assert card.attributes["data-cond"] == cond
    assert drawn[1][2] == pytest.approx(100 * (90 - since) / 60, abs=0.5)


def test_a_window_of_the_past_is_left_as_it_is_where_somebody_came_later(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    now = int(time.time() * 1000)
    append_move(store, "kraken", "warming", "active", entry_id=ago(100), epoch="111111")
    append_move(store, "kraken", "active", "stopped", entry_id=ago(20), epoch="111111")
    own = {"state": "released", "epoch": "111111", "beat": str(now - 21 * MINUTE), "until": str(now - 20 * MINUTE)}
    for name, value in own.items():
        store.hset(ownership_key(3), name, value)
    assert band(sign_in(admin), f"?begin={now - 90 * MINUTE}&end={now - 30 * MINUTE}") == [("state", "active", 0.0)]


def test_a_window_that_is_said_to_end_in_the_future_ends_now_and_follows_it(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    now = int(time.time() * 1000)
    append_move(store, "kraken", "warming", "active", entry_id=ago(100), epoch="111111")
    client = sign_in(admin)
    query = f"?begin={now - 120 * MINUTE}&end={now + 60 * MINUTE}"
    panel = page_of(client.get(f"/exchanges/kraken/timeline/{query}")).one(data_timeline=None)
    assert now <= int(panel.attributes["data-end"] or 0) <= int(time.time() * 1000)
    assert panel.attributes["data-now"] == "1"
    assert band(client, query)[-1][:2] == ("lost", "active")


@pytest.mark.parametrize("path", ["strip/", "timeline/"])
def test_a_band_is_not_green_where_the_last_entry_of_an_owner_that_let_go_did_not_arrive(
    sign_in: SignIn, admin: User, store: redis.Redis, path: str
) -> None:
    now = int(time.time() * 1000)
    append_move(store, "kraken", "warming", "active", entry_id=ago(240), epoch="111111")
    own = {"state": "released", "epoch": "111111", "beat": str(now - 120 * MINUTE)}
    for name, value in own.items():
        store.hset(ownership_key(3), name, value)
    drawn = band(sign_in(admin), "" if path == "strip/" else "?span=6h", path)
    assert drawn[-1][:2] == ("unknown", "")
    assert drawn[-1][2] == pytest.approx(100 * 4 / 6, abs=0.5)


def test_the_band_of_a_card_is_drawn_anew_as_soon_as_the_key_is_gone(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    append_move(store, "kraken", "warming", "active", entry_id=ago(240))
    put_status(store, "kraken")
    client = sign_in(admin)
    assert band(client, "", "strip/")[-1][:2] == ("state", "active")
    store.delete("exchange:3:status")
    assert band(client, "", "strip/")[-1][:2] == ("lost", "active")
    put_status(store, "kraken")
    assert band(client, "", "strip/")[-1][:2] == ("state", "active")


def test_what_is_lost_now_was_not_lost_at_a_moment_before(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    now = int(time.time() * 1000)
    append_move(store, "kraken", "warming", "active", entry_id=f"{now - 240 * MINUTE}-0")
    client = sign_in(admin)
    then = client.get(f"/exchanges/kraken/?at={now - 60 * MINUTE}").content
    assert b'class="seg-state" data-state="active"' in then
    assert b'class="seg-lost"' not in then
    assert b'class="seg-lost"' in client.get("/exchanges/kraken/").content
