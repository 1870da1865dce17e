"""An exchange without a key: lost, ended in good order, or never there; and since when."""

import re
import time
from typing import Any

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
        ("released", ("stopping", "stopped"), "ended"),
        ("released", ("warming", "active"), "lost"),  # of a writer without an epoch, and nothing tells who came later
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


HOUR = 3600
#: The ownership hash (state, epoch, seconds since its owner last beat); entries, oldest first (state, epoch, seconds
#: ago, "lost" for the notice of a death); what the card says.
Case = tuple[tuple[str, int, int] | None, list[tuple[str, str, int] | tuple[str, str, int, str]], str]
CASES: dict[str, Case] = {
    "an older writer died after our worker had stopped in order": (
        ("released", 5, HOUR), [("stopped", "5", HOUR), ("active", "", 600)], "lost",
    ),
    "an older writer died, and a recorder wrote it down": (
        ("released", 5, HOUR), [("stopped", "5", HOUR), ("active", "", 600), ("active", "", 500, "lost")], "lost",
    ),
    "an older writer died that never wrote an entry": (
        ("released", 5, HOUR), [("stopped", "5", HOUR), ("active", "", 500, "lost")], "lost",
    ),
    "an older writer stopped in order after our owner had died": (
        ("lost_logged", 5, HOUR),
        [("active", "5", HOUR), ("active", "5", HOUR - 70, "lost"), ("active", "", 900), ("stopped", "", 600)], "ended",
    ),
    "an older writer stopped in order before anybody wrote down that our owner had died": (
        ("lost_logged", 5, HOUR), [("active", "5", HOUR), ("stopped", "", 600), ("active", "5", 500, "lost")], "ended",
    ),
    "our owner died, and so did the older writer that came after it": (
        ("lost_logged", 5, HOUR), [("active", "5", HOUR), ("active", "", 600)], "lost",
    ),
    "ours was killed right after it had registered, where another had stopped in order": (
        ("held", 6, 100), [("stopped", "5", 600)], "lost",
    ),
    "ours was killed right after it had taken over from an older writer, which then stopped": (
        ("held", 6, 100), [("active", "", 600), ("stopped", "", 90)], "lost",
    ),
    "ours took over from an older writer, stopped in order, and none of its entries arrived": (
        ("released", 6, 100), [("active", "", 600)], "ended",
    ),
    "ours stopped in order, and its last entry did not arrive": (
        ("released", 5, 100), [("active", "5", 600)], "ended",
    ),
    "a notice came late, of somebody whose successor had stopped in order": (
        ("released", 6, 100), [("active", "5", 600), ("stopped", "6", 95), ("active", "5", 90, "lost")], "ended",
    ),
    "ours died, and its ownership says that it was released": (
        ("released", 5, 100), [("active", "5", 600), ("active", "5", 50, "lost")], "lost",
    ),
    "the ownership fell back behind the owner that died": (
        ("released", 4, HOUR), [("active", "5", 600)], "lost",
    ),
    "the ownership fell back behind the owner that stopped in order": (
        ("held", 4, HOUR), [("stopped", "5", 600)], "ended",
    ),
    "an older writer died, and nobody of ours was ever here": (
        None, [("active", "", 600), ("active", "", 500, "lost")], "lost",
    ),
}  # fmt: skip


def write_case(store: redis.Redis, owner: tuple[str, int, int] | None, entries: list[Any]) -> None:
    """The ownership hash and the entries of a case, as of now."""
    now = int(time.time() * 1000)
    if owner is not None:
        state, epoch, beat_ago = owner
        beat = now - beat_ago * 1000
        store.hset(
            ownership_key(3),
            mapping={"state": state, "epoch": epoch, "owner": "one", "beat": beat, "until": beat + 45_000},
        )
    for state, epoch, ago, *notice in entries:
        entry_id = f"{now - ago * 1000}-0"
        if notice:
            # Of our newest owner as late as if a recorder had come only then, of others a minute after their last beat.
            beat_ago = owner[2] if owner is not None and epoch == str(owner[1]) else ago + 60
            append_error(
                store, "kraken", "was lost", state=state, epoch=epoch, entry_id=entry_id, kind=notice[0],
                lastHeartbeat=stamp(beat_ago), detectionDelayMs=str((beat_ago - 45 - ago) * 1000),
            )  # fmt: skip
        else:
            append_move(store, "kraken", "idle", state, epoch=epoch, entry_id=entry_id)


@pytest.mark.parametrize(("owner", "entries", "condition"), CASES.values(), ids=CASES.keys())
def test_whoever_came_later_decides_the_ownership_or_the_newest_entry(
    sign_in: SignIn,
    admin: User,
    store: redis.Redis,
    owner: tuple[str, int, int] | None,
    entries: list[Any],
    condition: str,
) -> None:
    write_case(store, owner, entries)
    client = sign_in(admin)
    page = page_of(client.get("/"))
    assert card(page, "kraken").attributes["data-cond"] == condition
    assert ("kraken lost" in page.one(data_verdict=None).text) == (condition == "lost")
    band = client.get("/exchanges/kraken/strip/").content.decode()
    *_, (what, state) = re.findall(r'class="seg-(\w+)" data-state="(\w*)"', band)
    assert (what == "lost") == (condition == "lost"), "the band says the same as its card"
    assert (what, state) != ("state", "active"), "and is not green where nobody serves"


def test_a_lost_older_writers_card_does_not_say_when_a_key_of_ours_went(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    now = int(time.time() * 1000)
    store.hset(
        ownership_key(3), mapping={"state": "released", "epoch": 5, "beat": now - 120_000, "until": now - 75_000}
    )
    append_move(store, "kraken", "warming", "active", entry_id=f"{now - 100_000}-0")
    shown = card(page_of(sign_in(admin).get("/")), "kraken")
    assert "Lost" in shown.text
    assert "key gone" not in shown.text


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
