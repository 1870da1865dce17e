"""What is new since somebody last looked, and being told without looking."""

import json
from itertools import pairwise

import redis
from playwright.sync_api import Page, expect

from activity.wire.keys import ownership_key
from tests.browser.conftest import Visitor
from tests.pages.writing import append_error, append_move, put_status
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


#: Chrome on Android has the constructor and the permission, and throws.
_REFUSE = _KEEP.replace(
    "constructor(words, options) { window.told.push([words, options.tag]); }",
    "constructor() { throw new TypeError('Illegal constructor'); }",
)
#: Sounds are counted; until somebody presses something the browser makes none.
_MUTE = """
window.oscillators = window.listeners = 0;
const listen = window.addEventListener;
window.addEventListener = (kind, ...more) => {
  if (kind === "pointerdown" && more.length === 1) window.listeners += 1; // those of the test's own tools have options
  return listen.call(window, kind, ...more);
};
listen.call(window, "pointerdown", () => { window.pressed = true; }, { capture: true });
const connects = { connect: (to) => to, gain: { setValueAtTime() {}, exponentialRampToValueAtTime() {} } };
window.AudioContext = class {
  state = "suspended";
  currentTime = 0;
  resume() {
    if (!window.pressed) return new Promise(() => {});
    this.state = "running";
    return Promise.resolve();
  }
  createGain() { return { ...connects }; }
  createOscillator() {
    window.oscillators += 1;
    return { ...connects, frequency: {}, start() {}, stop() {} };
  }
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
    expect(page.locator("[data-notices]")).to_have_attribute("data-on", "true")
    append_error(own_store, "binance", "nobody asked for binance")
    append_error(own_store, "kraken", "Order book: out of sequence")
    eventually(lambda: told(page) == [["kraken: Order book: out of sequence", "perseus error kraken"]])
    own_store.delete("exchange:3:status")
    eventually(lambda: ["kraken is lost", "perseus lost kraken"] in told(page))


def open_with(visitor: Visitor, web: WebServer, *scripts: str, clock: bool = False) -> Page:
    """The network page, once it is live and would tell, in a browser of which these scripts are a part."""
    context = visitor.context(web)
    for script in scripts:
        context.add_init_script(script)
    page = context.new_page()
    if clock:
        page.clock.install()
    page.goto(web.url)
    page.wait_for_selector('.live[data-live="on"]')
    expect(page.locator("[data-notices]")).to_have_attribute("data-on", "true")
    return page


def write_and_see(store: redis.Redis, page: Page, error: str) -> str:
    """Append an entry; its id, once it stands on top of the list."""
    written = append_error(store, "kraken", error)
    expect(page.locator("[data-rows] .entry").first).to_have_attribute("data-id", written)
    return written


def test_a_browser_that_refuses_to_notify_shows_the_entries_and_says_so(
    own_web: WebServer, own_store: redis.Redis, visitor: Visitor
) -> None:
    choose(own_web, desktop=True, sound=True, conditions=["error"])
    page = open_with(visitor, own_web, _REFUSE, _MUTE.replace('"suspended"', '"running"'))
    write_and_see(own_store, page, "Order book: out of sequence")
    write_and_see(own_store, page, "Order book: once more")
    assert page.locator("[data-rows] .entry").count() == 2
    bell = page.locator("[data-notices]")
    expect(bell).to_have_attribute("data-on", "false")
    assert "shows no notifications of pages: Illegal constructor" in (bell.text_content() or "")
    assert page.evaluate("window.oscillators") > 0


def test_in_a_storm_each_kind_is_told_once_every_two_seconds_and_its_newest_last(
    own_web: WebServer, own_store: redis.Redis, visitor: Visitor
) -> None:
    choose(own_web, desktop=True, conditions=["error", "state_transition"])
    timed = _KEEP.replace("window.told.push(", "window.times.push(performance.now()); window.told.push(")
    page = open_with(visitor, own_web, timed, "window.times = [];")
    for number in range(20):
        write_and_see(own_store, page, f"Number: {number}")
    eventually(lambda: told(page)[-1][0] == "kraken: Number: 19")
    assert told(page)[0][0] == "kraken: Number: 0"
    times = page.evaluate("window.times")
    assert all(later - earlier > 1900 for earlier, later in pairwise(times)), times
    append_move(own_store, "kraken", "warming", "active")  # another kind does not wait for this one
    eventually(lambda: told(page)[-1] == ["kraken: warming → active", "perseus state kraken"])


def test_before_anybody_has_clicked_no_tone_is_kept_for_later(
    own_web: WebServer, own_store: redis.Redis, visitor: Visitor
) -> None:
    choose(own_web, sound=True, conditions=["error"])
    page = open_with(visitor, own_web, _MUTE, clock=True)
    for number in range(4):
        write_and_see(own_store, page, f"Number: {number}")
        page.clock.fast_forward(3000)
    said = page.locator("[data-notices] [data-said]")
    expect(said).to_have_text("This browser lets Perseus make a tone once you have clicked anywhere in the page.")
    assert page.evaluate("[window.listeners, window.oscillators]") == [1, 0]
    page.mouse.click(5, 450)
    expect(said).to_have_text("")
    assert page.evaluate("window.oscillators") == 0  # what happened is no news any more
    write_and_see(own_store, page, "Number: 4")
    eventually(lambda: page.evaluate("window.oscillators") == 1)


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
