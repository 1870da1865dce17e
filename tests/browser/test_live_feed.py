"""Entries on a live page: each exactly once, in order, shown as the server would show them."""

from pathlib import Path

import pytest
import redis
from playwright.sync_api import Page

from tests.browser.conftest import Visitor
from tests.pages.writing import append, append_error, append_move, stamp
from tests.servers import RedisServer
from tests.waiting import eventually
from tests.web import WebServer

MARKUP = (Path(__file__).parent / "same_markup.js").read_text().strip().rstrip(";")


def ids(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all(".entry", "rows => rows.map((row) => row.dataset.id)")
    return found


def stamp_ms(store: redis.Redis) -> int:
    """Milliseconds of the clock that names the entries."""
    seconds, micros = store.time()
    return int(seconds) * 1000 + int(micros) // 1000


def identities(page: Page) -> list[tuple[str, str]]:
    """Exchange and id of every row: an id alone is unique per stream only."""
    pairs = page.eval_on_selector_all(".entry", "rows => rows.map((row) => [row.dataset.exchange, row.dataset.id])")
    return [(exchange, entry_id) for exchange, entry_id in pairs]


def test_entries_arrive_without_a_reload_newest_first(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    first = append_error(store, "kraken", "Before: the page")
    page = visitor.open(web)
    later = [append_error(store, name, f"Number: {n}") for n in range(5) for name in ("kraken", "binance")]
    eventually(lambda: len(ids(page)) == 11)
    assert ids(page) == [*sorted(later, key=lambda i: tuple(map(int, i.split("-"))), reverse=True), first]
    assert visitor.complaints == []


@pytest.mark.parametrize("path", ["/", "/exchanges/kraken/"])
def test_a_live_row_is_the_row_that_the_server_renders(
    web: WebServer, store: redis.Redis, visitor: Visitor, path: str
) -> None:
    append_error(store, "kraken", "First: so that the page does not teach")
    page = visitor.open(web, path)
    nasty = "<script>alert(1)</script> \u202e\x1b[31m \u200b\U000e0041 &amp; {{ x }}"
    append_error(store, "kraken", nasty, hostname=nasty, epoch="7")
    append_error(store, "kraken", "Trace: back\n\tline one\nline two")
    append_error(store, "kraken", "Long: " + "é" * 400)
    append_error(store, "kraken", "Huge: " + "€" * 30_000)
    append_error(store, "kraken", "no class at all", timestamp="yesterday")
    append_error(store, "kraken", "With an offset", timestamp="2026-03-01T10:00:00+02:00")
    append_move(store, "kraken", "warming", "active")
    append(store, "kraken", event="settings_reloaded", by="marta", id="a field called id")
    append(store, "kraken", event="state_transition", timestamp=stamp(), fromState="warming", toState="flying")
    append(store, "kraken", event="error", timestamp=stamp())
    append(store, "kraken", colour="blue", __proto__="polluted")
    store.xadd("logs:network:kraken", {b"event": b"error", b"timestamp": b"\xff", b"error": b"\xc3\x28"})
    append_error(store, "kraken", " \n")
    append_error(store, "kraken", "Clock: behind", timestamp=stamp(7205), epoch="1795378746123")
    append_move(store, "kraken", "active", "stopping", timestamp=stamp(-300), instanceId="another")
    append_move(store, "kraken", "stopping", "stopped", instanceId="another")
    names = ["b", "10", "event", "2", "\0" + "3", "__proto__", "007", "1.5", "a"]
    store.xadd("logs:network:kraken", {name: f'"{name}": "5"' for name in names})
    append(store, "kraken", entry_id="18446744073709551615-1", event="oddity")
    eventually(lambda: len(ids(page)) == 19)
    page.eval_on_selector_all(".entry details", "all => all.forEach((details) => { details.open = true; })")
    eventually(lambda: page.locator(".entry .raw").count() == 19)
    live = page.eval_on_selector_all(".entry", f"rows => rows.map({MARKUP})")
    without_scripts = visitor.open(web, path, java_script_enabled=False, live=False)
    served = without_scripts.eval_on_selector_all(".entry", f"rows => rows.map({MARKUP})")
    for mine, theirs in zip(live, served, strict=True):
        assert mine == theirs
    assert visitor.complaints == []


def test_nothing_is_lost_or_doubled_over_a_restart_of_the_web_process(
    own_web: WebServer, own_store: redis.Redis, visitor: Visitor
) -> None:
    def write(name: str, error: str) -> None:
        written.append((name, append_error(own_store, name, error)))

    written: list[tuple[str, str]] = []
    write("kraken", "Before: the page")
    page = visitor.open(own_web)
    write("kraken", "While: connected")
    eventually(lambda: len(ids(page)) == 2)
    own_web.stop()
    page.wait_for_selector("text=Reconnecting")  # between two of its tries, during which it says Connecting
    for n in range(20):
        write("kraken", f"Away: {n}")
        write("coinbase", f"Away: {n}")
    own_web.start()
    page.wait_for_selector('.live[data-live="on"]', timeout=45_000)
    eventually(lambda: len(ids(page)) == len(written))
    assert sorted(identities(page)) == sorted(written)


def test_a_gap_is_said(own_web: WebServer, own_store: redis.Redis, visitor: Visitor) -> None:
    append_error(own_store, "kraken", "Seen: before")
    own_web.manage("recorder", "--once")
    page = visitor.open(own_web)
    own_web.stop()
    page.wait_for_selector('.live[data-live="wait"]')
    for n in range(5):
        append_error(own_store, "kraken", f"Trimmed: {n}")
    own_store.xtrim("logs:network:kraken", maxlen=2, approximate=False)
    own_web.start()
    page.wait_for_selector(".rule", timeout=45_000)
    eventually(lambda: len(ids(page)) == 3)
    assert "are no longer held" in page.inner_text(".rule")
    kinds = page.eval_on_selector_all("[data-rows] > li", "rows => rows.map((row) => row.className)")
    assert kinds == ["entry", "entry", "rule", "entry", "more"]
    live = page.eval_on_selector_all("[data-rows] > li", f"rows => rows.map({MARKUP})")
    for _ in ("before the recorder has seen it", "after it has written it down"):
        without_scripts = visitor.open(own_web, java_script_enabled=False, live=False)
        served = without_scripts.eval_on_selector_all("[data-rows] > li", f"rows => rows.map({MARKUP})")
        assert [row for row in served if 'class="rule"' in row] == [row for row in live if 'class="rule"' in row]
        assert without_scripts.eval_on_selector_all("[data-rows] > li", "all => all.map((li) => li.className)") == kinds
        own_web.manage("recorder", "--once")


def test_the_document_keeps_a_bounded_number_of_rows_and_links_to_the_rest(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    append_error(store, "kraken", "First: of all")
    page = visitor.open(web, "/exchanges/kraken/")
    written = [append_error(store, "kraken", f"Number: {n}") for n in range(700)]
    eventually(lambda: ids(page) == written[:-301:-1])  # the newest, without a hole between them
    older = page.get_attribute("[data-older]", "href")
    assert older
    page.goto(web.url + older)
    row = page.locator(f'.entry[data-id="{written[399]}"]')  # newer ones may have been loaded above it by now
    assert "Number: 399" in row.inner_text()
    assert row.evaluate("row => row.getBoundingClientRect().top < innerHeight")


def test_entries_that_come_late_between_others_make_the_document_no_longer(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    page = visitor.open(web)
    began = stamp_ms(store) - 60_000
    written = [append_error(store, "kraken", f"Number: {n}", entry_id=f"{began + 10 * n}-0") for n in range(290)]
    eventually(lambda: ids(page) == written[::-1])
    page.eval_on_selector("[data-rows]", "list => { list.scrollTop = 400; }")
    late = [append_error(store, "binance", f"Late: {n}", entry_id=f"{began + 2000 + n}-1") for n in range(100)]
    eventually(lambda: late[-1] in ids(page))
    newest_first = sorted([*written, *late], key=lambda entry_id: tuple(map(int, entry_id.split("-"))), reverse=True)
    assert ids(page) == newest_first[:300]
    assert page.locator("[data-older]").count() == 1  # where the others are


@pytest.mark.parametrize("reads", ["opened", "focused", "in sight"])
def test_what_somebody_reads_stays_when_many_entries_come_late_above_it(
    web: WebServer, store: redis.Redis, visitor: Visitor, reads: str
) -> None:
    page = visitor.open(web)
    began = stamp_ms(store) - 60_000
    written = [append_error(store, "kraken", f"Number: {n}", entry_id=f"{began + 10 * n}-0") for n in range(290)]
    eventually(lambda: ids(page) == written[::-1])
    row = page.locator(f'.entry[data-id="{written[5]}"]')
    row.scroll_into_view_if_needed()
    if reads == "opened":
        row.locator("summary").click()
    elif reads == "focused":
        row.locator("summary").focus()
    if reads != "in sight":
        page.eval_on_selector("[data-rows]", "list => { list.scrollTop = 7500; }")
    place = "row => row.getBoundingClientRect().top"
    before = row.evaluate(place)
    late = [append_error(store, "binance", f"Late: {n}", entry_id=f"{began + 2000 + n}-1") for n in range(100)]
    eventually(lambda: late[0] in ids(page))
    eventually(lambda: page.locator("[data-above]").count() == 1)  # newer ones are found there
    assert len(ids(page)) <= 300
    assert row.count() == 1
    if reads == "in sight":
        assert abs(row.evaluate(place) - before) < 5
    elif reads == "opened":
        assert row.locator("details[open]").count() == 1
    else:
        assert row.evaluate("row => row.contains(document.activeElement)")


def test_who_reads_further_down_is_not_disturbed(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    for n in range(90):
        append_error(store, "kraken", f"Number: {n}")
    page = visitor.open(web, "/exchanges/kraken/")

    def scrolled_down() -> bool:
        page.mouse.wheel(0, 700)
        return bool(page.evaluate("document.scrollingElement.scrollTop > 1000"))

    eventually(scrolled_down)
    append_error(store, "kraken", "News: one")
    append_error(store, "kraken", "News: two")
    page.wait_for_selector("[data-news]:not([hidden])")
    eventually(lambda: page.inner_text("[data-news]").strip() == "2 new entries")
    assert len(ids(page)) == 90
    page.click("[data-news]")
    eventually(lambda: len(ids(page)) == 92)
    assert page.is_hidden("[data-news]")


def test_whoever_reads_an_opened_row_is_not_disturbed(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    opened = append_error(store, "kraken", "Read: this")
    page = visitor.open(web)
    page.click(".entry summary")
    at = page.locator(".entry pre[data-slot=raw]").bounding_box()
    append_error(store, "kraken", "News: one")
    append_error(store, "kraken", "News: two")
    eventually(lambda: page.inner_text("[data-news]").strip() == "2 new entries")
    bar = page.locator("[data-news]").bounding_box()
    now_at = page.locator(".entry pre[data-slot=raw]").bounding_box()
    assert at
    assert bar
    assert now_at
    assert now_at["y"] - at["y"] <= bar["height"]
    assert ids(page) == [opened]
    page.click("[data-news]")
    eventually(lambda: len(ids(page)) == 3)
    assert page.is_visible(".entry pre[data-slot=raw]")
    append_error(store, "kraken", "News: three")
    eventually(lambda: page.inner_text("[data-news]").strip() == "1 new entry")
    page.click(f'[data-id="{opened}"] summary')
    eventually(lambda: len(ids(page)) == 4)
    assert page.is_hidden("[data-news]")


def test_the_first_live_entry_makes_no_link_to_what_is_not_there(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    page = visitor.open(web)
    assert "No entries yet" in page.inner_text("[data-more]")
    append_error(store, "kraken", "One: entry")
    eventually(lambda: len(ids(page)) == 1)
    assert page.inner_text("[data-more]").strip() == "The history begins here."
    append_error(store, "kraken", "One: more")
    eventually(lambda: len(ids(page)) == 2)
    assert page.inner_text("[data-more]").strip() == "The history begins here."
    page = visitor.open(web)
    append_error(store, "kraken", "One: more")
    eventually(lambda: len(ids(page)) == 3)
    assert page.inner_text("[data-more]").strip() == "The history begins here."


def test_a_transition_says_how_long_the_state_before_it_lasted_whenever_that_is_known(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    append_move(store, "kraken", "idle", "starting", entry_id="1763830000000-0")
    page = visitor.open(web)
    append_move(store, "kraken", "starting", "warming", entry_id="1763830073999-0")
    append_move(store, "binance", "warming", "active", entry_id="1763830074000-0")
    append_move(store, "kraken", "warming", "active", entry_id="1763830093999-0")
    eventually(lambda: len(ids(page)) == 4)
    shown = [text.replace("\u00a0", " ") for text in page.locator(".entry .msg").all_inner_texts()]
    assert ["after" in text for text in shown] == [True, False, True, False]
    assert "after 20 s" in shown[0]
    assert "after 1 min 13 s" in shown[2]


def test_scrolling_back_loads_older_entries(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    written = [append_error(store, "kraken", f"Number: {n}") for n in range(250)]
    page = visitor.open(web, "/exchanges/kraken/")
    assert len(ids(page)) == 50

    def at_the_end() -> bool:
        page.mouse.wheel(0, 20_000)
        return len(ids(page)) == 250

    eventually(at_the_end)
    assert ids(page) == written[::-1]
    assert "The history begins here." in page.inner_text("[data-more]")


def test_the_page_of_an_exchange_without_an_instance_fills_by_itself(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    page = visitor.open(web, "/exchanges/coinbase/")
    page.wait_for_selector("text=This page is connected")
    append_move(store, "coinbase", "idle", "starting")
    page.wait_for_selector(".entry")
    assert "starting" in page.inner_text(".entry")


def test_a_hidden_tab_goes_on_and_acknowledges(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    page = visitor.open(web, "/exchanges/binance/", live=False)
    page.evaluate("Object.defineProperty(Document.prototype, 'hidden', { get: () => true })")
    append_error(store, "binance", "First: of all")
    page.wait_for_selector(".entry")
    page.evaluate("Object.defineProperty(Document.prototype, 'hidden', { get: () => true })")
    big = "x" * 20_000
    written = [append_error(store, "binance", f"Big: {n} {big}") for n in range(60)]  # five times the server's window
    eventually(lambda: ids(page)[:1] == written[-1:])
    assert len(ids(page)) == 61


def test_the_raw_entry_is_copied_whole(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    append_error(store, "kraken", "Huge: " + "y" * 80_000)
    page = visitor.open(web, permissions=["clipboard-read", "clipboard-write"])
    page.click(".entry summary")
    page.click(".entry [data-copy]")
    page.wait_for_selector("text=Copied")
    copied: str = page.evaluate("navigator.clipboard.readText()")
    assert "y" * 80_000 in copied


def test_who_was_signed_out_copies_no_page_to_sign_in(
    own_web: WebServer, own_store: redis.Redis, visitor: Visitor
) -> None:
    append_error(own_store, "kraken", "Huge: " + "y" * 80_000)
    page = visitor.open(own_web, permissions=["clipboard-read", "clipboard-write"])
    page.click(".entry summary")
    page.context.clear_cookies()
    page.click(".entry [data-copy]")
    page.wait_for_selector("text=Selected: only the part that is here")
    assert page.evaluate("getSelection().toString().startsWith('{')")


def test_the_feed_is_whole_after_redis_was_away(
    own_web: WebServer, own_store: redis.Redis, own_redis: RedisServer, visitor: Visitor
) -> None:
    append_error(own_store, "kraken", "Before: it went")
    page = visitor.open(own_web)
    own_redis.stop()
    page.wait_for_selector("text=Redis cannot be reached")
    own_redis.start()
    page.wait_for_selector('.live[data-live="on"]')
    last = append_error(own_store, "kraken", "After: it came back")
    eventually(lambda: ids(page)[:1] == [last])
    assert len(ids(page)) == 2
