"""An exchange without a key: lost, ended in good order, or never there; and since when."""

import time

import pytest
import redis

from activity.models import User
from activity.wire.keys import ownership_key
from tests.pages.conftest import SignIn
from tests.pages.reading import card, page_of
from tests.pages.writing import append_error, append_move, stamp


@pytest.mark.parametrize(
    ("owner_state", "last_move", "condition"),
    [
        ("", None, "never"),
        ("", ("stopping", "stopped"), "ended"),
        ("", ("stopped", "idle"), "ended"),
        ("", ("warming", "idle"), "ended"),
        ("", ("warming", "active"), "lost"),
        ("", ("active", "stopping"), "lost"),
        ("released", None, "ended"),
        ("released", ("warming", "active"), "ended"),
        ("held", None, "lost"),
        ("held", ("stopped", "idle"), "lost"),
        ("lost_pending", ("warming", "idle"), "lost"),
        ("lost_logged", None, "lost"),
    ],
)
def test_the_ownership_decides_and_without_one_the_last_known_state(
    sign_in: SignIn,
    admin: User,
    store: redis.Redis,
    owner_state: str,
    last_move: tuple[str, str] | None,
    condition: str,
) -> None:
    if owner_state:
        store.hset(ownership_key(3), "state", owner_state)
    if last_move:
        append_move(store, "kraken", *last_move)
    page = page_of(sign_in(admin).get("/"))
    shown = card(page, "kraken")
    assert shown.attributes["data-cond"] == condition
    assert ("Lost" in shown.text) == (condition == "lost")
    assert ("ended in good order" in shown.text) == (condition == "ended")
    assert ("kraken lost" in page.one(data_verdict=None).text) == (condition == "lost")


def test_a_lost_card_says_since_when_as_the_ownership_has_kept_it(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    now = int(time.time() * 1000)
    append_move(store, "kraken", "warming", "active", entry_id=f"{now - 7_200_000}-0")
    store.hset(ownership_key(3), mapping={"state": "held", "beat": now - 785_000, "until": now - 740_000})
    page = page_of(sign_in(admin).get("/"))
    assert page.one(data_verdict=None).text.startswith("kraken lost 12 min ago")
    assert "key gone" in card(page, "kraken").text
    assert "last beat" in card(page, "kraken").text


def test_a_lost_card_says_when_it_was_last_heard_by_the_clock_of_redis(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    taken = int(time.time() * 1000) - 600_000
    store.xadd(
        "logs:network:kraken",
        {"event": "state_transition", "timestamp": stamp(-7200), "fromState": "warming", "toState": "active"},
        id=f"{taken}-0",
    )
    page = page_of(sign_in(admin).get("/"))
    assert "10 min ago" in card(page, "kraken").text.partition("last heard")[2]
    assert page.one(data_verdict=None).text.startswith("kraken lost, last heard 10 min ago")


def test_an_error_that_came_later_is_when_it_was_last_heard(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    append_move(store, "kraken", "warming", "active", entry_id=f"{int(time.time() * 1000) - 900_000}-0")
    append_error(store, "kraken", "", timestamp=stamp(7200), entry_id=f"{int(time.time() * 1000) - 720_000}-0")
    page = page_of(sign_in(admin).get("/"))
    assert "kraken lost, last heard 12 min ago" in page.one(data_verdict=None).text
    assert "(empty error text)" in card(page, "kraken").text


def test_a_lost_card_without_any_history_says_that_nothing_tells_since_when(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    store.hset(ownership_key(3), "state", "held")
    shown = card(page_of(sign_in(admin).get("/")), "kraken")
    assert "nothing says since when" in shown.text
    assert "its state is not known" in shown.text


def test_what_the_ownership_kept_of_another_is_not_said_of_an_older_writer(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    now = int(time.time() * 1000)
    append_move(store, "kraken", "warming", "active", entry_id=f"{now - 3_600_000}-0")
    month = now - 30 * 86_400_000
    store.hset(ownership_key(3), mapping={"state": "lost_logged", "beat": month - 45_000, "until": month})
    shown = card(page_of(sign_in(admin).get("/")), "kraken")
    assert "last heard" in shown.text
    assert "1 h 00 min ago" in shown.text
    assert "key gone" not in shown.text


def test_a_key_that_was_to_live_on_was_deleted_and_nobody_knows_when(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    now = int(time.time() * 1000)
    append_move(store, "kraken", "warming", "active", entry_id=f"{now - 3_600_000}-0")
    store.hset(ownership_key(3), mapping={"state": "held", "beat": now - 1000, "until": now + 3_000_000})
    shown = card(page_of(sign_in(admin).get("/")), "kraken")
    assert "key gone" not in shown.text
    assert "Lost" in shown.text
