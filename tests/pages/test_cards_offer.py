"""What a card offers to do about what it says, to those who may do it."""

import redis
from guardian.shortcuts import assign_perm

from activity.models import Exchange, User
from tests.pages.conftest import SignIn
from tests.pages.reading import card, page_of
from tests.pages.writing import put_older_status, put_status, stamp


def offers(sign_in: SignIn, user: User) -> dict[str, list[str]]:
    """The links into forms that are shown, by card."""
    page = page_of(sign_in(user).get("/"))
    shown = {}
    for name in ("binance", "coinbase", "kraken"):
        if page.all(data_card=name):
            links = [one for one in card(page, name).all(data_href=None) if "…" in card(page, name).text]
            shown[name] = sorted(str(one.attributes["href"]) for one in links if one.attributes["href"])
    return shown


def test_an_instance_that_nobody_answers_for_can_be_claimed_from_its_card(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    put_status(store, "binance")
    put_status(store, "kraken", adminEmail=None, adminDisplayName=None)
    put_older_status(store, "coinbase", adminEmail=None, adminDisplayName=None)  # knows no claims
    shown = offers(sign_in, admin)
    assert shown == {"binance": [], "coinbase": [], "kraken": ["/exchanges/kraken/command/claim/"]}
    assert "Nobody answers for it." in card(page_of(sign_in(admin).get("/")), "kraken").text


def test_an_instance_that_is_stuck_can_be_stopped_from_its_card(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    put_status(store, "kraken", connectionState="warming", lastStateChange=stamp(3600))
    assert offers(sign_in, admin)["kraken"] == ["/exchanges/kraken/command/stop/"]


def test_who_may_only_look_is_offered_nothing(
    sign_in: SignIn, kraken_viewer: User, exchanges: dict[str, Exchange], store: redis.Redis
) -> None:
    put_status(
        store, "kraken", adminEmail=None, adminDisplayName=None, connectionState="warming", lastStateChange=stamp(3600)
    )
    assert offers(sign_in, kraken_viewer) == {"kraken": []}
    assign_perm("activity.claim_exchange", kraken_viewer, exchanges["kraken"])
    assert offers(sign_in, kraken_viewer) == {"kraken": ["/exchanges/kraken/command/claim/"]}
