"""The last six hours of an exchange, on its card."""

import time

import redis

from tests.browser.conftest import Visitor
from tests.pages.writing import append_error, append_move, put_status
from tests.waiting import eventually
from tests.web import WebServer

HOUR = 3_600_000


def test_a_card_shows_the_states_and_errors_of_its_last_six_hours(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    now = int(time.time() * 1000)
    append_move(store, "kraken", "idle", "warming", entry_id=f"{now - 7 * HOUR}-0")
    append_move(store, "kraken", "warming", "active", entry_id=f"{now - 3 * HOUR}-0")
    append_error(store, "kraken", "Needle: two hours ago", entry_id=f"{now - 2 * HOUR}-0")
    put_status(store, "kraken")
    page = visitor.open(web)
    bands = page.locator('[data-strip="kraken"] rect')
    eventually(lambda: bands.count() == 2)
    states = page.eval_on_selector_all('[data-strip="kraken"] g', "all => all.map((one) => one.dataset.state)")
    assert states == ["warming", "active"]
    widths = page.eval_on_selector_all(
        '[data-strip="kraken"] rect', "all => all.map((one) => one.getBoundingClientRect().width)"
    )
    assert abs(widths[0] - widths[1]) < 3  # three hours each
    assert "Needle: two hours ago" in (page.text_content('[data-strip="kraken"] line title') or "")
    assert page.locator('[data-strip="binance"]').is_hidden()  # nobody has ever served it
    assert visitor.complaints == []


def test_only_cards_in_sight_ask_for_theirs(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    for name in ("binance", "coinbase", "kraken"):
        append_move(store, name, "warming", "active")
        put_status(store, name)
    page = visitor.open(web, viewport={"width": 400, "height": 500})

    def asked() -> set[str]:
        urls = page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
        return {url.split("/")[-3] for url in urls if url.endswith("/strip/")}

    eventually(lambda: "binance" in asked())
    assert "kraken" not in asked()
    page.locator('[data-strip="kraken"]').scroll_into_view_if_needed()
    eventually(lambda: "kraken" in asked())
    assert visitor.complaints == []
