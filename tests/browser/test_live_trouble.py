"""Live pages that are told absurd things, that hear nothing, and that were made while Redis was away."""

import json
import time

import pytest
import redis
from playwright.sync_api import Page, WebSocketRoute

from activity.wire.keys import ownership_key
from tests.browser.conftest import Visitor
from tests.browser.test_live_cards import cond, markups, text
from tests.browser.test_live_feed import identities, ids
from tests.pages.test_foreign_values import ABSURD
from tests.pages.writing import append_error, append_move, put_older_status, put_status, stamp
from tests.servers import RedisServer
from tests.waiting import eventually
from tests.web import WebServer


def verdict(page: Page) -> str:
    return page.inner_text("[data-verdict]").replace("\u00a0", " ")


def test_an_absurd_status_harms_nothing(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    page = visitor.open(web)
    put_status(store, "binance", **ABSURD)
    put_status(store, "coinbase", **{**ABSURD, "heartbeatSeconds": -1, "lastHeartbeat": "0001-01-01T00:00:00Z"})
    append_error(store, "kraken", "One: entry", timestamp="9999-12-31T23:59:59.999Z")
    put_status(store, "kraken")
    eventually(lambda: [cond(page, name) for name in ("binance", "coinbase", "kraken")] == ["fresh"] * 3)
    eventually(lambda: len(ids(page)) == 1)
    for name in ("binance", "coinbase"):  # JavaScript writes 40 digits as 1e+40: the same facts, other words
        put_status(store, name, **{**ABSURD, "symbolCount": 413, "pid": 1})
    eventually(lambda: "413" in text(page, "binance"))
    eventually(lambda: "413" in text(page, "coinbase"))
    served = visitor.open(web, java_script_enabled=False, live=False)
    for mine, theirs in zip(markups(page), markups(served), strict=True):
        assert mine == theirs
    assert visitor.complaints == []


def test_a_card_that_cannot_be_painted_does_not_stop_the_page(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    page = visitor.open(web)
    page.eval_on_selector('[data-card="binance"] .gauge', "gauge => gauge.replaceChildren()")  # painting it fails now
    put_status(store, "binance")
    put_status(store, "kraken")
    eventually(lambda: cond(page) == "fresh")
    store.delete("exchange:3:status")
    eventually(lambda: cond(page) == "lost")
    append_error(store, "kraken", "One: entry")
    eventually(lambda: len(ids(page)) == 1)
    assert visitor.complaints  # it is said in the console


def test_a_stream_that_begins_anew_with_the_same_ids_doubles_no_row(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    taken = int(time.time() * 1000)
    written = [f"{taken - 60_000 + n}-0" for n in range(4)]
    for entry_id in written:
        append_error(store, "kraken", "Same: as ever", entry_id=entry_id)
    page = visitor.open(web)
    store.delete("logs:network:kraken")
    for entry_id in written[:3]:
        append_error(store, "kraken", "Same: as ever", entry_id=entry_id)
    page.wait_for_selector(".rule")
    last = append_error(store, "kraken", "New: at last")
    eventually(lambda: last in ids(page))
    assert sorted(ids(page)) == sorted([*written, last])


def test_an_entry_that_came_while_the_page_was_made_is_there_once(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    first = append_error(store, "kraken", "Before: the page")
    written = append_error(store, "kraken", "While: it was made")
    page = visitor.context(web).new_page()

    page.add_init_script(f"""document.addEventListener("readystatechange", () => {{
        const made = document.getElementById("page");
        made.textContent = made.textContent.replace('"kraken": "{written}"', '"kraken": "{first}"');
    }}, {{ once: true }});""")
    page.goto(web.url)
    page.wait_for_selector('.live[data-live="on"]')
    assert json.loads(page.text_content("#page") or "")["after"]["kraken"] == first
    after = append_error(store, "kraken", "After: all")
    eventually(lambda: after in ids(page))
    assert len(identities(page)) == len(set(identities(page))) == 3


def test_a_page_that_hears_nothing_connects_anew_even_when_nothing_beats(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    assert store.ping()
    page = visitor.context(web).new_page()
    page.clock.install()
    opened: list[WebSocketRoute] = []

    def dumb(socket: WebSocketRoute) -> None:
        opened.append(socket)
        socket.on_message(lambda _: socket.send('{"type": "store", "available": true, "problem": ""}'))

    page.route_web_socket("**/ws/**", dumb)
    page.goto(web.url)
    page.wait_for_selector('.live[data-live="on"]')
    page.clock.run_for(40_000)
    assert len(opened) == 1
    page.clock.run_for(10_000)
    eventually(lambda: len(opened) == 2)


def test_a_page_that_was_made_while_redis_was_away_fills_when_it_is_back(
    own_web: WebServer, own_store: redis.Redis, own_redis: RedisServer, visitor: Visitor
) -> None:
    own_redis.stop()
    page = visitor.open(own_web, live=False)
    page.wait_for_selector("text=Entries are not known while Redis is away.")
    assert cond(page) == "unknown"
    assert "Last looked at" not in text(page)
    own_redis.start()
    put_status(own_store, "kraken")
    written = append_error(own_store, "kraken", "After: it came back")
    eventually(lambda: cond(page) == "fresh", within=45)
    eventually(lambda: page.locator("[data-trouble]").count() == 0)  # the card is told first, then the page comes anew
    eventually(lambda: ids(page) == [written])


@pytest.mark.parametrize("path", ["/", "/exchanges/kraken/"])
def test_while_redis_is_away_nothing_is_said_to_be_served(
    own_web: WebServer, own_store: redis.Redis, own_redis: RedisServer, visitor: Visitor, path: str
) -> None:
    put_status(own_store, "kraken")
    page = visitor.open(own_web, path)
    eventually(lambda: cond(page) == "fresh")
    own_redis.stop()
    eventually(lambda: cond(page) == "unknown")
    assert "last known active" in text(page)
    assert "Last looked at" in text(page)
    if path == "/":
        assert verdict(page) == "binance, coinbase and kraken unknown"


def test_an_instance_that_the_page_saw_alive_is_lost_although_it_wrote_no_entry(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    page = visitor.open(web)
    put_older_status(store, "kraken", hostname="seen-here")
    eventually(lambda: cond(page) == "fresh")
    store.delete("exchange:3:status")
    eventually(lambda: cond(page) == "lost")
    assert "last known active" in text(page)
    assert "seen-here" in text(page)
    append_error(store, "kraken", "Tells: no state", state="")
    eventually(lambda: len(ids(page)) == 1)
    assert cond(page) == "lost"


@pytest.mark.parametrize(("owner_state", "condition"), [("released", "ended"), ("held", "lost"), ("", "ended")])
def test_a_key_that_goes_is_judged_by_the_ownership(
    web: WebServer, store: redis.Redis, visitor: Visitor, owner_state: str, condition: str
) -> None:
    if owner_state:
        store.hset(ownership_key(3), "state", owner_state)
    put_status(store, "kraken", connectionState="idle")
    append_move(store, "kraken", "warming", "idle")
    page = visitor.open(web)
    assert cond(page) == "fresh"
    assert "kraken idle for" in verdict(page)
    store.delete("exchange:3:status")
    eventually(lambda: cond(page) == condition)
    assert ("lost" in verdict(page)) == (condition == "lost")


def test_an_older_writer_that_dies_after_ours_had_stopped_in_order_is_lost_live_too(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    beat = int(time.time() * 1000) - 3_600_000
    own = {"state": "released", "epoch": "5", "beat": str(beat), "until": str(beat + 45_000)}
    for name, value in own.items():
        store.hset(ownership_key(3), name, value)
    append_move(store, "kraken", "stopping", "stopped", epoch="5", entry_id=f"{beat + 5}-0")
    page = visitor.open(web)
    assert cond(page) == "ended"
    put_older_status(store, "kraken")
    append_move(store, "kraken", "warming", "active")
    eventually(lambda: cond(page) == "fresh")
    store.delete("exchange:3:status")
    eventually(lambda: cond(page) == "lost")
    append_move(store, "kraken", "stopping", "stopped")
    eventually(lambda: cond(page) == "ended")
    append_error(store, "kraken", "was lost", kind="lost")
    eventually(lambda: cond(page) == "lost")
    assert visitor.complaints == []


def test_foreign_and_lost_and_waiting_cards_are_painted_live_as_the_server_renders_them(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    page = visitor.open(web)
    put_status(store, "binance", exchangeId=7, exchangeName="bitstamp")
    put_status(store, "coinbase", connectionState="warming", epoch=1795378746123, adminDisplayName="(47)")
    store.hset(ownership_key(3), "state", "held")
    append_move(store, "kraken", "warming", "active", epoch="1795378746123", timestamp=stamp(7200))
    eventually(lambda: [cond(page, name) for name in ("binance", "coinbase", "kraken")] == ["foreign", "fresh", "lost"])
    eventually(lambda: "kraken lost, last heard" in verdict(page))
    assert "coinbase warming for 1 h 00 min" in verdict(page)
    served = visitor.open(web, java_script_enabled=False, live=False)
    assert markups(page) == markups(served)
    assert visitor.complaints == []
