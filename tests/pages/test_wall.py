"""The screen on a wall: what its link shows, to whom, and what never leaves it."""

import logging
import re

import pytest
import redis
from django.test import Client, RequestFactory
from django.utils import timezone
from guardian.shortcuts import assign_perm, remove_perm

from activity.models import Exchange, User, WallLink
from activity.views_wall import COLUMNS, columns
from activity.wire.keys import ownership_key
from perseus_admin.config import BASE_DIR
from perseus_admin.logs import WithoutTokens
from tests.pages.reading import Node, page_of
from tests.pages.writing import append_error, append_move, put_status, stamp


def opened(token: str) -> Node:
    """The wall, opened by somebody who has never signed in."""
    answer = Client().get(f"/wall/{token}/")
    assert answer.status_code == 200
    return page_of(answer)


def tiles(page: Node) -> list[str | None]:
    return [tile.attributes["data-card"] for tile in page.all(class_="tile")]


def test_a_link_shows_every_exchange_without_a_sign_in(store: redis.Redis, admin: User) -> None:
    put_status(store, "binance", connectionState="warming", lastStateChange=stamp(720))
    put_status(store, "coinbase", ttl_ms=17_500)
    store.hset(ownership_key(3), "state", "held")
    append_move(store, "kraken", "warming", "active", adminEmail="jonas@example.org")
    append_error(store, "kraken", "Older: and gone", state="")
    written = append_error(store, "kraken", "RateLimited: HTTP 429", state="")
    after = int(written.split("-")[0]) + 1  # Redis may take both in one millisecond
    append_error(store, "coinbase", "Timeout: no snapshot", entry_id=f"{after}-0")
    _, token = WallLink.issue(admin, "office")
    page = opened(token)
    assert tiles(page) == ["binance", "coinbase", "kraken"]
    binance, coinbase, kraken = page.all(class_="tile")
    assert "warming" in binance.text
    assert "Marta Kovač stuck? 12 min" in binance.text
    assert re.search(r"late \d+ s left", coinbase.text)
    assert "lost was active, last heard" in kraken.text
    assert "jonas@example.org" in kraken.text
    assert page.one(data_verdict=None).text.endswith("1 of 3 exchanges served")
    [first, second] = page.one(data_errors=None).all(tag="li")
    assert first.text.endswith("coinbaseTimeout: no snapshot")
    assert second.text.endswith("krakenRateLimited: HTTP 429")


def test_a_link_shows_the_chosen_exchanges_and_never_more_than_its_maker_may_view(
    exchanges: dict[str, Exchange], admin: User, kraken_viewer: User
) -> None:
    link, token = WallLink.issue(admin, "office")
    link.exchanges.set([exchanges["kraken"], exchanges["binance"]])
    assert tiles(opened(token)) == ["binance", "kraken"]
    Exchange.objects.filter(name="binance").update(active=False)
    assert tiles(opened(token)) == ["kraken"]
    link, token = WallLink.issue(kraken_viewer, "desk")
    assert tiles(opened(token)) == ["kraken"]
    assign_perm("activity.view_exchange", kraken_viewer, exchanges["coinbase"])
    assert tiles(opened(token)) == ["coinbase", "kraken"]
    link.exchanges.set([exchanges["coinbase"]])
    remove_perm("activity.view_exchange", kraken_viewer, exchanges["coinbase"])
    page = opened(token)
    assert tiles(page) == []
    assert "names no exchange that is active" in page.text


def test_a_link_that_is_unknown_revoked_or_of_a_deactivated_maker_is_not_found(admin: User) -> None:
    link, token = WallLink.issue(admin, "office")
    opened(token)
    link.revoked_at = timezone.now()
    link.save()
    _, another = WallLink.issue(admin, "office")
    User.objects.filter(pk=admin.pk).update(is_active=False)
    for path in (token, another, "perseus_wall_made-up", link.digest):
        answer = Client().get(f"/wall/{path}/")
        assert answer.status_code == 404
        assert "This link shows nothing" in page_of(answer).text
        assert answer["Referrer-Policy"] == "no-referrer"


def test_nothing_carries_the_token_away(admin: User) -> None:
    _, token = WallLink.issue(admin, "office")
    client = Client()
    answer = client.get(f"/wall/{token}/")
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["X-Robots-Tag"] == "noindex, nofollow"
    assert "no-store" in answer["Cache-Control"]
    assert not client.cookies
    page = page_of(answer)
    assert page.one(name="robots").attributes["content"] == "noindex, nofollow"
    assert not page.all(tag="a")
    assert not page.all(tag="form")
    assert client.post(f"/wall/{token}/").status_code == 405
    assert Client(enforce_csrf_checks=True).post(f"/wall/{token}/").status_code == 403


@pytest.mark.parametrize("where", ["a path", "an argument", "a traceback"])
def test_no_log_line_names_a_token(admin: User, where: str) -> None:
    _, token = WallLink.issue(admin, "office")
    request = RequestFactory().get(f"/wall/{token}/")
    error = (ValueError, ValueError(f"No route for {request.path}"), None) if where == "a traceback" else None
    message, args = (f"about {request.path}", ()) if where == "a path" else ("about %s", (request.path,))
    line = WithoutTokens("%(message)s").format(logging.LogRecord("x", logging.ERROR, "", 0, message, args, error))
    assert token not in line
    assert "/wall/perseus_wall_[secret]/" in line


def test_without_scripts_the_page_looks_again_by_itself(admin: User) -> None:
    _, token = WallLink.issue(admin, "office")
    assert b'<noscript><meta http-equiv="refresh" content="30"></noscript>' in Client().get(f"/wall/{token}/").content


@pytest.mark.parametrize(("count", "expected"), [(0, 1), (1, 1), (2, 2), (6, 3), (12, 5), (100, 13), (1000, 16)])
def test_tiles_fill_the_screen(count: int, expected: int) -> None:
    assert columns(count) == expected
    rules = (BASE_DIR / "static/css/wall.css").read_text()
    assert all(f'data-columns="{number}"' in rules for number in range(1, COLUMNS + 1) if number != 3)
