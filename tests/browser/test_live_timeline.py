"""The timeline in a browser: it follows what arrives, and obeys hand and keyboard."""

import time

import pytest
import redis
from playwright.sync_api import Page

from tests.browser.conftest import Visitor
from tests.pages.writing import append_error, append_move
from tests.waiting import eventually
from tests.web import WebServer

MINUTE = 60_000


def window(page: Page) -> tuple[int, int]:
    begin, end = (int(page.get_attribute("[data-timeline]", f"data-{edge}") or 0) for edge in ("begin", "end"))
    return begin, end


def states(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all(".strip [class^=seg-]", "all => all.map((one) => one.dataset.state)")
    return found


def test_it_follows_what_arrives(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    append_move(store, "kraken", "idle", "starting", entry_id=f"{int(time.time() * 1000) - 5 * MINUTE}-0")
    page = visitor.open(web, "/exchanges/kraken/?span=15m")
    assert states(page) == ["", "starting"]
    append_move(store, "kraken", "starting", "warming")
    eventually(lambda: states(page) == ["", "starting", "warming"])
    append_error(store, "kraken", "no depth snapshot")
    eventually(lambda: page.locator(".strip .tick").count() == 1)
    assert visitor.complaints == []


def is_stale(page: Page) -> bool:
    return "stale" in (page.get_attribute("[data-timeline]", "class") or "")


def starting(store: redis.Redis) -> None:
    """Kraken is starting for five minutes."""
    append_move(store, "kraken", "idle", "starting", entry_id=f"{int(time.time() * 1000) - 5 * MINUTE}-0")


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, "begin, end: a window …"), (404, "no exchange"), (502, "a proxy"), (200, "<main>Please sign in</main>")],
)
def test_it_is_greyed_by_any_answer_that_is_no_timeline_until_one_comes(
    web: WebServer, store: redis.Redis, visitor: Visitor, status: int, body: str
) -> None:
    starting(store)
    page = visitor.open(web, "/exchanges/kraken/?span=15m")
    page.route("**/timeline/?*", lambda route: route.fulfill(status=status, body=body, content_type="text/html"))
    append_move(store, "kraken", "starting", "warming")
    eventually(lambda: is_stale(page))
    assert states(page) == ["", "starting"], "what was drawn stays"
    page.unroute("**/timeline/?*")
    append_move(store, "kraken", "warming", "active")
    eventually(lambda: states(page) == ["", "starting", "warming", "active"] and not is_stale(page))


def test_an_open_table_survives_that_redis_is_away_for_a_moment(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    starting(store)
    page = visitor.open(web, "/exchanges/kraken/?span=15m")
    page.click("[data-timeline] summary")
    away = page.evaluate(
        "() => { const copy = document.querySelector('[data-timeline]').cloneNode(true);"
        " copy.querySelector('[data-band]').remove(); copy.querySelector('details').remove();"
        " copy.append('not known now'); return copy.outerHTML; }"
    )
    page.route("**/timeline/?*", lambda route: route.fulfill(status=503, body=away, content_type="text/html"))
    append_move(store, "kraken", "starting", "warming")
    eventually(lambda: "not known now" in page.inner_text("[data-timeline]"))
    assert not is_stale(page), "it was put in place as a whole"
    page.unroute("**/timeline/?*")
    append_move(store, "kraken", "warming", "active")
    eventually(lambda: states(page) == ["", "starting", "warming", "active"])
    assert page.locator("[data-timeline] details[open]").count() == 1


def test_the_keyboard_stays_in_the_table_while_the_timeline_follows(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    starting(store)
    page = visitor.open(web, "/exchanges/kraken/?span=15m")
    page.focus("[data-timeline] summary")
    page.keyboard.press("Enter")
    append_move(store, "kraken", "starting", "warming")
    eventually(lambda: states(page) == ["", "starting", "warming"])
    assert page.evaluate("document.activeElement.localName") == "summary"
    page.keyboard.press("Tab")
    href = page.evaluate("document.activeElement.getAttribute('href')")
    assert "entry=" in href
    append_move(store, "kraken", "warming", "active")
    eventually(lambda: states(page) == ["", "starting", "warming", "active"])
    assert page.evaluate("document.activeElement.getAttribute('href')") == href
    assert visitor.complaints == []


def test_a_window_without_a_name_follows_the_servers_clock_and_keeps_its_width(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    append_move(store, "kraken", "idle", "starting", entry_id=f"{int(time.time() * 1000) - 60 * MINUTE}-0")
    page = visitor.context(web).new_page()
    page.add_init_script("const real = Date.now; Date.now = () => real() + 600000;")  # ten minutes ahead
    page.goto(f"{web.url}/exchanges/kraken/?begin={int(time.time() * 1000) - 30 * MINUTE}")
    page.wait_for_selector('.live[data-live="on"]')
    for drawn, state in enumerate(["warming", "active", "stopping"], start=2):
        append_move(store, "kraken", "idle", state)
        eventually(lambda drawn=drawn: len(states(page)) == drawn)  # type: ignore[misc]
        first, last = window(page)
        assert abs(last - first - 30 * MINUTE) < 30_000
        assert page.get_attribute("[data-timeline]", "data-now") == "1"


def test_it_is_moved_and_zoomed_by_keyboard_wheel_and_hand(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    append_move(store, "kraken", "idle", "starting", entry_id=f"{int(time.time() * 1000) - 5 * MINUTE}-0")
    page = visitor.open(web, "/exchanges/kraken/?span=1h")
    begin, end = window(page)
    assert end - begin == 60 * MINUTE
    page.focus("[data-band]")
    page.keyboard.press("ArrowLeft")
    eventually(lambda: window(page)[0] < begin - 10 * MINUTE)
    assert page.evaluate("document.activeElement.dataset.band") == "", "the focus stays where it was"
    page.keyboard.press("+")
    eventually(lambda: abs(window(page)[1] - window(page)[0] - 30 * MINUTE) < 1000)
    page.keyboard.press("-")
    eventually(lambda: abs(window(page)[1] - window(page)[0] - 60 * MINUTE) < 1000)
    before = window(page)[0]
    box = page.locator("[data-band]").bounding_box()
    assert box
    page.mouse.move(box["x"] + 100, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 20, steps=5)
    page.mouse.up()
    eventually(lambda: window(page)[0] < before - 5 * MINUTE)
    page.click("[data-move='0']")
    eventually(lambda: page.get_attribute("[data-timeline]", "data-now") == "1")
    page.click("[data-span='24h']")
    eventually(lambda: window(page)[1] - window(page)[0] == 24 * 60 * MINUTE)
    assert visitor.complaints == []


def test_a_segment_leads_to_its_entry(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    taken = append_move(store, "kraken", "idle", "starting", entry_id=f"{int(time.time() * 1000) - 5 * MINUTE}-0")
    append_error(store, "kraken", "newer", state="starting")
    page = visitor.open(web, "/exchanges/kraken/?span=15m")
    page.locator(".strip .seg-state").click()
    page.wait_for_url("**before=*")
    marked = page.locator("[data-rows] .entry[data-linked]")  # newer ones may have been loaded above it by now
    assert marked.get_attribute("data-id") == taken
    assert marked.evaluate("row => row.getBoundingClientRect().top < innerHeight")


def test_times_on_the_axis_follow_the_chosen_zone(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    append_move(store, "kraken", "idle", "starting")
    page = visitor.open(web, "/exchanges/kraken/?end=2026-01-02T12:00:00Z", timezone_id="Asia/Kolkata")

    def hours() -> list[str]:
        found: list[str] = page.eval_on_selector_all(".strip .when", "all => all.map((one) => one.textContent)")
        return found

    assert hours()[-1] == "12:00"
    page.click("[data-zone='local']")
    eventually(lambda: hours()[-1] == "17:30")
