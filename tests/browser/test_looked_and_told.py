"""What is new since somebody last looked, and being told without looking."""

import json

import redis
from playwright.sync_api import Page, expect

from activity.wire.keys import ownership_key
from tests.browser.conftest import Visitor
from tests.pages.writing import append_error, put_status
from tests.waiting import eventually
from tests.web import WebServer

#: Chromium shows no notification without a screen: what it would show is kept.
_KEEP = """
window.told = [];
window.Notification = class {
  static permission = "granted";
  static requestPermission() { return Promise.resolve("granted"); }
  constructor(words, options) { window.told.push([words, options.tag]); }
  close() {}
};
"""


def told(page: Page) -> list[list[str]]:
    found: list[list[str]] = page.evaluate("window.told")
    return found


def choose(web: WebServer, **notifications: object) -> None:
    """As the user's own page of settings does."""
    document = json.dumps({"notifications": notifications})
    web.run(
        "import json\n"
        "user = User.objects.get(email='admin@example.org')\n"
        f"UserSettings.objects.update_or_create(user=user, defaults={{'document': json.loads({document!r})}})\n"
    )


def test_a_line_marks_what_is_new_since_somebody_last_looked(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    seen = [append_error(store, "kraken", f"Seen: {number}") for number in range(3)]
    page = visitor.open(web, "/exchanges/kraken/")
    expect(page.locator(".entry[data-looked]")).to_have_count(0)
    page.goto(web.url + "/instances/")
    for number in range(2):
        append_error(store, "kraken", f"New: {number}")
    page.goto(web.url + "/exchanges/kraken/")
    marked = page.locator(".entry[data-looked]")
    expect(marked).to_have_attribute("data-id", seen[-1])
    append_error(store, "kraken", "New: live")
    expect(page.locator("[data-rows] .entry").first).to_contain_text("live")
    expect(marked).to_have_attribute("data-id", seen[-1])
    page.goto(web.url + "/instances/")
    page.goto(web.url + "/exchanges/kraken/")
    expect(marked).to_have_count(0)
    assert visitor.complaints == []


def test_whoever_wants_to_is_told_of_a_lost_instance_and_of_errors(
    own_web: WebServer, own_store: redis.Redis, visitor: Visitor
) -> None:
    choose(own_web, desktop=True, sound=True, conditions=["lost", "error"], exchanges=["kraken"])
    own_store.hset(ownership_key(3), "state", "held")
    put_status(own_store, "kraken", ttl_ms=60_000)
    context = visitor.context(own_web)
    context.add_init_script(_KEEP)
    page = context.new_page()
    page.goto(own_web.url)
    page.wait_for_selector('.live[data-live="on"]')
    assert page.get_attribute("[data-notices]", "data-on") == "true"
    append_error(own_store, "binance", "nobody asked for binance")
    append_error(own_store, "kraken", "Order book: out of sequence")
    eventually(lambda: told(page) == [["kraken: Order book: out of sequence", "perseus error kraken"]])
    own_store.delete("exchange:3:status")
    eventually(lambda: ["kraken is lost", "perseus lost kraken"] in told(page))


def test_who_is_told_nothing_is_told_so(own_web: WebServer, visitor: Visitor) -> None:
    page = visitor.open(own_web)
    page.click("[data-notices] > summary")
    expect(page.locator("[data-notices]")).to_contain_text("You are told nothing aloud")
    choose(own_web, desktop=True, conditions=["lost"])
    context = visitor.context(own_web)
    context.add_init_script(_KEEP.replace("granted", "denied"))
    page = context.new_page()
    page.goto(own_web.url)
    page.click("[data-notices] > summary")
    expect(page.locator("[data-notices] [data-said]")).to_contain_text("does not let Perseus notify you")
    expect(page.locator("[data-notices] li")).to_have_text(["an instance is lost"])
