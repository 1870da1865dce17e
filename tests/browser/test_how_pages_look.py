"""What only a browser can tell: width, theme, times, keyboard, the content policy."""

import pytest
import redis
from playwright.sync_api import Page, expect

from activity.text import ago, duration, size, visible
from tests.browser.conftest import Visitor
from tests.pages.writing import append_error, append_move, put_status, stamp
from tests.web import PASSWORD, WebServer


@pytest.fixture
def busy(store: redis.Redis) -> None:
    """Cards in several situations, and long texts without a space."""
    put_status(store, "binance", hostname="a-very-long-host-name." * 4, lastError="x" * 500, epoch=1795378746123)
    put_status(store, "coinbase", ttl_ms=20_000, adminDisplayName="Wolfeschlegelsteinhausenbergerdorff " * 3)
    append_error(store, "kraken", "LongError: " + "y" * 5000, hostname="z" * 300)
    append_move(store, "kraken", "warming", "active", epoch="1795378746123", hostname="z" * 300, timestamp=stamp(7200))


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/exchanges/binance/", "/exchanges/kraken/", "/schemas/", "/exchanges/none/", "/instances/"),
        *("/?at=2020-01-05T10:00:00Z", "/exchanges/kraken/?at=2020-01-05T10:00:00Z"),
    ],
)
def test_no_page_scrolls_sideways(web: WebServer, busy: None, visitor: Visitor, path: str) -> None:
    page = visitor.open(web, path, live=False)
    for width in (320, 380, 640, 800, 1180, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [320, 380, 1440])
def test_the_end_of_an_epoch_is_never_cut_off(web: WebServer, busy: None, visitor: Visitor, width: int) -> None:
    page = visitor.open(web, viewport={"width": width, "height": 800})
    tag = page.locator('[data-card="binance"] .tag[data-titled=epoch]')
    assert tag.get_attribute("title") == "1795378746123"
    box, around = tag.bounding_box(), page.locator('[data-card="binance"]').bounding_box()
    assert box
    assert around
    assert around["x"] <= box["x"]
    assert box["x"] + box["width"] <= around["x"] + around["width"]
    assert tag.evaluate("tag => tag.scrollWidth <= tag.clientWidth")
    assert page.is_visible('[data-card="binance"] .tag >> text=746123')
    row = page.locator(".entry", has=page.locator(".epoch:visible"))
    digits, source = row.locator("[data-slot=epoch_tail]").bounding_box(), row.locator(".src").bounding_box()
    assert digits
    assert source
    assert digits["x"] + digits["width"] <= source["x"] + source["width"]
    assert digits["y"] + digits["height"] <= source["y"] + source["height"] + 1


def test_the_theme_is_remembered_and_there_before_the_first_paint(web: WebServer, visitor: Visitor) -> None:
    page = visitor.open(web, color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    toggle = page.get_by_role("button", name="Theme: system")
    toggle.click()
    page.get_by_role("button", name="Theme: light").click()
    assert page.get_by_role("button", name="Theme: dark").is_visible()
    assert page.evaluate(background) != light
    note = "window.early ??= document.documentElement.dataset.theme"
    page.add_init_script(f"document.addEventListener('readystatechange', () => {{ {note} }})")
    page.reload()
    assert page.evaluate("window.early") == "dark"
    assert page.evaluate(background) != light


def test_times_are_shown_in_utc_or_local(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    append_error(store, "kraken", "One: entry", timestamp="2026-01-05T23:30:15.123Z", entry_id="1767655815200-0")
    page = visitor.open(web, timezone_id="Asia/Tokyo")
    assert page.inner_text(".entry .at") == "23:30:15.123"
    page.click('[data-zone="local"]')
    assert page.inner_text(".entry .at") == "08:30:15.123"
    assert page.inner_text(".entry .ago").startswith("6\u00a0Jan, ")
    page.reload()
    assert page.inner_text(".entry .at") == "08:30:15.123"
    page.click('[data-zone="utc"]')
    assert page.inner_text(".entry .ago").startswith("5\u00a0Jan, ")


def test_the_keyboard_reaches_everything(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    append_error(store, "kraken", "One: entry")
    page = visitor.open(web)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('.entry') !== null"):
            break
    page.keyboard.press("Enter")
    assert page.is_visible(".entry pre[data-slot=raw]")


def test_a_page_works_without_scripts(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    for n in range(51):
        append_error(store, "kraken", f"Number: {n}")
    put_status(store, "kraken")
    page = visitor.open(web, java_script_enabled=False, live=False)
    assert page.is_visible("text=Not live")
    assert page.locator("[data-card=kraken] >> text=active").first.is_visible()
    page.click(".entry summary >> nth=0")
    assert page.is_visible(".entry pre[data-slot=raw] >> nth=0")
    assert page.locator("button:not(.no-js):visible").count() == 0  # what needs scripts is not offered
    page.click("text=Older entries")
    expect(page.locator(".entry .msg").first).to_have_text("Number: 0")


def test_signing_in_and_out_by_hand(web: WebServer, visitor: Visitor) -> None:
    page = visitor.context(web).new_page()
    page.context.clear_cookies()
    page.goto(web.url + "/exchanges/kraken/")
    page.fill("#login", "nobody@example.org")
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('There is no such exchange')")
    assert page.url == web.url + "/exchanges/kraken/"
    page.click(".menu.own summary")
    page.click("text=Sign out")
    page.wait_for_url("**/sign-in/")


def test_a_phone_has_tabs_at_the_bottom(web: WebServer, busy: None, visitor: Visitor) -> None:
    page = visitor.open(web, viewport={"width": 380, "height": 800})
    assert page.is_visible(".tabs")
    assert page.is_hidden(".top .nav")
    page.click(".tabs [data-tab=activity]")
    page.wait_for_selector('.tabs [data-tab=activity][aria-current="true"]')


def _rules(page: Page, module: str, name: str, values: list[object]) -> list[str]:
    code = """async ([module, name, values]) => {
        const rules = await import(`/static/js/${module}`);
        return values.map((value) => rules[name](value));
    }"""
    found: list[str] = page.evaluate(code, [module, name, values])
    return found


def test_scripts_and_server_follow_the_same_rules_of_showing(web: WebServer, visitor: Visitor) -> None:
    page = visitor.open(web)
    points: list[object] = [chr(code) for code in [*range(0x3000), *range(0xFE00, 0x10000), *range(0xE0000, 0xE0100)]]
    assert _rules(page, "text.js", "visible", points) == [visible(point) for point in points]
    seconds: list[object] = [-5, 0, 1, 59, 60, 61, 599, 600, 3599, 3600, 7261, 86399, 86400, 90061, 10_000_000]
    assert _rules(page, "text.js", "duration", seconds) == [duration(float(str(s))) for s in seconds]
    assert _rules(page, "text.js", "ago", seconds) == [ago(float(str(s))) for s in seconds]
    sizes: list[object] = [0, 1023, 1024, 65_536, 1_048_575, 1_048_576, 90_000_000]
    assert _rules(page, "text.js", "size", sizes) == [size(int(str(s))) for s in sizes]


@pytest.mark.parametrize(
    ("path", "width"), [("/", 320), ("/", 1280), ("/exchanges/kraken/", 390), ("/exchanges/kraken/", 1280)]
)
def test_a_menu_opens_within_the_page(web: WebServer, busy: None, visitor: Visitor, path: str, width: int) -> None:
    page = visitor.open(web, path + "#activity", viewport={"width": width, "height": 900})
    if page.is_visible(".tabs"):
        page.click(".tabs [data-tab=activity]")
    for menu in (".notices", ".saved", ".own"):
        page.click(f"{menu} > summary")
        box = page.locator(f"{menu} > div").bounding_box()
        assert box, menu
        assert box["x"] >= 0, menu
        assert box["x"] + box["width"] <= width, menu
        for share in (0.1, 0.9):  # nothing of the page lies over it
            at = [box["x"] + share * box["width"], box["y"] + share * box["height"]]
            assert page.evaluate(f"at => document.elementFromPoint(...at)?.closest('{menu}') !== null", at), menu
        page.click(f"{menu} > summary")


def test_a_printed_page_tells_and_offers_nothing_to_press(web: WebServer, busy: None, visitor: Visitor) -> None:
    page = visitor.open(web)
    page.emulate_media(media="print")
    for pressed in (".arrange", ".top", ".filter", ".news", ".btn"):
        assert page.locator(f"{pressed}:visible").count() == 0, pressed
    assert page.is_visible("[data-card=binance]")
