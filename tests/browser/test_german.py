"""Pages in German: what scripts say, and that longer words find room."""

import pytest
import redis
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.pages.writing import append_error, append_move, put_status
from tests.web import WebServer

PAGES = (
    *("/", "/exchanges/kraken/", "/exchanges/kraken/command/reload-settings/", "/instances/", "/account/"),
    *("/account/sessions/", "/account/second-factor/", "/self-check/", "/schemas/", "/nowhere/", "/admin/"),
)


@pytest.fixture
def busy(store: redis.Redis) -> None:
    """An instance, a move, an error."""
    put_status(store, "kraken")
    append_move(store, "kraken", "warming", "active")
    append_error(store, "kraken", "Order book: out of sequence")


def test_no_german_page_scrolls_sideways(web: WebServer, busy: None, visitor: Visitor) -> None:
    page = visitor.open(web, "/", live=False, locale="de")
    wide = []
    for path in PAGES:
        page.goto(web.url + path)
        assert page.locator("html").get_attribute("lang") == "de"
        for width in (320, 380, 800, 1180, 1440):
            page.set_viewport_size({"width": width, "height": 800})
            if page.evaluate("document.documentElement.scrollWidth") > width and not path.startswith("/admin/"):
                wide.append((path, width))
    assert not wide


def test_scripts_of_the_django_admin_speak_german(web: WebServer, visitor: Visitor) -> None:
    page = visitor.open(web, "/admin/auth/group/add/", live=False, locale="de")
    chooser = page.locator(".selector")
    for words in ("Verfügbare Berechtigungen", "Alle Berechtigungen auswählen", "Darf ansehen: Börse"):
        expect(chooser).to_contain_text(words)
    assert not visitor.complaints


def test_scripts_speak_the_language_of_the_page(web: WebServer, busy: None, visitor: Visitor) -> None:
    page = visitor.open(web, "/self-check/", live=False, locale="de")
    expect(page.locator("[data-socket-found]")).to_contain_text("Öffnet, und der erste Frame")
    expect(page.locator("[data-socket-level]")).to_have_text("ok")
    theme = page.locator("[data-theme-toggle]")
    expect(theme).to_have_attribute("aria-label", "Farben: wie das System")
    theme.click()
    expect(theme).to_have_attribute("title", "Farben: hell")
    page.goto(web.url + "/exchanges/binance/")
    page.locator("[data-copy]:visible").first.click()
    # Playwright's contexts may or may not write to a clipboard.
    expect(
        page.get_by_text("Kopiert").or_(page.get_by_text("Markiert: mit der Tastatur kopieren")).first
    ).to_be_visible()
    assert not visitor.complaints
