"""The cards of the network page in the order, the groups and the room that somebody wants; and what is stuck."""

import re

import pytest
import redis
from django.test import Client

from activity.models import User
from tests.pages.conftest import SignIn
from tests.pages.reading import page_of
from tests.pages.writing import append_move, put_status, stamp


def names(client: Client, query: str = "") -> list[str]:
    return [node.attributes["data-card"] or "" for node in page_of(client.get(f"/{query}")).all(data_card=None)]


def test_cards_stand_by_name_or_by_need(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    client = sign_in(admin)
    put_status(store, "binance")
    put_status(store, "coinbase", ttl_ms=20_000)
    append_move(store, "kraken", "warming", "active")
    assert names(client) == ["binance", "coinbase", "kraken"]
    assert names(client, "?sort=need") == ["kraken", "coinbase", "binance"]
    assert names(client) == ["kraken", "coinbase", "binance"], "it is remembered"
    assert names(client, "?sort=name") == ["binance", "coinbase", "kraken"]


def test_cards_stand_in_groups(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    put_status(store, "binance", hostname="b-host")
    put_status(store, "coinbase", hostname="a-host")
    put_status(store, "kraken", hostname="b-host", adminDisplayName=None, adminEmail=None)
    client = sign_in(admin)
    page = page_of(client.get("/?group=host"))
    assert [node.attributes["data-group"] for node in page.all(data_group=None)] == ["a-host", "b-host"]
    page = page_of(client.get("/?group=admin"))
    assert [node.attributes["data-group"] for node in page.all(data_group=None)] == [
        "Marta Kovač",
        "nobody responsible",
    ]


def test_a_wrong_arrangement_is_an_error_that_names_the_choices(sign_in: SignIn, admin: User) -> None:
    answer = sign_in(admin).get("/?sort=colour")
    assert answer.status_code == 400
    assert "sort=colour: expected name, need" in page_of(answer).text


def test_a_damaged_cookie_is_no_error(sign_in: SignIn, admin: User) -> None:
    client = sign_in(admin)
    client.cookies["perseus-cards"] = "x.y"
    assert names(client) == ["binance", "coinbase", "kraken"]


@pytest.mark.parametrize(
    ("state", "seconds", "stuck"),
    [
        ("warming", 599, False),
        ("warming", 601, True),
        ("starting", 301, True),
        ("stopping", 121, True),
        ("active", 9999, False),
    ],
)
def test_who_stays_in_a_state_to_pass_through_is_said_to_be_stuck(
    sign_in: SignIn, admin: User, store: redis.Redis, state: str, seconds: int, stuck: bool
) -> None:
    put_status(store, "kraken", connectionState=state, lastStateChange=stamp(seconds))
    page = page_of(sign_in(admin).get("/"))
    card = page.one(data_card="kraken")
    assert ("stuck?" in card.text) == stuck
    assert ("It should have left this state" in card.text) == stuck


def test_icon_and_title_say_the_worst(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    def head(path: str = "/") -> tuple[str, str]:
        body = client.get(path).content.decode()
        icon = re.search(r"favicon[a-z-]*\.svg", body)
        title = re.search(r"<title>(.*?)</title>", body)
        assert icon
        assert title
        return icon[0], title[1]

    client = sign_in(admin)
    for name in ("binance", "coinbase", "kraken"):
        put_status(store, name)
    assert head() == ("favicon.svg", "Network · Perseus")
    put_status(store, "binance", ttl_ms=20_000)
    assert head() == ("favicon-late.svg", "binance late · Network · Perseus")
    store.delete("exchange:3:status", "exchange:2:status")
    append_move(store, "kraken", "warming", "active")
    append_move(store, "coinbase", "warming", "active")
    assert head() == ("favicon-lost.svg", "2 lost · Network · Perseus")
    assert head("/exchanges/kraken/") == ("favicon-lost.svg", "kraken lost · kraken · Perseus")
