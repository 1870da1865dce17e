"""The page of one exchange, as it arrives from the server."""

import redis
from django.test import Client

from activity.models import Exchange, User
from tests.pages.conftest import SignIn
from tests.pages.reading import card, page_of, rows
from tests.pages.writing import append_error, append_move, put_status


def test_it_sends_an_anonymous_visitor_to_the_sign_in(client: Client) -> None:
    assert client.get("/exchanges/kraken/")["Location"] == "/sign-in/?next=/exchanges/kraken/"


def test_it_tells_all_facts_of_the_instance(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    put_status(store, "kraken")
    append_error(store, "kraken", "One: entry")
    page = page_of(sign_in(admin).get("/exchanges/kraken/"))
    shown = card(page, "kraken").text
    for fact in ("Marta Kovač", "fra-edge-03, pid 31877", "203.0.113.7", "DE", "412", "live", "2.4.1"):
        assert fact in shown, fact
    assert "fra-edge-03-31877-x7k2" in shown
    assert "exchange:3:status" in shown
    assert "One: entry" in rows(page)[0].text


def test_its_feed_holds_this_exchange_alone(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    append_error(store, "binance", "Other: exchange")
    append_error(store, "kraken", "This: exchange")
    (row,) = rows(page_of(sign_in(admin).get("/exchanges/kraken/")))
    assert "This: exchange" in row.text


def test_an_exchange_without_an_instance_teaches(sign_in: SignIn, admin: User) -> None:
    page = page_of(sign_in(admin).get("/exchanges/kraken/"))
    assert "python manage.py worker --exchange kraken -- your-bot" in page.text
    assert "logs:network:kraken" in page.text
    for state in ("idle", "starting", "warming", "active", "stopping", "stopped"):
        assert page.all(data_state=state), state


def test_history_is_read_back_to_its_beginning(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    ids = [append_error(store, "kraken", f"Number: {n}") for n in range(51)]
    client = sign_in(admin)
    page = page_of(client.get("/exchanges/kraken/"))
    assert len(rows(page)) == 50
    older = page_of(client.get(str(page.one(data_older=None).attributes["href"]).partition("#")[0]))
    assert [row.attributes["data-id"] for row in rows(older)] == [ids[0]]
    assert "Jump to newest" in older.text


def test_a_page_of_older_entries_does_not_teach_what_is_known(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    append_move(store, "kraken", "idle", "starting")
    page = page_of(sign_in(admin).get("/exchanges/kraken/", {"before": "1-0@kraken"}))
    assert "No older entries are held." in page.text


def test_an_unknown_exchange_names_those_that_the_user_may_view(sign_in: SignIn, kraken_viewer: User) -> None:
    answer = sign_in(kraken_viewer).get("/exchanges/krakne/")
    page = page_of(answer)
    assert answer.status_code == 404
    assert page.all(href="/exchanges/kraken/")
    assert "binance" not in page.text


def test_a_hidden_exchange_does_not_exist(sign_in: SignIn, kraken_viewer: User) -> None:
    client = sign_in(kraken_viewer)
    hidden, unknown = client.get("/exchanges/binance/"), client.get("/exchanges/bitmart/")
    assert hidden.status_code == unknown.status_code == 404
    assert page_of(hidden).text.replace("binance", "it") == page_of(unknown).text.replace("bitmart", "it")


def test_an_inactive_exchange_has_no_page(sign_in: SignIn, admin: User) -> None:
    Exchange.objects.filter(name="kraken").update(active=False)
    assert sign_in(admin).get("/exchanges/kraken/").status_code == 404


def test_a_name_in_capitals_leads_to_the_page(sign_in: SignIn, admin: User) -> None:
    answer = sign_in(admin).get("/exchanges/Kraken/")
    assert answer.status_code == 302
    assert answer["Location"] == "/exchanges/kraken/"


def test_an_entry_of_a_hidden_exchange_does_not_exist(sign_in: SignIn, kraken_viewer: User, store: redis.Redis) -> None:
    entry_id = append_error(store, "binance", "Secret: of binance")
    answer = sign_in(kraken_viewer).get(f"/exchanges/binance/entries/{entry_id}/")
    assert answer.status_code == 404
    assert b"Secret" not in answer.content


def test_an_entry_that_is_not_held_says_so(sign_in: SignIn, admin: User) -> None:
    client = sign_in(admin)
    for entry_id in ("1763830000000-0", "yesterday"):
        answer = client.get(f"/exchanges/kraken/entries/{entry_id}/")
        assert answer.status_code == 404
        assert "There is no such entry" in page_of(answer).text
