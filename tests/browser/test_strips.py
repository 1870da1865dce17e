"""The last six hours of an exchange, on its card."""

import time
from itertools import pairwise

import redis
from playwright.sync_api import Page, Request, Route

from tests.browser.conftest import Visitor
from tests.browser.test_live_cards import cond
from tests.pages.writing import append_error, append_move, put_status
from tests.waiting import eventually
from tests.web import WebServer

HOUR = 3_600_000


def drawn(page: Page) -> list[str]:
    """The states of kraken's band, anew: what the server drew for an earlier test it shows for 10 s."""
    page.reload()
    page.wait_for_selector('[data-strip="kraken"] rect')
    states: list[str] = page.eval_on_selector_all(
        '[data-strip="kraken"] g', "all => all.map((one) => one.dataset.state)"
    )
    return states


def test_a_card_shows_the_states_and_errors_of_its_last_six_hours(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    now = int(time.time() * 1000)
    append_move(store, "kraken", "idle", "warming", entry_id=f"{now - 7 * HOUR}-0")
    append_move(store, "kraken", "warming", "active", entry_id=f"{now - 3 * HOUR}-0")
    append_error(store, "kraken", "Needle: two hours ago", entry_id=f"{now - 2 * HOUR}-0")
    put_status(store, "kraken", ttl_ms=1_800_000, heartbeatSeconds=600)
    page = visitor.open(web)
    eventually(lambda: drawn(page) == ["warming", "active"], every=1)
    widths = page.eval_on_selector_all(
        '[data-strip="kraken"] rect', "all => all.map((one) => one.getBoundingClientRect().width)"
    )
    assert abs(widths[0] - widths[1]) < 3  # three hours each
    assert 66 < float((page.get_attribute('[data-strip="kraken"] line', "x1") or "").rstrip("%")) < 67.5
    assert page.locator('[data-strip="binance"]').is_hidden()  # nobody has ever served it
    assert visitor.complaints == []


def test_only_cards_in_sight_ask_for_theirs(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    for name in ("binance", "coinbase", "kraken"):
        append_move(store, name, "warming", "active")
        put_status(store, name)
    page = visitor.open(web, viewport={"width": 400, "height": 500})

    def asked() -> set[str]:
        urls = page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
        return {url.split("/")[-3] for url in urls if url.endswith("/strip/")}

    eventually(lambda: "binance" in asked())
    page.evaluate("new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)))")
    assert "kraken" not in asked()
    page.locator('[data-strip="kraken"]').scroll_into_view_if_needed()
    eventually(lambda: "kraken" in asked())
    assert visitor.complaints == []


def test_each_state_has_a_colour_of_its_own_in_the_band_of_a_lost_card_too(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    now = int(time.time() * 1000)
    states = ["idle", "starting", "warming", "active", "stopping", "stopped", "active"]
    for at, (before, after) in enumerate(pairwise(states)):
        append_move(store, "kraken", before, after, entry_id=f"{now - (300 - 20 * at) * 60_000}-0")
    page = visitor.open(web)
    assert page.get_attribute('[data-card="kraken"]', "data-cond") == "lost"
    eventually(lambda: len(drawn(page)) >= 6, every=1)
    colours = page.eval_on_selector_all(
        '[data-strip="kraken"] .seg-state rect', "all => all.map((one) => getComputedStyle(one).fill)"
    )
    assert len(set(colours)) == 5, colours  # starting to stopped
    assert visitor.complaints == []


def ends(page: Page) -> str:
    """How the band of kraken ends."""
    found: list[str] = page.eval_on_selector_all(
        '[data-strip="kraken"] g', "all => all.map((one) => one.className.baseVal)"
    )
    return found[-1] if found else ""


def test_the_band_beside_a_card_that_is_lost_without_an_entry_does_not_stay_green(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    append_move(store, "kraken", "warming", "active", entry_id=f"{int(time.time() * 1000) - 3 * HOUR}-0")
    put_status(store, "kraken", ttl_ms=1_800_000, heartbeatSeconds=600)
    page = visitor.open(web)
    eventually(lambda: drawn(page) and ends(page) == "seg-state")
    store.delete("exchange:3:status")
    eventually(lambda: cond(page) == "lost")
    eventually(lambda: ends(page) == "seg-lost", within=10)  # and not with the next drawing, up to a minute later
    put_status(store, "kraken", ttl_ms=1_800_000, heartbeatSeconds=600)
    eventually(lambda: cond(page) == "fresh")
    eventually(lambda: ends(page) == "seg-state", within=10)
    assert visitor.complaints == []


def test_a_band_for_which_no_answer_came_is_asked_for_again_soon(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    append_move(store, "kraken", "warming", "active")
    put_status(store, "kraken", ttl_ms=1_800_000, heartbeatSeconds=600)
    page = visitor.context(web).new_page()
    failed: list[str] = []

    def fail_once(route: Route) -> None:
        if failed:
            route.continue_()
        else:
            failed.append(route.request.url)
            route.fulfill(status=502, body="the proxy says no")

    page.route("**/exchanges/kraken/strip/", fail_once)
    page.goto(web.url)
    eventually(lambda: page.evaluate("1") and failed)
    eventually(lambda: ends(page) == "seg-state", within=35)  # 15 s later, and not 60


def test_a_band_that_may_have_been_drawn_before_an_entry_is_drawn_again(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    for name in ("binance", "coinbase", "kraken"):
        append_move(store, name, "warming", "active")
        put_status(store, name, ttl_ms=1_800_000, heartbeatSeconds=600)
    page = visitor.open(web, viewport={"width": 400, "height": 500})
    asked: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith("/kraken/strip/"):
            asked.append(request.url)

    page.on("request", note)
    append_error(store, "kraken", "Needle: just now")
    page.wait_for_selector("text=Needle: just now", state="attached")
    page.locator('[data-strip="kraken"]').scroll_into_view_if_needed()
    eventually(lambda: page.evaluate("1") and asked)  # what the server kept of up to 10 s ago may lack the entry
    eventually(lambda: page.evaluate("1") and len(asked) > 1, within=35)
    assert visitor.complaints == []
