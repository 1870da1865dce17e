"""The page of all instances: it follows what happens, and where it cannot it says so."""

import json
import time

import redis
from playwright.sync_api import expect

from activity.wire.keys import ownership_key
from tests.browser.conftest import Visitor
from tests.pages.writing import put_status, stamp
from tests.servers import RedisServer
from tests.waiting import eventually
from tests.web import WebServer


def put_idle(store: redis.Redis, instance: str = "idle-1", *, left_ms: int = 40_000) -> None:
    """An instance that waits for an exchange; its last beat was 45 s before what it has left."""
    status = {"instanceId": instance, "hostname": f"{instance}-host", "pid": 4, "version": "1", "program": "bot.js"}
    beat = {"registeredAt": stamp(), "lastHeartbeat": stamp(), "heartbeatSeconds": 15}
    store.hset("{instances:idle}", instance, json.dumps(status | beat))
    store.zadd("{instances:idle}:until", {instance: int(time.time() * 1000) + left_ms})


def test_without_scripts_it_says_that_it_stands_still(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    put_status(store, "kraken")
    page = visitor.open(web, "/instances/", java_script_enabled=False, live=False)
    line = page.locator("[data-again]")
    assert line.inner_text().startswith("Not live, page of ")
    assert " UTC" in line.inner_text()
    put_idle(store)
    line.get_by_role("link", name="Look again").click()
    assert page.is_visible("text=idle-1-host")


def test_a_page_that_is_kept_open_tells_what_has_happened_since(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    put_status(store, "kraken")
    put_idle(store)
    page = visitor.open(web, "/instances/", live=False)
    kraken = page.locator(".lines li", has_text="kraken")
    expect(page.locator("[data-again]")).to_contain_text("Asks every 5 s")
    expect(kraken).to_have_attribute("data-cond", "fresh")
    page.focus("a[href='/exchanges/kraken/']")
    beat = page.locator(".lines li", has_text="idle-1-host").locator("[data-tick]")
    ages = {beat.inner_text()}
    eventually(lambda: len(ages | {beat.inner_text()}) > 1)  # it counts on between two answers
    store.hset(ownership_key(3), "state", "held")
    store.delete("exchange:3:status")
    put_idle(store, "idle-2")
    expect(kraken).to_have_attribute("data-cond", "lost")
    expect(page.locator(".lines")).to_contain_text(["idle-2-host", "kraken"])
    assert page.evaluate("document.activeElement.getAttribute('href')") == "/exchanges/kraken/"
    assert visitor.complaints == []


def test_while_redis_is_away_it_says_so_and_is_grey(
    own_web: WebServer, own_store: redis.Redis, own_redis: RedisServer, visitor: Visitor
) -> None:
    put_status(own_store, "kraken", ttl_ms=600_000)
    page = visitor.open(own_web, "/instances/", live=False)
    line, kraken = page.locator("[data-again]"), page.locator(".lines li", has_text="kraken")
    expect(line).to_contain_text("Asks every 5 s")
    own_redis.stop()
    expect(line).to_contain_text("Not live: ")
    expect(line).to_contain_text("last answer")
    expect(kraken).to_have_attribute("data-cond", "fresh")  # as it was then
    eventually(lambda: page.eval_on_selector(".lines", "list => getComputedStyle(list.parentElement).opacity") != "1")
    own_redis.start()
    expect(line).to_contain_text("Asks every 5 s", timeout=45_000)


def test_who_was_signed_out_meanwhile_is_told_so(own_web: WebServer, visitor: Visitor) -> None:
    page = visitor.open(own_web, "/instances/", live=False)
    page.context.clear_cookies()
    expect(page.locator("[data-again]")).to_contain_text("Not live: you are signed out")
    page.click("text=Look again")
    page.wait_for_url("**/sign-in/**")
