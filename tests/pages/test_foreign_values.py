"""What other writers put under our keys: absurd numbers, other exchanges, times of other clocks."""

import time
from typing import Any

import pytest
import redis

from activity.models import User
from activity.text import (
    FIRST_MILLISECOND,
    LAST_MILLISECOND,
    epoch_parts,
    from_milliseconds,
    in_calendar,
    initials,
    milliseconds,
    skew,
)
from tests.pages.conftest import SignIn
from tests.pages.reading import card, page_of, rows
from tests.pages.writing import append_error, append_move, put_status, stamp

ABSURD: dict[str, Any] = {
    "heartbeatSeconds": 10**15,
    "lastHeartbeat": "9999-12-31T23:59:59.999Z",
    "lastStateChange": "0001-01-01T00:00:00.000Z",
    "registeredAt": "0001-01-01T00:00:00.000Z",
    "connectedAt": "2026-02-31T00:00:00.000Z",
    "lastErrorAt": "9999-12-31T23:59:59.999Z",
    "lastError": "At: the end of the calendar",
    "symbolCount": 10**40,
    "pid": 10**40,
}


@pytest.mark.parametrize("path", ["/", "/exchanges/kraken/"])
def test_absurd_numbers_and_times_are_not_shown_as_times(
    sign_in: SignIn, admin: User, store: redis.Redis, path: str
) -> None:
    put_status(store, "kraken", **ABSURD)
    append_error(store, "kraken", "One: entry", timestamp="0001-01-01T00:00:00.000Z")
    answer = sign_in(admin).get(path)
    page = page_of(answer)
    assert answer.status_code == 200
    shown = card(page, "kraken")
    assert shown.attributes["data-cond"] == "fresh"
    assert "active" in shown.text
    assert "Running for" not in shown.text
    assert len(rows(page)) == 1


def test_a_moment_beyond_the_calendar_is_none() -> None:
    assert in_calendar(10**18) is in_calendar(-(10**18)) is in_calendar(None) is None
    assert in_calendar(0) == 0
    assert from_milliseconds(10**18) is from_milliseconds(10**400) is None
    for last in (FIRST_MILLISECOND, LAST_MILLISECOND):
        moment = from_milliseconds(last)
        assert moment is not None
        assert milliseconds(moment) == last


@pytest.mark.parametrize("path", ["/", "/exchanges/kraken/"])
@pytest.mark.parametrize("other", [{"exchangeId": 7, "exchangeName": "bitstamp"}, {"exchangeId": 7}])
def test_the_status_of_another_exchange_is_a_problem_and_serves_nobody(
    sign_in: SignIn, admin: User, store: redis.Redis, path: str, other: dict[str, Any]
) -> None:
    put_status(store, "kraken", **other)
    page = page_of(sign_in(admin).get(path))
    shown = card(page, "kraken")
    assert shown.attributes["data-cond"] == "foreign"
    assert f"This key holds the status of {other.get('exchangeName', 'kraken')} (7)." in shown.text
    assert "fresh" not in shown.text
    if path == "/":
        verdict = page.one(data_verdict=None).text
        assert "kraken alive, status of another exchange" in verdict
        assert "0 of 3 exchanges served" in verdict


def test_who_runs_and_does_not_serve_is_named_behind_who_is_worse(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    put_status(store, "binance", connectionState="warming", lastStateChange=stamp(737))
    put_status(store, "coinbase", ttl_ms=20_500)
    append_move(store, "kraken", "stopping", "stopped")
    verdict = page_of(sign_in(admin).get("/")).one(data_verdict=None)
    clauses = verdict.text
    late, warming, ended = (clauses.index(words) for words in ("coinbase late", "binance warming for 12 min", "kraken"))
    assert late < warming < ended
    assert verdict.all(href="#x-binance", data_state="warming")
    assert clauses.endswith("1 of 3 exchanges served")


def test_a_clock_that_differs_is_marked_and_ages_are_counted_by_the_clock_of_redis(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    taken = f"{int(time.time() * 1000) - 780_000}-0"
    append_error(store, "kraken", "Ahead: of its time", timestamp=stamp(780 - 7200), entry_id=taken)
    append_error(store, "kraken", "In: time", timestamp=stamp(30))
    on_time, ahead = rows(page_of(sign_in(admin).get("/")))
    assert "13 min ago" in ahead.text
    mark = ahead.one(class_="skew")
    assert mark.text in ("clock 2 h 00 min ahead", "clock 1 h 59 min ahead")
    assert "This instance's clock differs by" in str(mark.attributes["title"])
    assert "clock" not in on_time.text


def test_a_minute_apart_is_no_difference() -> None:
    assert skew(60_000, 0) == ("", "")
    assert skew(60_001, 0)[0] == "clock 1\u00a0min\u00a000\u00a0s ahead"
    assert skew(0, 61_000)[0] == "clock 1\u00a0min\u00a001\u00a0s behind"


def test_a_transition_says_how_long_the_state_before_it_lasted(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    append_move(store, "kraken", "idle", "starting", entry_id="1763830000000-0", instanceId="one")
    append_move(store, "binance", "starting", "warming", entry_id="1763830000500-0")
    append_move(store, "kraken", "starting", "warming", entry_id="1763830073999-0", instanceId="one")
    append_move(store, "kraken", "warming", "active", entry_id="1763830080000-0", instanceId="two")
    active, warming, other, starting = (row.text for row in rows(page_of(sign_in(admin).get("/"))))
    assert "after 1 min 13 s" in warming
    for text in (active, other, starting):  # another instance, another exchange, nothing before it on the page
        assert "after" not in text


def test_an_error_without_text_says_so(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    for text in ("", " \n\t"):
        append_error(store, "kraken", text)
    for row in rows(page_of(sign_in(admin).get("/"))):
        assert "(empty error text)" in row.text


def test_a_long_epoch_shows_its_last_digits_and_has_all_of_them_in_its_title(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    put_status(store, "kraken", epoch=1795378746123)
    shown = card(page_of(sign_in(admin).get("/")), "kraken")
    tag = shown.one(data_titled="epoch")
    assert tag.attributes["title"] == "1795378746123"
    assert shown.one(data_slot="epoch_tail").text == "746123"
    assert epoch_parts("212") == ("", "212")
    assert epoch_parts("a rather odd one") == ("", "a rather odd one")


def test_initials_are_letters_or_nothing(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    assert initials("Anaïs Roux") == "AR"
    assert initials("(ops) 24x7") == "OX"
    assert initials("\u202e<7> \x1b[ 12") == ""
    put_status(store, "kraken", adminDisplayName="\u202e4711")
    shown = card(page_of(sign_in(admin).get("/")), "kraken")
    assert any("i-person" in str(icon.attributes["href"]) for icon in shown.all(tag="use"))
    assert shown.one(data_slot="initials").text == ""
