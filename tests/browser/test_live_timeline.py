"""The timeline in a browser: it follows what arrives, and obeys hand and keyboard."""

import time

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
