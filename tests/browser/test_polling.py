"""Something on the way lets no socket through: the page asks, and says that it is not live."""

import redis
from playwright.sync_api import WebSocketRoute, expect

from activity.wire.keys import ownership_key
from tests.browser.conftest import Visitor
from tests.pages.writing import append_error, put_status
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
