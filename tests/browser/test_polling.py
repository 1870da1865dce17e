"""Something on the way lets no socket through: the page asks, and says that it is not live."""

import json
import time

import redis
from playwright.sync_api import Route, WebSocketRoute, expect

from activity.wire.keys import ownership_key, standbys_until_key
from tests.browser.conftest import Visitor
from tests.pages.writing import append_error, put_status, status_of
from tests.waiting import eventually
from tests.web import WebServer


def blocked(socket: WebSocketRoute) -> None:
    socket.close(code=1011, reason="no sockets here")


def test_a_page_without_a_socket_asks_and_does_not_look_live(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    store.hset(ownership_key(3), "state", "held")
    put_status(store, "kraken", connectionState="warming")
    page = visitor.context(web).new_page()
    page.route_web_socket("**/ws/**", blocked)
    page.goto(web.url)
    live = page.locator(".live")
    expect(live).to_contain_text("this page asks every 10 s")
    expect(live).to_have_attribute("data-live", "wait")
    put_status(store, "kraken", connectionState="active")
    newest = append_error(store, "kraken", "Order book: out of sequence")
    expect(page.locator("[data-card=kraken] [data-glyph]").first).to_have_attribute("data-state", "active")
    expect(page.locator("[data-rows] .entry").first).to_have_attribute("data-id", newest)
    store.delete("exchange:3:status")
    expect(page.locator("[data-card=kraken]")).to_have_attribute("data-cond", "lost")


def test_a_page_that_may_ask_no_more_says_so(web: WebServer, visitor: Visitor) -> None:
    page = visitor.context(web).new_page()
    page.route_web_socket("**/ws/**", blocked)
    page.goto(web.url)
    expect(page.locator(".live")).to_contain_text("this page asks")
    page.context.clear_cookies()
    eventually(lambda: page.inner_text("[data-live-word]") == "Signed out")


def test_a_page_that_asks_goes_on_by_itself_after_one_question_failed(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    append_error(store, "kraken", "Before: the page")
    page = visitor.context(web).new_page()
    page.route_web_socket("**/ws/**", blocked)
    asked: list[str] = []

    def fail_once(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            route.fulfill(status=502, body="bad gateway")
        else:
            route.continue_()

    page.route(lambda url: "rows=1" in url, fail_once)
    page.goto(web.url)
    expect(page.locator("[data-above]")).to_contain_text("The newest entries could not be loaded")
    newest = append_error(store, "kraken", "After: the failure")
    expect(page.locator("[data-rows] .entry").first).to_have_attribute("data-id", newest)
    expect(page.locator("[data-above]")).to_have_count(0)


def test_a_page_that_asks_keeps_up_who_is_responsible_and_who_waits(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    put_status(store, "kraken")
    append_error(store, "kraken", "Before: the page")
    page = visitor.context(web).new_page()
    page.route_web_socket("**/ws/**", blocked)
    page.goto(web.url + "/exchanges/kraken/")
    expect(page.locator("[data-steering]")).to_contain_text("Marta")
    expect(page.locator(".live")).to_contain_text("this page asks every 10 s")
    put_status(store, "kraken", adminEmail="jonas@example.org", adminDisplayName="Jonas Weber")
    standby = {**status_of("kraken"), "instanceId": "standby-one"}
    store.hset("{exchange:3:status}:standbys", "standby-one", json.dumps(standby))
    store.zadd(standbys_until_key(3), {"standby-one": int(time.time() * 1000) + 40_000})
    expect(page.locator("[data-steering]")).to_contain_text("Jonas Weber")
    expect(page.locator("[data-standbys]")).to_contain_text("standby-one")
