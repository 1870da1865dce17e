"""The network page, as it arrives from the server."""

import json
import time

import redis
from django.test import Client

from activity.models import Exchange, User
from tests.pages.conftest import SignIn
from tests.pages.reading import card, page_of, rows
from tests.pages.writing import append, append_error, append_move, put_older_status, put_status, stamp


def test_it_sends_an_anonymous_visitor_to_the_sign_in(client: Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 302
    assert answer["Location"] == "/sign-in/?next=/"


def test_it_refuses_other_methods(sign_in: SignIn, admin: User) -> None:
    assert sign_in(admin).post("/").status_code == 405


def test_it_is_never_kept_by_a_cache(sign_in: SignIn, admin: User) -> None:
    assert "no-store" in sign_in(admin).get("/")["Cache-Control"]


def test_it_shows_a_card_for_every_active_exchange_by_name(sign_in: SignIn, admin: User) -> None:
    Exchange.objects.create(id=9, name="mexc", display_name="MEXC", active=False)
    page = page_of(sign_in(admin).get("/"))
    assert [c.attributes["data-card"] for c in page.all(data_card=None)] == ["binance", "coinbase", "kraken"]


def test_it_shows_nothing_of_an_exchange_that_the_user_may_not_view(
    sign_in: SignIn, kraken_viewer: User, store: redis.Redis
) -> None:
    put_status(store, "binance")
    append_error(store, "binance", "Secret: of binance")
    append_error(store, "kraken", "Known: of kraken")
    answer = sign_in(kraken_viewer).get("/")
    page = page_of(answer)
    assert [c.attributes["data-card"] for c in page.all(data_card=None)] == ["kraken"]
    assert len(rows(page)) == 1
    assert b"binance" not in answer.content


def test_a_fresh_instance_tells_everything(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    put_status(store, "kraken", ttl_ms=38_000, lastError="EAPI: Rate limit exceeded", lastErrorAt=stamp(30))
    shown = card(page_of(sign_in(admin).get("/")), "kraken")
    assert shown.attributes["data-cond"] == "fresh"
    for fact in (
        "epoch 212",
        "active",
        "for 1 h 00 min",
        "fresh",
        "beat 7 s ago",
        "fra-edge-03",
        "203.0.113.7",
        "DE",
        "Marta Kovač",
        "412",
        "2 h 00 min",
        "live",
        "2.4.1",
        "EAPI: Rate limit exceeded",
    ):
        assert fact in shown.text, fact
    for other in ("late", "Lost", "last known", "Nobody", "no epoch", "worker"):
        assert other not in shown.text, other


def test_an_instance_beyond_its_interval_is_late_and_counts_down(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    put_status(store, "kraken", ttl_ms=20_500)
    page = page_of(sign_in(admin).get("/"))
    shown = card(page, "kraken")
    assert shown.attributes["data-cond"] == "late"
    assert "Key expires in 20 s" in shown.text
    assert "keeps epoch 212" in shown.text
    assert "kraken late, key expires in 20 s" in page.one(data_verdict=None).text


def test_lateness_follows_the_instances_own_interval(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    put_status(store, "kraken", ttl_ms=140_000, heartbeatSeconds=60)  # of 180 s: the last beat was 40 s ago
    assert card(page_of(sign_in(admin).get("/")), "kraken").attributes["data-cond"] == "fresh"


def test_durations_do_not_trust_the_clock_of_the_instance(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    ahead = -7200.0  # a clock that is two hours fast
    put_status(store, "kraken", lastHeartbeat=stamp(ahead), lastStateChange=stamp(ahead + 600))
    shown = card(page_of(sign_in(admin).get("/")), "kraken")
    assert shown.attributes["data-cond"] == "fresh"
    assert "for 10 min 00 s" in shown.text


def test_a_key_without_a_time_to_live_is_no_sign_of_life(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    put_status(store, "kraken")
    store.persist("exchange:3:status")
    shown = card(page_of(sign_in(admin).get("/")), "kraken")
    assert shown.attributes["data-cond"] == "late"
    assert "Its key never expires" in shown.text


def test_a_lost_instance_shows_its_last_known_and_no_state_in_the_present(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    append_move(store, "kraken", "warming", "active", hostname="ams-edge-02")
    append_error(store, "kraken", "EAPI: Rate limit exceeded", hostname="ams-edge-02", state="active")
    page = page_of(sign_in(admin).get("/"))
    shown = card(page, "kraken")
    assert shown.attributes["data-cond"] == "lost"
    assert "Lost" in shown.text
    assert "last known active" in shown.text
    assert "ams-edge-02" in shown.text
    assert "EAPI: Rate limit exceeded" in shown.text
    assert "fresh" not in shown.text
    assert page.one(data_verdict=None).text.startswith("kraken lost, last heard")


def test_a_death_notice_is_not_taken_for_a_sign_of_life(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    append_move(store, "kraken", "warming", "active", epoch="5", entry_id=f"{int(time.time() - 900) * 1000}-0")
    append_error(store, "kraken", "The instance was lost", kind="lost", epoch="5", lastHeartbeat=stamp(600))
    page = page_of(sign_in(admin).get("/"))
    assert page.one(data_verdict=None).text.startswith("kraken lost, last heard 10 min ago")


def test_an_instance_that_stopped_on_purpose_is_not_called_lost(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    append_move(store, "kraken", "stopping", "stopped")
    shown = card(page_of(sign_in(admin).get("/")), "kraken")
    assert shown.attributes["data-cond"] == "ended"
    assert "last known stopped" in shown.text
    assert "Lost" not in shown.text


def test_an_exchange_without_an_instance_gives_the_line_that_starts_one(sign_in: SignIn, admin: User) -> None:
    page = page_of(sign_in(admin).get("/"))
    shown = card(page, "coinbase")
    assert "waiting for the first heartbeat" in shown.text
    assert "python manage.py worker --exchange coinbase -- your-bot" in shown.text
    assert "binance, coinbase and kraken without an instance so far" in page.one(data_verdict=None).text


def test_an_older_writer_is_first_class_and_said_to_have_no_epoch(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    put_older_status(store, "kraken")
    shown = card(page_of(sign_in(admin).get("/")), "kraken")
    assert shown.attributes["data-cond"] == "fresh"
    assert "no epoch" in shown.text
    assert "412" in shown.text


def test_an_instance_without_an_admin_says_that_nobody_is_responsible(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    put_status(store, "kraken", adminEmail=None, adminDisplayName=None, ipAddress=None, countryCode=None)
    assert "Nobody responsible" in card(page_of(sign_in(admin).get("/")), "kraken").text


def test_an_unreadable_status_is_alive_and_says_what_is_wrong(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    put_status(store, "kraken", connectionState="flying")
    page = page_of(sign_in(admin).get("/"))
    shown = card(page, "kraken")
    assert shown.attributes["data-cond"] == "unreadable"
    assert "connectionState: Input should be" in shown.text
    assert "kraken alive, status unreadable" in page.one(data_verdict=None).text


def test_versions_stand_on_the_cards_only_where_they_differ(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    client = sign_in(admin)
    put_status(store, "kraken", version="2.0.0")
    put_status(store, "binance", version="2.0.0")
    assert page_of(client.get("/")).all(class_="board")[0].attributes["data-versions"] == ""
    put_status(store, "binance", version="2.1.0")
    page = page_of(client.get("/"))
    assert page.all(class_="board")[0].attributes["data-versions"] == "differ"
    assert "version 2.1.0" in page.text


def test_the_verdict_counts_who_is_served(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    put_status(store, "binance")
    put_status(store, "coinbase", connectionState="warming")
    put_status(store, "kraken", ttl_ms=20_000)
    client = sign_in(admin)
    assert "2 of 3 exchanges served" in page_of(client.get("/")).one(data_verdict=None).text
    put_status(store, "coinbase")
    put_status(store, "kraken")
    assert page_of(client.get("/")).one(data_verdict=None).text == "All 3 exchanges served"


def test_the_feed_holds_all_exchanges_newest_first(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    append_error(store, "kraken", "First: of all", entry_id="1763830000000-0")
    append_move(store, "binance", "idle", "starting")
    append_error(store, "kraken", "Between: the two", entry_id="1763830000001-0")
    found = rows(page_of(sign_in(admin).get("/")))
    assert [row.attributes["data-exchange"] for row in found] == ["binance", "kraken", "kraken"]
    assert "idle" in found[0].text
    assert "starting" in found[0].text
    assert "Between: the two" in found[1].text
    assert "First: of all" in found[2].text


def test_the_page_says_from_which_ids_its_socket_goes_on(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    append_error(store, "kraken", "One")
    last = append_error(store, "kraken", "Two")
    page = page_of(sign_in(admin).get("/"))
    settings = json.loads("".join(str(part) for part in page.one(id="page").children))
    assert settings["after"] == {"binance": "0-0", "coinbase": "0-0", "kraken": last}
    assert settings["socket"] == "/ws/network/"


def test_older_entries_are_reached_without_scripts(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    ids = [append_error(store, name, f"Number: {n}") for n in range(120) for name in ("kraken", "binance")]
    client = sign_in(admin)
    page = page_of(client.get("/"))
    seen = [str(row.attributes["data-id"]) for row in rows(page)]
    pages = 1
    while older := page.all(data_older=None):
        page = page_of(client.get(str(older[0].attributes["href"]).partition("#")[0]))
        seen += [str(row.attributes["data-id"]) for row in rows(page)]
        pages += 1
    assert pages == 5
    assert sorted(seen) == sorted(ids)
    assert "The history begins here." in page.one(data_more=None).text


def test_scrolling_back_gets_rows_alone(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    newest = [append_error(store, "kraken", f"Number: {n}") for n in range(3)][-1]
    answer = sign_in(admin).get("/", {"before": f"{newest}@kraken", "rows": "1"})
    page = page_of(answer)
    assert [child.tag for child in page.children if not isinstance(child, str)] == ["li", "li", "li"]
    assert "Number: 1" in page.text


def test_a_damaged_link_to_older_entries_says_so(sign_in: SignIn, admin: User) -> None:
    answer = sign_in(admin).get("/", {"before": "yesterday"})
    assert answer.status_code == 400
    assert "damaged" in page_of(answer).text


def test_a_user_without_any_right_is_told_what_to_ask_for(sign_in: SignIn, nobody: User) -> None:
    answer = sign_in(nobody).get("/")
    page = page_of(answer)
    assert answer.status_code == 200
    assert "Can view exchange" in page.text
    assert "nobody@example.org" in page.text
    assert page.all(data_card=None) == []


def test_an_empty_table_of_exchanges_teaches_how_to_fill_it(sign_in: SignIn, admin: User) -> None:
    Exchange.objects.all().delete()
    page = page_of(sign_in(admin).get("/"))
    assert "No exchange yet" in page.text
    (button,) = page.all(class_="btn pri lg")
    assert button.text == "Add the first exchange"
    assert str(button.attributes["href"]).startswith("/admin/")


def test_entries_of_unknown_and_broken_kinds_are_shown_as_what_they_are(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    append(store, "kraken", event="settings_reloaded", by="marta")
    append(store, "kraken", event="state_transition", timestamp=stamp(), fromState="warming", toState="flying")
    append(store, "kraken", colour="blue")
    blue, flying, reloaded = rows(page_of(sign_in(admin).get("/")))
    assert "settings_reloaded" in reloaded.text
    assert '"by": "marta"' in reloaded.text
    assert "malformed entry" in flying.text
    assert "toState: Input should be 'idle'" in flying.text
    assert "event: the field is missing" in blue.text
    assert '"colour": "blue"' in blue.text
