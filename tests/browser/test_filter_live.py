"""A filtered list: what comes live obeys, history is searched by the server, and the link keeps the filter."""

import json
from urllib.parse import quote

import redis
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import Visitor
from tests.browser.test_live_feed import ids
from tests.pages.reading import document, rows
from tests.pages.writing import append, append_error, append_move
from tests.waiting import eventually
from tests.web import WebServer

FILTERS = [
    "event=error",
    "event=gossip",
    "state=active",
    "host=FRA-1",
    "admin=Marta",
    "text=ÉCHEC",
    "text=2",
    "exchange=binance",
    "event=error&text=fra-1&state=active",
    "until=2020-01-01",
    "since=2020-01-01&host=fra",
]

#: Whether the page has come to rest: a wheel scrolls it for some frames.
AT_REST = """new Promise((resolve) => {
    const before = document.scrollingElement.scrollTop;
    setTimeout(() => resolve(document.scrollingElement.scrollTop === before), 200);
})"""


def test_live_entries_and_history_obey_the_same_filter(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    tabs = visitor.context(web)
    everything = visitor.open_in(tabs, web)
    pages = {query: visitor.open_in(tabs, web, f"/?{query}") for query in FILTERS}
    append_error(store, "kraken", "échec: one", hostname="fra-1")
    append_error(store, "binance", "Other: 2", hostname="fra-12", state="warming")
    append_move(store, "kraken", "warming", "active", adminEmail="marta@example.org", hostname="ber-2")
    append(store, "kraken", event="gossip", id="échec", n="2")
    append(store, "kraken", colour="blue")
    last = append_error(store, "coinbase", "Last: of all", hostname="fra-1", state="active", epoch="2")
    eventually(lambda: last in ids(everything))
    for query, page in pages.items():
        status, served = web.browser().get(f"/?{quote(query, safe='=&')}", Cookie=web.cookie())
        assert status == 200
        wanted = [row.attributes["data-id"] for row in rows(document(served))]
        eventually(lambda page=page, wanted=wanted: ids(page) == wanted)  # type: ignore[misc]
        assert len(wanted) < 6, query
    assert sum(len(ids(page)) for page in pages.values()) > 12
    assert visitor.complaints == []


def test_typing_narrows_history_and_what_comes_and_is_kept_in_the_link(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    wanted = [append_error(store, "kraken", "Needle: old")]
    for number in range(150):
        append_error(store, "kraken", f"Hay: {number}")
    page = visitor.open(web, "/exchanges/kraken/?host=fra")
    assert wanted[0] not in ids(page)
    page.fill("[data-filter] input[type=search]", "needle")
    eventually(lambda: ids(page) == wanted)
    assert "No older entry matches." in page.inner_text("[data-more]")
    append_error(store, "kraken", "Hay: live")
    wanted.insert(0, append_error(store, "kraken", "Needle: live"))
    eventually(lambda: ids(page) == wanted)
    page.reload()
    assert ids(page) == wanted
    assert page.url.endswith("?host=fra&text=needle")
    page.wait_for_selector('.live[data-live="on"]')
    page.select_option("[data-filter] select", "state_transition")
    eventually(lambda: "No entry matches." in page.inner_text("[data-more]"))
    assert ids(page) == []
    moved = append_move(store, "kraken", "warming", "active", adminEmail="needle@example.org")
    eventually(lambda: ids(page) == [moved])
    page.fill("[data-filter] input[type=search]", "")
    page.select_option("[data-filter] select", "")
    eventually(lambda: ids(page)[:2] == [moved, wanted[0]])
    assert visitor.complaints == []


def test_what_came_while_somebody_reads_is_said_and_reached_by_keyboard(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    for number in range(90):
        append_error(store, "kraken", f"Number: {number}")
    page = visitor.open(web, "/exchanges/kraken/")
    page.mouse.move(640, 500)

    def scrolled_down() -> bool:
        page.mouse.wheel(0, 700)
        return bool(page.evaluate("document.scrollingElement.scrollTop > 1000"))

    eventually(scrolled_down)
    eventually(lambda: page.evaluate(AT_REST))
    place = page.evaluate("document.elementFromPoint(640, 500).closest('.entry').dataset.id")
    newest = append_error(store, "kraken", "News: one")
    eventually(lambda: page.text_content("[data-feed-said]") == "1 new entry above")
    assert page.evaluate("document.elementFromPoint(640, 500).closest('.entry').dataset.id") == place
    page.evaluate("document.querySelector('.entry summary').focus({ preventScroll: true })")
    page.keyboard.press("Shift+Tab")  # it stands right before the list
    assert page.evaluate("document.activeElement.matches('[data-news]')")
    page.keyboard.press("Enter")
    eventually(lambda: ids(page)[:1] == [newest])
    top = "document.querySelector('.entry').getBoundingClientRect().top"
    eventually(lambda: page.evaluate(f"0 < {top} && {top} < innerHeight"))


def test_a_page_of_older_entries_becomes_live_when_it_is_scrolled_up(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    written = [append_error(store, "kraken", f"Number: {number}") for number in range(400)][::-1]
    page = visitor.open(web, f"/exchanges/kraken/?before={written[249]}%40kraken")
    assert ids(page)[0] == written[250]
    written.insert(0, append_error(store, "kraken", "News: one"))
    eventually(lambda: page.inner_text("[data-news]").strip() == "1 new entry")
    page.mouse.move(640, 500)

    def at_the_top() -> bool:
        page.mouse.wheel(0, -2000)
        return ids(page)[0] == written[0]

    eventually(at_the_top)
    eventually(lambda: page.is_hidden("[data-news]") and page.is_hidden("[data-around]"))
    written.insert(0, append_error(store, "kraken", "News: two"))
    eventually(lambda: ids(page) == written[: len(ids(page))])
    assert visitor.complaints == []


def fail_to_bring_rows(page: Page) -> None:
    """Until `page.unroute_all()`."""
    page.route(lambda url: "rows=1" in url, lambda route: route.fulfill(status=502, body="bad gateway"))


def test_a_filter_that_fails_says_so_above_and_leaves_no_row_of_the_one_before(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    needle = append_error(store, "kraken", "Needle: old")
    for number in range(70):
        append_error(store, "kraken", f"Hay: {number}")
    page = visitor.open(web, "/exchanges/kraken/")
    fail_to_bring_rows(page)
    page.fill("[data-filter] input[type=search]", "needle")
    above = page.locator("[data-above] button")
    expect(above).to_have_text("The newest entries could not be loaded: the server answered 502. Try again")
    assert above.text_content() == page.text_content("[data-feed-said]")
    assert above.evaluate("one => one.getBoundingClientRect().bottom < innerHeight")
    assert ids(page) == []
    assert page.locator("[data-older]").count() == 0
    page.unroute_all()
    above.click()
    eventually(lambda: ids(page) == [needle])
    live = append_error(store, "kraken", "Needle: live")
    append_error(store, "kraken", "Hay: live")
    eventually(lambda: ids(page) == [live, needle])


def test_a_jump_that_fails_says_so_above_and_keeps_the_rows_and_the_way_to_older_ones(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    written = [append_error(store, "kraken", f"Number: {number}") for number in range(400)][::-1]
    page = visitor.open(web, f"/exchanges/kraken/?before={written[199]}%40kraken")
    shown = ids(page)
    fail_to_bring_rows(page)
    page.click("[data-newest]")
    above = page.locator("[data-above] button")
    expect(above).to_contain_text("The newest entries could not be loaded")
    assert ids(page) == shown
    assert page.inner_text("[data-older]") == "Older entries"
    page.unroute_all()
    above.click()
    eventually(lambda: ids(page)[:1] == written[:1])


def test_a_page_of_one_exchange_or_of_some_hours_is_told_no_gap_beside_them(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    first = append_error(store, "binance", "First: of all")
    page = visitor.context(web).new_page()
    gaps = [
        {"exchange": "kraken", "after": first, "first": "1999999999999-0"},
        {"exchange": "binance", "after": "1500000000000-0", "first": "1500000000001-0"},
        {"exchange": "binance", "after": first, "first": "1999999999999-0"},
    ]

    def tell(socket: WebSocketRoute) -> None:
        def answer(_: object) -> None:
            for gap in gaps:
                socket.send(json.dumps({"type": "gap", **gap}))

        socket.on_message(answer)

    page.route_web_socket("**/ws/**", tell)
    page.goto(web.url + "/?exchange=binance&since=2020-01-01")
    said = f"binance: the entries between {first} and 1999999999999-0 are no longer held"
    expect(page.locator(".rule")).to_have_text([said])
