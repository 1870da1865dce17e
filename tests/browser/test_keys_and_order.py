"""A page that is kept open all day: it re-orders itself, tells its worst in the tab, and obeys the keyboard."""

import redis
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.pages.writing import append_error, append_move, put_status, stamp
from tests.waiting import eventually
from tests.web import WebServer


def order(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all("[data-card]", "all => all.map((card) => card.dataset.card)")
    return found


def test_live_cards_move_to_where_their_need_puts_them(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    for name in ("binance", "coinbase", "kraken"):
        put_status(store, name)
    page = visitor.open(web, "/?sort=need")
    assert order(page) == ["binance", "coinbase", "kraken"]
    icon = page.locator("[data-favicon]")
    expect(icon).to_have_attribute("href", "/static/favicon.svg")
    put_status(store, "kraken", connectionState="warming", lastStateChange=stamp(700))
    eventually(lambda: order(page)[0] == "kraken")
    eventually(lambda: page.title() == "kraken stuck · Network · Perseus")
    append_move(store, "coinbase", "warming", "active")
    store.delete("exchange:2:status")
    eventually(lambda: order(page) == ["coinbase", "kraken", "binance"])
    eventually(lambda: page.title() == "coinbase lost · Network · Perseus")
    expect(icon).to_have_attribute("href", "/static/favicon-lost.svg")
    served = visitor.open(web, "/?sort=need", java_script_enabled=False, live=False)
    assert order(served) == order(page)
    assert served.title() == page.title()
    assert visitor.complaints == []


def test_live_cards_change_their_group(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    put_status(store, "binance", hostname="a-host")
    put_status(store, "kraken", hostname="a-host")
    page = visitor.open(web, "/?group=host")

    def read() -> list[list[str]]:
        cards = "[...group.querySelectorAll('[data-card]')].map((card) => card.dataset.card)"
        found: list[list[str]] = page.eval_on_selector_all(
            "[data-group]", f"all => all.map((group) => [group.dataset.group, ...{cards}])"
        )
        return found

    assert read() == [["a-host", "binance", "kraken"], ["no host", "coinbase"]]
    put_status(store, "kraken", hostname="c-host")
    eventually(lambda: read() == [["a-host", "binance"], ["c-host", "kraken"], ["no host", "coinbase"]])
    assert page.inner_text("[data-group='c-host'] h2") == "c-host"


def test_a_card_moves_to_a_group_that_comes_behind_all_others(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    put_status(store, "binance", hostname="a-host")
    put_status(store, "kraken", hostname="a-host")
    put_status(store, "coinbase", hostname="b-host")
    page = visitor.open(web, "/?group=host")
    put_status(store, "kraken", hostname="z-host")
    expect(page.locator("[data-group='z-host'] [data-card]")).to_have_attribute("data-card", "kraken")
    assert page.inner_text("[data-group='z-host'] h2") == "z-host"
    assert page.eval_on_selector_all("[data-group]", "all => all.map((group) => group.dataset.group)") == [
        *("a-host", "b-host", "z-host")
    ]
    assert visitor.complaints == []


def test_who_dictates_turns_the_keys_off_and_on_again(web: WebServer, visitor: Visitor) -> None:
    page = visitor.open(web)
    theme = "document.documentElement.dataset.theme ?? ''"
    dialog = page.locator("dialog[data-keys]")
    page.keyboard.press("?")
    page.get_by_label("Keys are on").uncheck()
    page.keyboard.press("Escape")
    before = page.evaluate(theme)
    for opened_anew in (False, True):
        if opened_anew:
            page.goto(web.url + "/instances/")
        for key in ("t", "?", "j", "/"):
            page.keyboard.press(key)
        assert page.evaluate(theme) == before
        expect(dialog).to_be_hidden()
        assert page.evaluate("document.activeElement === document.body")
    page.click(".menu.own > summary")
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Keys are on").check()
    page.keyboard.press("?")  # closes it
    expect(dialog).to_be_hidden()
    page.keyboard.press("t")
    assert page.evaluate(theme) != before
    assert visitor.complaints == []


def test_the_keyboard_walks_along_cards_and_entries(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    for number in range(3):
        append_error(store, "kraken", f"error {number}")
    page = visitor.open(web, "/?sort=name&group=none")
    focused = "(document.activeElement.closest('h2') ?? document.activeElement).innerText"
    page.keyboard.press("j")
    assert page.evaluate(focused).startswith("binance")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate(focused).startswith("kraken")
    page.keyboard.press("k")
    assert page.evaluate(focused).startswith("coinbase")
    page.keyboard.press("a")
    assert "error 2" in page.evaluate(focused)
    page.keyboard.press("j")
    assert "error 1" in page.evaluate(focused)
    page.keyboard.press("Enter")
    assert page.locator(".entry details[open]").count() == 1
    page.keyboard.press("?")
    expect(page.locator("dialog[data-keys]")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog[data-keys]")).to_be_hidden()
    before = page.evaluate("document.documentElement.dataset.theme ?? ''")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme ?? ''") != before
    assert visitor.complaints == []
