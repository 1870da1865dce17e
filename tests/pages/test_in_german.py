"""Pages in German that scripts do not touch, and what stays English for programs."""

import pytest
import redis

from activity.models import User
from tests.pages.conftest import SignIn
from tests.pages.reading import page_of
from tests.pages.writing import append_error, append_move

GERMAN = {"Accept-Language": "de"}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("since=yesterday", "since: 'yesterday' ist keine Zeit: erwartet wird eine wie 2026-11-22T14:31:00Z"),
        ("state=asleep", "state: 'asleep' ist keiner von idle, starting"),
        ("host=" + "x" * 201, "host: höchstens 200 Zeichen"),
        ("since=2026-11-02&until=2026-11-01", "until: liegt vor since"),
        ("sort=size", "sort=size: erwartet wird name, need"),
        ("at=nine", "at=nine: erwartet wird eine Zeit wie"),
        ("at=2999-01-01T00:00:00Z", "Dieser Zeitpunkt kommt erst noch"),
    ],
)
def test_a_damaged_link_says_why(sign_in: SignIn, admin: User, query: str, words: str) -> None:
    answer = sign_in(admin).get(f"/?{query}", headers=GERMAN)
    assert answer.status_code == 400
    said = page_of(answer).text
    assert "Dieser Link ist beschädigt" in said
    assert words in said


def test_programs_are_told_in_english(sign_in: SignIn, admin: User) -> None:
    answer = sign_in(admin).get("/api/v1/activity?state=asleep", headers=GERMAN)
    assert answer.json()["detail"].startswith("state: 'asleep' is none of idle, starting")


def test_a_page_of_a_moment_that_is_past(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    append_move(store, "kraken", "warming", "active", entry_id="1795000000000-0")
    append_error(store, "kraken", "Seen: before", entry_id="1795000001000-0")
    browser = sign_in(admin)
    said = page_of(browser.get("/?at=1795000100000", headers=GERMAN)).text
    assert "Das Netz, wie es war: 11:08:20" in said
    assert "binance und coinbase unbekannt" in said
    assert "1 von 3 meldeten active" in said
    assert "Aus der Zeit davor liegen keine Einträge vor." in said
    said = page_of(browser.get("/exchanges/kraken/?end=1795000100000", headers=GERMAN)).text
    assert "nicht bekannt: davor liegt nichts vor" in said
    assert "18. Nov." in said


def test_who_may_view_nothing_is_told_so(sign_in: SignIn, nobody: User) -> None:
    said = page_of(sign_in(nobody).get("/", headers=GERMAN)).text
    assert "Noch nichts für Sie" in said
    assert "Sie sind als nobody@example.org angemeldet" in said


def test_an_exchange_that_is_none(sign_in: SignIn, admin: User) -> None:
    said = page_of(sign_in(admin).get("/exchanges/mexc/", headers=GERMAN)).text
    assert "„mexc“ ist keine der Börsen, die Sie sehen dürfen." in said
