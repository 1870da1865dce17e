"""Live pages of somebody who reads German: the server and the scripts say the same, and none of it turns English."""

import re
from pathlib import Path

import pytest
import redis
from playwright.sync_api import Page, expect

from activity.wire.keys import ownership_key
from tests.browser.conftest import Visitor
from tests.pages.writing import append, append_error, append_move, put_older_status, put_status, stamp
from tests.waiting import eventually
from tests.web import WebServer

MARKUP = (Path(__file__).parent / "same_markup.js").read_text().strip().rstrip(";")
GERMAN = "de-DE"
#: What our English texts are full of, and no German one has. States, and what the tests write, have none of it either.
ENGLISH = re.compile(
    r"\b(after|ago|ahead|alive|and|beat|behind|clock|ended|epoch|entries|entry|for|fresh|heard|history|key|known|"
    r"last|late|left|longer|lost|malformed|newer|nobody|of|older|page|running|served|since|stuck|symbols|transition|"
    r"unknown|unreadable)\b",
    re.IGNORECASE,
)
#: Everything that can be read or is read aloud, but for raw entries, commands and what an instance wrote itself.
SAID = """root => {
    const said = [];
    const walk = (node) => {
        if (node.nodeType === Node.TEXT_NODE) said.push(node.data);
        if (node.nodeType !== Node.ELEMENT_NODE || node.matches("pre, .cmd")) return;
        for (const name of ["aria-label", "title", "placeholder"]) said.push(node.getAttribute(name) ?? "");
        node.childNodes.forEach(walk);
    };
    walk(root);
    return said.map((words) => words.trim()).filter(Boolean);
}"""
LIVE_PARTS = "[data-card], [data-verdict], [data-rows], [data-news], .live, title"


def english(page: Page, parts: str = LIVE_PARTS) -> list[str]:
    """What is not German on a page, hidden parts included."""
    said = page.eval_on_selector_all(parts, f"all => all.flatMap({SAID})")
    return [words for words in said if ENGLISH.search(words)]


def markups(page: Page, parts: str) -> list[str]:
    found: list[str] = page.eval_on_selector_all(parts, f"all => all.map({MARKUP})")
    return found


def conditions(page: Page) -> list[str | None]:
    return [page.get_attribute(f'[data-card="{name}"]', "data-cond") for name in ("binance", "coinbase", "kraken")]


def text(page: Page, part: str) -> str:
    return " ".join(page.inner_text(part).replace("\u00a0", " ").split())


def same(page: Page, visitor: Visitor, web: WebServer, path: str, parts: str) -> None:
    """What the scripts have painted is what the server paints now."""
    served = visitor.open(web, path, java_script_enabled=False, live=False, locale=GERMAN)
    assert markups(page, parts) == markups(served, parts)
    assert english(served, parts) == []


def test_cards_and_verdict_in_every_condition(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    page = visitor.open(web, locale=GERMAN)
    assert conditions(page) == ["never"] * 3
    assert text(page, "[data-verdict]") == "binance, coinbase und kraken bisher ohne Instanz 0 von 3 Börsen bedient"
    put_status(store, "binance", ttl_ms=20_000, lastError="Died", lastErrorAt=stamp(200_000))
    put_older_status(store, "coinbase", ipAddress=None, adminDisplayName=None, adminEmail=None)
    append_move(store, "kraken", "stopping", "stopped", adminEmail="marta@example.org", epoch="9")
    eventually(lambda: conditions(page) == ["late", "fresh", "ended"])
    same(page, visitor, web, "/", "[data-card], [data-verdict]")
    assert "verspätet, Schlüssel läuft ab in" in text(page, "[data-verdict]")
    assert "2 von 3 Börsen bedient" in text(page, "[data-verdict]")
    assert "keine Epoche" in text(page, '[data-card="coinbase"]')
    assert page.title() == "binance verspätet · Netz · Perseus"
    put_status(store, "binance", connectionState="starting", lastStateChange=stamp(400))
    store.set("exchange:2:status", b"[1, 2]", px=45_000)
    store.set("exchange:3:status", store.get("exchange:1:status") or b"", px=45_000)
    eventually(lambda: conditions(page) == ["fresh", "unreadable", "foreign"])
    same(page, visitor, web, "/", "[data-card], [data-verdict]")
    assert "hängt?" in text(page, '[data-card="binance"]')
    assert "Er dauert länger als 5 min." in text(page, '[data-card="binance"]')
    assert "JSON vom Typ list statt eines Objekts" in text(page, '[data-card="coinbase"]')
    assert "Unter diesem Schlüssel steht der Status von binance (1)." in text(page, '[data-card="kraken"]')
    store.delete("exchange:1:status")
    store.hset(ownership_key(1), "state", "held")
    eventually(lambda: conditions(page) == ["lost", "unreadable", "foreign"])
    assert re.search(r"Verloren vor \d+ s Schlüssel weg seit \d\d:\d\d:\d\d, letzter Schlag", text(page, ".lostbar"))
    expect(page.locator("[data-verdict-said]")).to_contain_text("binance verloren, coinbase Status unlesbar")
    assert page.title() == "binance verloren · Netz · Perseus"
    assert english(page) == []
    assert visitor.complaints == []


@pytest.mark.parametrize("path", ["/", "/exchanges/kraken/"])
def test_rows_of_every_kind(web: WebServer, store: redis.Redis, visitor: Visitor, path: str) -> None:
    append_error(store, "kraken", "Day: before", entry_id="1795000000000-0")
    page = visitor.open(web, path, locale=GERMAN)
    append_error(store, "kraken", " ", timestamp=stamp(-600))
    append_error(store, "kraken", "x" * 90_000, timestamp=stamp(600), hostname="", epoch="1795378746123")
    append_move(store, "kraken", "warming", "active", instanceId="i")
    append_move(store, "kraken", "active", "stopping", instanceId="i")
    append(store, "kraken", event="rebalance", timestamp=stamp())
    append(store, "kraken", event="error", timestamp="yesterday")
    append(store, "kraken", event="state_transition", timestamp=stamp(), fromState="asleep", toState="active")
    append(store, "kraken", timestamp=stamp())
    rows = page.locator(".entry")
    expect(rows).to_have_count(9)
    page.eval_on_selector_all(".entry details", "all => all.forEach((details) => { details.open = true; })")
    expect(page.locator(".entry .raw")).to_have_count(9)
    same(page, visitor, web, path, ".entry")
    shown = " ".join((page.text_content("[data-rows]") or "").replace("\u00a0", " ").split())
    assert re.search(r"\d{1,2}\. (Jan\.|Feb\.|März|Apr\.|Mai|Juni|Juli|Aug\.|Sept\.|Okt\.|Nov\.|Dez\.), vor \d", shown)
    assert re.search(r"vor \d+ s", shown)
    assert re.search(r"Uhr geht \d+ min \d\d s vor", shown)
    assert re.search(r"Uhr geht \d+ min \d\d s nach", shown)
    for fault in ("error: Feld fehlt", "fromState: erlaubt sind 'idle'", "event: das Feld fehlt"):
        assert fault in shown
    assert "(leerer Fehlertext)" in shown
    assert "activestoppingnach 0 s" in shown
    assert re.search(r"Weitere \d+,\d KB stehen nicht hier", shown)
    assert english(page, "[data-rows]") == []
    assert visitor.complaints == []


def test_the_live_indicator_and_what_waits(own_web: WebServer, own_store: redis.Redis, visitor: Visitor) -> None:
    own_web.run("User.objects.filter(email='admin@example.org').update(language='de')")
    append_error(own_store, "kraken", "First: one")
    page = visitor.open(own_web, locale="en-GB")
    expect(page.locator(".live")).to_contain_text(re.compile(r"Live\s+·\s+zuletzt \d\d:\d\d:\d\d, vor"))
    page.click(".entry summary")  # nothing moves under the eyes of who reads
    for number in range(2):
        append_error(own_store, "kraken", f"Later: {number}")
    expect(page.locator("[data-news]")).to_have_text("2 neue Einträge")
    expect(page.locator("[data-feed-said]")).to_have_text(re.compile("neuer? Eintr.* oben"))
    assert english(page) == []
    put_status(own_store, "kraken")
    eventually(lambda: conditions(page)[2] == "fresh")
    own_web.stop()
    page.wait_for_selector("text=Verbindet neu")
    expect(page.locator("[data-verdict]")).to_contain_text("1 von 3 Börsen bedient nach letztem Stand")
    assert english(page) == []


def test_a_wall(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    path = f"/wall/{web.wall}/"
    page = visitor.open(web, path, viewport={"width": 1920, "height": 1080}, locale=GERMAN)
    put_status(store, "binance", connectionState="starting", lastStateChange=stamp(720), adminDisplayName=None)
    put_status(store, "coinbase", ttl_ms=20_000)
    append_error(store, "kraken", "Died: again", entry_id="1795000000000-0")
    append_move(store, "kraken", "stopping", "stopped")
    eventually(lambda: conditions(page) == ["fresh", "late", "ended"])
    expect(page.locator("[data-errors] li")).to_have_count(1)
    same(page, visitor, web, path, "[data-card], [data-verdict]")
    assert "18. Nov., 11:06:40" in text(page, "[data-errors]")
    expect(page.locator("[data-live-word]")).to_have_text(re.compile(r"UTC, live, letztes Ereignis vor\s\d+\ss"))
    assert page.title() == "coinbase verspätet · Wandanzeige · Perseus"
    store.delete("exchange:1:status")
    store.hset(ownership_key(1), "state", "held")
    eventually(lambda: conditions(page)[0] == "lost")
    assert english(page, "[data-card], [data-verdict], .live, footer, title") == []
    assert visitor.complaints == []
