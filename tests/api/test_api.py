"""What programs get, over HTTP from a real web process."""

import json
from typing import Any

import pytest

from tests.feed.sockets import write_entries
from tests.feed.test_socket_status import payload
from tests.servers import RedisServer
from tests.web import WebServer


def call(web: WebServer, path: str, *, user: str | None = "admin@example.org", **headers: str) -> tuple[int, Any]:
    if user is not None:
        headers["Cookie"] = web.cookie(user)
    status, body = web.browser().get(f"/api/v1{path}", **headers)
    return status, json.loads(body)


def test_every_active_exchange_is_listed_online_or_not(web: WebServer, redis_server: RedisServer) -> None:
    with redis_server.client() as redis:
        redis.set("exchange:3:status", payload(), ex=45)
        fields = {"event": "state_transition", "timestamp": "t", "fromState": "stopping", "toState": "stopped"}
        last = redis.xadd("logs:network:binance", fields)
        redis.xadd("logs:network:binance", {"event": "gossip"})
    status, body = call(web, "/instances")
    assert status == 200
    assert [one["exchangeName"] for one in body["instances"]] == ["binance", "coinbase", "kraken"]
    binance, coinbase, kraken = body["instances"]
    assert (binance["online"], binance["status"]) == (False, None)
    assert binance["lastKnown"] == {"id": last.decode(), **fields}
    assert (coinbase["online"], coinbase["lastKnown"], coinbase["displayName"]) == (False, None, "Coinbase")
    assert (kraken["online"], kraken["exchangeId"], kraken["lastKnown"]) == (True, 3, None)
    assert kraken["status"] == json.loads(payload())
    assert 0 < kraken["ttlMs"] <= 45_000


def test_one_exchange_is_offline_when_its_key_is_gone(web: WebServer, redis_server: RedisServer) -> None:
    with redis_server.client() as redis:
        redis.set("exchange:3:status", payload(), ex=45)
        assert call(web, "/exchanges/3/status")[1]["online"] is True
        redis.delete("exchange:3:status")
    status, body = call(web, "/exchanges/3/status")
    assert (status, body["online"], body["status"]) == (200, False, None)


@pytest.mark.parametrize("path", ["/exchanges/77/status", "/exchanges/0/status", "/activity?exchange=nasdaq"])
def test_an_unknown_exchange_is_an_error_that_names_the_known_ones(web: WebServer, path: str) -> None:
    status, body = call(web, path)
    assert status == 404
    assert body["known"] == ["binance", "coinbase", "kraken"]


def test_activity_pages_through_all_exchanges_newest_first_without_a_lost_or_doubled_entry(
    web: WebServer, redis_server: RedisServer
) -> None:
    written = []
    with redis_server.client() as redis:
        for number in range(60):
            exchange = ("binance", "coinbase", "kraken")[number % 3]
            # The same id in several exchanges: an entry's identity is the exchange and the id.
            redis.xadd(
                f"logs:network:{exchange}", {"event": "error", "error": str(number)}, id=f"{1000 + number // 5}-*"
            )
            written.append(str(number))
    seen, cursor, pages = [], "", 0
    while True:
        status, body = call(web, f"/activity?count=7{cursor}")
        assert status == 200
        seen += [(entry["exchange"], entry["id"], entry["error"]) for entry in body["entries"]]
        pages += 1
        if body["nextCursor"] is None:
            break
        cursor = f"&cursor={body['nextCursor']}"
    assert pages == 9
    assert sorted(error for _, _, error in seen) == sorted(written)
    times = [int(entry_id.split("-")[0]) for _, entry_id, _ in seen]
    assert times == sorted(times, reverse=True)


def test_activity_is_narrowed_by_exchange_and_event(web: WebServer, redis_server: RedisServer) -> None:
    written = write_entries(redis_server, "kraken", 3)
    write_entries(redis_server, "binance", 3)
    with redis_server.client() as redis:
        redis.xadd("logs:network:kraken", {"event": "state_transition", "exchange": "mine"})
    errors = call(web, "/activity?exchange=kraken&event=error")[1]["entries"]
    assert [entry["id"] for entry in errors] == written[::-1]
    moved = call(web, "/activity?exchange=KRAKEN&event=state_transition")[1]["entries"]
    assert [(entry["exchange"], entry["field:exchange"]) for entry in moved] == [("kraken", "mine")]


def test_activity_is_searched_by_text_host_state_and_time(web: WebServer, redis_server: RedisServer) -> None:
    with redis_server.client() as redis:
        for at in range(1, 6):
            fields = {"event": "error", "timestamp": "t", "error": f"Number: {at}", "hostname": f"fra-{at % 2}"}
            redis.xadd("logs:network:kraken", {**fields, "state": "active" if at > 1 else "idle"}, id=f"{at}000-0")
    query = "/activity?host=FRA-1&state=active&text=number&until=1970-01-01T00:00:04Z"
    assert [entry["id"] for entry in call(web, query)[1]["entries"]] == ["3000-0"]
    assert [entry["id"] for entry in call(web, "/activity?since=1970-01-01T00:00:05Z")[1]["entries"]] == ["5000-0"]


def test_activity_says_where_entries_are_missing(own_web: WebServer, own_redis: RedisServer) -> None:
    before = write_entries(own_redis, "kraken", 2)
    own_web.manage("recorder", "--once")
    behind = write_entries(own_redis, "kraken", 5)
    with own_redis.client() as redis:
        redis.xtrim("logs:network:kraken", maxlen=2, approximate=False)
    missing = {"exchange": "kraken", "after": before[-1], "first": behind[-2]}
    first = call(own_web, "/activity?count=2")[1]
    assert ([entry["id"] for entry in first["entries"]], first["gaps"]) == (behind[:-3:-1], [])
    rest = call(own_web, f"/activity?cursor={first['nextCursor']}")[1]
    assert ([entry["id"] for entry in rest["entries"]], rest["gaps"]) == (before[::-1], [missing])


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("count=0", "count: "),
        ("count=201", "count: "),
        ("count=many", "count: "),
        ("state=flying", "state: 'flying' is none of"),
        ("since=yesterday", "since: 'yesterday' is no time"),
        ("cursor=yesterday", "cursor: 'yesterday' is no cursor"),
        ("cursor=1-1@no%20name", "cursor: "),
    ],
)
def test_a_wrong_parameter_is_named(web: WebServer, query: str, detail: str) -> None:
    status, body = call(web, f"/activity?{query}")
    assert status == 400
    assert body["detail"].startswith(detail)


@pytest.mark.parametrize("path", ["/instances", "/exchanges/3/status", "/activity", "/openapi.json"])
def test_nobody_gets_anything_without_signing_in(web: WebServer, path: str) -> None:
    assert call(web, path, user=None)[0] == 401
    assert call(web, path, user=None, Authorization="Bearer perseus_made-up")[0] == 401


def test_what_a_user_may_not_view_does_not_exist_for_them(web: WebServer) -> None:
    nobody = "nobody@example.org"
    assert call(web, "/instances", user=nobody) == (200, {"instances": []})
    assert call(web, "/activity", user=nobody) == (200, {"entries": [], "gaps": [], "nextCursor": None})
    assert call(web, "/exchanges/3/status", user=nobody)[0] == 404
    assert call(web, "/activity?exchange=kraken", user=nobody)[0] == 404


def test_a_token_works_until_it_is_revoked(own_web: WebServer) -> None:
    token = own_web.run("print(ApiToken.issue(User.objects.get(email='admin@example.org'), 'test')[1])").strip()
    bearer = f"Bearer {token}"
    assert call(own_web, "/instances", user=None, Authorization=bearer)[0] == 200
    own_web.run("from django.utils.timezone import now; ApiToken.objects.update(revoked_at=now())")
    assert call(own_web, "/instances", user=None, Authorization=bearer)[0] == 401


def test_the_api_describes_itself(web: WebServer) -> None:
    status, body = call(web, "/openapi.json")
    assert status == 200
    assert sorted(body["paths"]) == [
        "/api/v1/activity",
        "/api/v1/exchanges/{exchange_id}/status",
        "/api/v1/instances",
    ]


def test_nothing_is_known_while_redis_is_away(own_web: WebServer, own_redis: RedisServer) -> None:
    own_redis.stop()
    for path in ("/instances", "/exchanges/3/status", "/activity"):
        status, body = call(own_web, path)
        assert status == 503
        assert body["detail"].startswith("Redis cannot be read")
