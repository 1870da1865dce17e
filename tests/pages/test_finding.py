"""Finding things: the search box, permalinks, the whole filter, and exports of what it leaves."""

import csv
import io
import json

import redis
from django.test import Client

from activity.models import User
from tests.pages.conftest import SignIn
from tests.pages.reading import page_of
from tests.pages.writing import append_error, append_move
from tests.servers import RedisServer
from tests.web import WebServer


def ids(client: Client, url: str) -> list[str]:
    answer = client.get(url)
    assert answer.status_code == 200, answer.content
    found = [node.attributes["data-id"] or "" for node in page_of(answer).all(data_kind=None)]
    return [one for one in found if one]


def test_the_search_box_leads_to_exchange_entry_or_text(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    client = sign_in(admin)
    taken = append_error(store, "kraken", "a rare word")
    assert client.get("/find/?q=Kraken")["Location"] == "/exchanges/kraken/"
    there = client.get(f"/find/?q={taken}")["Location"]
    assert there.startswith("/exchanges/kraken/?before=")
    page = page_of(client.get(there.partition("#")[0]))
    assert page.one(data_linked=None).attributes["data-id"] == taken
    there = client.get("/find/?q=rare+word")["Location"]
    assert there == "/?text=rare+word#activity"
    assert ids(client, there.partition("#")[0]) == [taken]


def test_an_entry_of_an_exchange_that_one_may_not_view_is_not_found(
    sign_in: SignIn, kraken_viewer: User, store: redis.Redis
) -> None:
    taken = append_error(store, "binance", "a secret")
    client = sign_in(kraken_viewer)
    assert client.get("/find/?q=binance")["Location"] == "/?text=binance#activity"
    assert client.get(f"/find/?q={taken}")["Location"].startswith("/?text=")
    assert ids(client, "/?text=secret") == []


def test_every_part_of_the_filter_is_in_the_form_and_kept_in_the_address(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    client = sign_in(admin)
    append_error(store, "binance", "x", hostname="a-host")
    moved = append_move(store, "kraken", "warming", "active", hostname="b-host", adminEmail="marta@example.org")
    append_move(store, "kraken", "active", "stopping", hostname="b-host", adminEmail="marta@example.org")
    query = "exchange=kraken&state=active&host=B-HOST&admin=marta&since=2026-01-01T00:00:00&until=2099-01-01T00:00:00"
    assert ids(client, f"/?{query}") == [moved]
    page = page_of(client.get(f"/?{query}"))
    assert page.one(name="host").attributes["value"] == "B-HOST"
    assert page.one(name="since").attributes["value"] == "2026-01-01T00:00:00"


def test_what_is_filtered_is_exported_as_it_is_shown(own_web: WebServer, own_redis: RedisServer) -> None:
    with own_redis.client() as store:
        append_error(store, "binance", "elsewhere")
        taken = [append_error(store, "kraken", f"=cmd {number}") for number in range(3)]
    browser = own_web.browser()

    def lines(url: str) -> str:
        status, body = browser.get(url, Cookie=own_web.cookie())
        assert status == 200, body
        return body

    rows = [json.loads(line) for line in lines("/entries.jsonl?of=kraken&text=cmd").splitlines()]
    assert [row["id"] for row in rows] == taken[::-1]
    table = list(csv.DictReader(io.StringIO(lines("/entries.csv?exchange=kraken"))))
    assert [row["error"] for row in table] == ["'=cmd 2", "'=cmd 1", "'=cmd 0"]
    assert own_web.run("print(AuditEvent.objects.filter(action='exported').count())").strip() == "2"


def test_an_export_of_what_one_may_not_view_is_refused(sign_in: SignIn, kraken_viewer: User) -> None:
    client = sign_in(kraken_viewer)
    assert client.get("/entries.csv?of=binance").status_code == 404
    assert client.get("/entries.pdf").status_code == 404
    assert client.get("/entries.csv?state=asleep").status_code == 400
