"""Filters: kept in the link, applied to the whole history, and refused by name where they mean nothing."""

from collections.abc import Iterator

import pytest
import redis
from django.test import Client

from activity.filters import FIELDS, Filter, FilterError
from activity.models import User
from activity.wire.entries import EntryId, StreamEntry, classify
from tests.pages.conftest import SignIn
from tests.pages.reading import page_of, rows
from tests.pages.writing import append, append_error, append_move

GIVEN = {
    "exchange": "kraken",
    "event": "error",
    "state": "active",
    "host": "fra",
    "admin": "marta",
    "text": "Reset by peer",
    "since": "2026-11-22T14:31:00.000Z",
    "until": "2026-11-22T14:32:00.001Z",
}


def entry(**fields: str) -> StreamEntry:
    return StreamEntry(EntryId(1_000, 0), fields, *classify(fields))


def test_a_filter_is_the_same_after_it_went_through_a_link() -> None:
    filtered = Filter.read(GIVEN)
    assert filtered.query == GIVEN
    assert set(filtered.query) == set(FIELDS)
    assert Filter.read({"before": "1-0@kraken", "text": " "}).active is False
    assert Filter.read({"since": "2026-11-22 14:31"}).query == {"since": "2026-11-22T14:31:00.000Z"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "flying"},
        {"since": "yesterday"},
        {"until": "1969-01-01"},
        {"until": "2026-01-01", "since": "2026-01-02"},
        {"text": "x" * 201},
    ],
)
def test_what_means_nothing_is_refused_by_name(wrong: dict[str, str]) -> None:
    with pytest.raises(FilterError, match=f"^{next(iter(wrong))}: "):
        Filter.read(wrong)


@pytest.mark.parametrize(
    ("given", "matching"),
    [
        ({"event": "error"}, "e"),
        ({"event": "gossip"}, "u"),
        ({"state": "active"}, "et"),
        ({"host": "FRA"}, "et"),
        ({"admin": "Marta"}, "t"),
        ({"text": "ÉCHEC"}, "e"),
        ({"text": "fra-1"}, "et"),
        ({"text": "gossip"}, "u"),
        ({"since": "1970-01-01T00:00:01Z"}, "etum"),
        ({"since": "1970-01-01T00:00:01.001Z"}, ""),
        ({"until": "1970-01-01T00:00:01Z"}, "etum"),
        ({"until": "1970-01-01T00:00:00.999Z"}, ""),
        ({"text": "fra", "event": "error"}, "e"),
    ],
)
def test_an_entry_meets_every_part_of_a_filter(given: dict[str, str], matching: str) -> None:
    entries = {
        "e": entry(event="error", timestamp="t", error="échec", hostname="fra-1", state="active"),
        "t": entry(
            event="state_transition",
            timestamp="t",
            fromState="warming",
            toState="active",
            hostname="fra-1",
            adminEmail="marta@example.org",
        ),
        "u": entry(event="gossip"),
        "m": entry(colour="blue"),
    }
    filtered = Filter.read(given)
    assert "".join(name for name, one in entries.items() if filtered.matches(one)) == matching


def links(client: Client, path: str) -> Iterator[list[str]]:
    """The ids of every page from a link on, by its own links to older entries."""
    while path:
        page = page_of(client.get(path))
        yield [str(row.attributes["data-id"]) for row in rows(page)]
        older = page.all(data_older=None)
        path = str(older[0].attributes["href"]).partition("#")[0] if older else ""


def test_a_search_goes_through_the_whole_history_by_its_links(
    sign_in: SignIn, admin: User, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activity.store.history.SCAN_LIMIT", 40)
    wanted = []
    for number in range(80):
        if number % 30 == 0:
            wanted.append(append_error(store, "kraken", f"Needle: {number}"))
        append_move(store, "kraken", "warming", "active")
    found = list(links(sign_in(admin), "/exchanges/kraken/?text=needle&event=error"))
    assert [one for page in found for one in page] == wanted[::-1]
    assert len(found) > 1


def test_a_page_says_by_what_it_is_narrowed_and_when_nothing_matches(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    append_error(store, "kraken", "One: entry")
    page = page_of(sign_in(admin).get("/", {"host": "nowhere", "text": "peer", "exchange": "kraken"}))
    assert rows(page) == []
    assert "No entry matches." in page.text
    assert page.all(tag="details", class_="more-filter", open=None), "by what is not to be overlooked"
    assert "Show everything" in page.text
    assert page.one(name="text").attributes["value"] == "peer"
    assert page.one(name="host").attributes["value"] == "nowhere"


def test_an_exchange_that_has_entries_does_not_teach_because_none_matches(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    append_error(store, "kraken", "One: entry", state="")
    assert "No entry matches." in page_of(sign_in(admin).get("/exchanges/kraken/?text=nothing")).text


def test_an_event_that_is_not_offered_stays_chosen(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    written = append(store, "kraken", event="settings_reloaded", by="marta")
    append_error(store, "kraken", "Another: entry")
    page = page_of(sign_in(admin).get("/?event=settings_reloaded"))
    assert [row.attributes["data-id"] for row in rows(page)] == [written]
    assert [one.text for one in page.all(selected=None)] == ["settings_reloaded"]


def test_a_link_with_a_wrong_filter_says_which_part_is_wrong(sign_in: SignIn, admin: User) -> None:
    answer = sign_in(admin).get("/?state=flying")
    assert answer.status_code == 400
    assert "state: 'flying' is none of idle, starting" in page_of(answer).text
