"""Cards on a live page: painted as the server would paint them, and never green by accident."""

from pathlib import Path

import redis
from playwright.sync_api import Page

from tests.browser.conftest import Visitor
from tests.pages.writing import append_error, append_move, put_older_status, put_status, stamp
from tests.waiting import eventually
from tests.web import WebServer

MARKUP = (Path(__file__).parent / "same_markup.js").read_text().strip().rstrip(";")


def cond(page: Page, name: str = "kraken") -> str:
    return page.get_attribute(f'[data-card="{name}"]', "data-cond") or ""


def text(page: Page, name: str = "kraken") -> str:
    return " ".join(page.inner_text(f'[data-card="{name}"]').replace("\u00a0", " ").split())


def markups(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all("[data-card], [data-verdict]", f"all => all.map({MARKUP})")
    return found


def test_a_card_painted_live_is_the_card_that_the_server_renders(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    page = visitor.open(web)
    nasty = "<b>x</b>\u202e\x1b"
    put_status(store, "binance", ttl_ms=20_000, lastError=nasty * 200, lastErrorAt=stamp(40), hostname=nasty)
    put_older_status(store, "coinbase", ipAddress=None, adminDisplayName=None)
    append_move(store, "kraken", "stopping", "stopped", adminEmail="marta@example.org", epoch="9")
    eventually(lambda: [cond(page, name) for name in ("binance", "coinbase", "kraken")] == ["late", "fresh", "ended"])
    served = visitor.open(web, java_script_enabled=False, live=False)
    assert markups(page) == markups(served)
    # A death notice is no sign of life: on both sides its instance was last heard before it.
    append_error(store, "kraken", "was lost", kind="lost", epoch="9", state="active", lastHeartbeat=stamp(3000))
    asked = visitor.open(web)
    live = " ".join(asked.inner_text("[data-verdict]").replace("\u00a0", " ").split())
    assert "kraken lost, last heard 50 min ago" in live
    assert visitor.complaints == []


def test_an_instance_comes_goes_and_comes_back(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    page = visitor.open(web)
    assert cond(page) == "never"
    append_move(store, "kraken", "warming", "active")
    put_status(store, "kraken", ttl_ms=3000, heartbeatSeconds=1)
    eventually(lambda: cond(page) == "fresh")
    eventually(lambda: cond(page) == "late")
    assert "Key expires in" in text(page)
    eventually(lambda: cond(page) == "lost")
    assert "Lost" in text(page)
    assert "key gone" in text(page)
    assert "last known active" in text(page)
    assert "kraken lost" in page.inner_text("[data-verdict]")
    put_status(store, "kraken", connectionState="starting")
    eventually(lambda: cond(page) == "fresh")
    assert "starting" in text(page)
    assert "Lost" not in text(page)


def test_a_card_whose_admin_leaves_offers_to_claim_it_until_somebody_has(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    put_status(store, "kraken")
    page = visitor.open(web)
    offer = page.locator('[data-card="kraken"]').get_by_role("link", name="Claim kraken")
    assert offer.count() == 0
    put_status(store, "kraken", adminEmail=None, adminDisplayName=None)
    eventually(lambda: offer.count() == 1)
    served = visitor.open(web, java_script_enabled=False, live=False)
    assert markups(page) == markups(served)
    offer.click()
    page.wait_for_url("**/exchanges/kraken/command/claim/")
    page.go_back()
    put_status(store, "kraken")
    eventually(lambda: offer.count() == 0)
    assert visitor.complaints == []


def test_an_instance_of_another_version_makes_all_cards_say_theirs(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    put_status(store, "kraken", version="2.0.0")
    put_status(store, "binance", version="2.0.0")
    page = visitor.open(web, "/")
    told = page.locator(".card .version:visible")
    eventually(lambda: "2.0.0" in page.inner_text("#x-kraken"))
    assert told.count() == 0
    put_status(store, "binance", version="2.1.0")
    eventually(lambda: sorted(text.split()[-1] for text in told.all_inner_texts()) == ["2.0.0", "2.1.0"])
    put_status(store, "kraken", version="2.1.0")
    eventually(lambda: told.count() == 0)
    assert visitor.complaints == []


def test_an_unreadable_status_is_said_live(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    page = visitor.open(web, "/exchanges/kraken/")
    store.set("exchange:3:status", b"[1, 2]", px=45_000)
    eventually(lambda: "cannot be read" in text(page))
    assert "a JSON list instead of an object" in text(page)


def test_an_error_of_an_instance_that_is_gone_reaches_its_card(
    web: WebServer, store: redis.Redis, visitor: Visitor
) -> None:
    append_move(store, "kraken", "warming", "active")
    page = visitor.open(web)
    append_error(store, "kraken", "Died: of SIGKILL")
    eventually(lambda: "Died: of SIGKILL" in text(page))
    assert cond(page) == "lost"


def test_a_page_that_lost_its_connection_claims_nothing_when_the_key_has_run_out(
    own_web: WebServer, own_store: redis.Redis, visitor: Visitor
) -> None:
    put_status(own_store, "kraken", ttl_ms=9000, heartbeatSeconds=3)
    page = visitor.open(own_web)
    eventually(lambda: cond(page) == "fresh")
    own_web.stop()
    page.wait_for_selector('html[data-link="down"]')
    assert "1 of 3 exchanges served when last heard" in page.inner_text("[data-verdict]")
    eventually(lambda: cond(page) == "unknown")
    assert "last known active" in text(page)
    assert "This page is not connected" in text(page)
    assert "kraken unknown" in page.inner_text("[data-verdict]")
    assert page.get_attribute(".live", "data-live") == "wait"
    assert "last event" in page.inner_text(".live")


def test_a_new_exchange_is_announced(own_web: WebServer, visitor: Visitor) -> None:
    page = visitor.open(own_web)
    own_web.run("Exchange.objects.create(id=7, name='mexc', display_name='MEXC')")
    page.wait_for_selector("text=mexc added: reload")


def test_signing_out_elsewhere_ends_the_page(own_web: WebServer, visitor: Visitor) -> None:
    page = visitor.open(own_web)
    own_web.run("from django.contrib.sessions.models import Session\nSession.objects.all().delete()")
    page.wait_for_selector('.live[data-live="off"]')
    assert "Signed out" in page.inner_text(".live")
    page.click(".live a")
    page.wait_for_url("**/sign-in/?next=%2F")


def test_the_verdict_is_announced_without_ticking_seconds(web: WebServer, store: redis.Redis, visitor: Visitor) -> None:
    page = visitor.open(web)
    append_move(store, "kraken", "warming", "active")
    eventually(lambda: cond(page) == "lost")
    said = page.text_content("[data-verdict-said]") or ""
    assert said.startswith("kraken lost, ")
    assert not any(unit in said for unit in ("\u00a0s", "ago"))
