"""A screen on a wall in a real browser: it follows by itself, fits, and goes dark when its link is revoked."""

from pathlib import Path

import pytest
import redis
from playwright.sync_api import Page, expect

from activity.wire.keys import ownership_key
from tests.browser.conftest import Visitor
from tests.pages.writing import append_error, append_move, put_status, stamp
from tests.servers import RedisServer
from tests.waiting import eventually
from tests.web import DataFolder, WebServer

SCREEN = {"width": 1920, "height": 1080}


def cond(page: Page, name: str) -> str | None:
    return page.get_attribute(f'[data-card="{name}"]', "data-cond")


@pytest.fixture
def wall(data_template: Path) -> str:
    """The path of a link over everything: every data folder has it."""
    return f"/wall/{DataFolder(data_template, '').wall}/"


@pytest.fixture
def busy(store: redis.Redis) -> None:
    """A tile in each of the situations that matter, and long texts."""
    put_status(store, "binance", connectionState="warming", lastStateChange=stamp(720), epoch=1795378746123)
    put_status(store, "coinbase", ttl_ms=25_000, adminDisplayName="Wolfeschlegelsteinhausenbergerdorff " * 3)
    store.hset(ownership_key(3), "state", "held")
    append_move(store, "kraken", "warming", "active", epoch="1795378746123")
    append_error(store, "kraken", "LongError: " + "y" * 5000)


def test_a_screen_follows_live_without_a_sign_in(
    web: WebServer, store: redis.Redis, visitor: Visitor, wall: str
) -> None:
    put_status(store, "kraken", connectionState="starting")
    page = visitor.open(web, wall, viewport=SCREEN)
    page.context.clear_cookies()
    assert cond(page, "kraken") == "fresh"
    expect(page.locator("[data-no-errors]")).to_be_visible()
    put_status(store, "kraken", connectionState="active")
    eventually(lambda: "active" in page.inner_text('[data-card="kraken"]'))
    for number in range(4):
        append_error(store, "kraken", f"Number: {number}")
    expect(page.locator("[data-errors] li").first).to_contain_text("Number: 3")
    assert page.locator("[data-errors] li").count() == 2
    expect(page.locator("[data-no-errors]")).to_be_hidden()
    store.delete("exchange:3:status")
    store.hset(ownership_key(3), "state", "held")
    eventually(lambda: cond(page, "kraken") == "lost")
    eventually(lambda: page.title() == "kraken lost · Wall · Perseus")
    assert page.locator("a, button, input").count() == 0
    assert visitor.complaints == []


def test_a_revoked_link_says_so_and_shows_nothing_any_more(own_web: WebServer, visitor: Visitor, wall: str) -> None:
    page = visitor.open(own_web, wall)
    own_web.run("from django.utils.timezone import now; WallLink.objects.update(revoked_at=now())")
    page.wait_for_selector("text=This link shows nothing")
    assert page.locator("[data-card]").count() == 0
    page.reload()
    assert page.inner_text("h1") == "This link shows nothing"


def test_a_screen_reloads_itself_after_a_restart_of_the_server(own_web: WebServer, visitor: Visitor, wall: str) -> None:
    page = visitor.open(own_web, wall)
    page.evaluate("window.before = true")
    own_web.stop()
    page.wait_for_selector('.live[data-live="wait"]')
    own_web.run("Exchange.objects.create(id=9, name='mexc', display_name='MEXC')")
    own_web.start()
    page.wait_for_selector('[data-card="mexc"]', timeout=60_000)
    assert not page.evaluate("window.before === true")


def test_a_screen_that_was_opened_while_redis_was_away_fills_when_it_is_back(
    own_web: WebServer, own_store: redis.Redis, own_redis: RedisServer, visitor: Visitor, wall: str
) -> None:
    own_redis.stop()
    page = visitor.open(own_web, wall, live=False)
    footer = page.locator(".wall footer")
    expect(footer).to_contain_text("Redis cannot be reached")
    own_redis.start()
    put_status(own_store, "kraken")
    eventually(lambda: cond(page, "kraken") == "fresh")
    expect(footer).to_have_text("No error among the newest entries.")


def test_everything_is_in_sight_at_once_on_a_screen_and_scrolls_on_a_phone(
    web: WebServer, busy: None, visitor: Visitor, wall: str
) -> None:
    page = visitor.open(web, wall, viewport=SCREEN)
    for width, height in ((1920, 1080), (2560, 1440), (1280, 720), (800, 1280), (380, 800)):
        page.set_viewport_size({"width": width, "height": height})
        as_large = f"innerWidth === {width} && innerHeight === {height}"
        eventually(lambda as_large=as_large: page.evaluate(as_large))  # type: ignore[misc]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width >= 900:
            assert page.evaluate("document.documentElement.scrollHeight") <= height
        spills = page.eval_on_selector_all(
            ".tile-in",
            "all => all.filter((one) => one.scrollHeight > one.clientHeight + 1).map((one) => one.innerText)",
        )
        assert spills == [], width
        for word in page.locator(".tile-word:visible").all():
            assert word.evaluate("one => one.scrollWidth <= one.clientWidth + 1"), (width, word.inner_text())
    assert visitor.complaints == []


def test_a_hundred_exchanges_fit_on_one_screen(own_web: WebServer, visitor: Visitor, wall: str) -> None:
    own_web.run("for n in range(10, 107): Exchange.objects.create(id=n, name=f'exchange-{n}', display_name='x')")
    page = visitor.open(own_web, wall, viewport=SCREEN)
    assert page.locator(".tile").count() == 100
    for tile in (page.locator(".tile").first, page.locator(".tile").nth(12), page.locator(".tile").last):
        box = tile.bounding_box()
        assert box
        assert box["x"] + box["width"] < SCREEN["width"]
        assert box["y"] + box["height"] < SCREEN["height"]
    served = page.locator(".wall h1 > .calm").last.bounding_box()
    assert served
    assert served["x"] + served["width"] < SCREEN["width"]


def test_a_screen_without_scripts_shows_the_same(web: WebServer, busy: None, visitor: Visitor, wall: str) -> None:
    page = visitor.open(web, wall, live=False, java_script_enabled=False, viewport=SCREEN)
    assert "warming" in page.inner_text('[data-card="binance"]')
    assert "not live" in page.inner_text(".clock")
    assert page.locator('meta[http-equiv="refresh"]').get_attribute("content") == "30"
