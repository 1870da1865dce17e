"""Every URL pattern and every consumer, enumerated: nobody gets anything without signing in."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from activity.routing import websocket_urlpatterns
from tests.feed.sockets import feed_of
from tests.web import WebServer

#: What the sign-in needs, and the words of scripts. Anything else that answers an anonymous visitor fails the test.
PUBLIC = {"/words.js", "/sign-in/", "/sign-in/inactive/", "/sign-in/cancelled/", "/sign-in/failed/"}

#: What a browser sends with a form.
TOKEN = "t" * 32

#: A value for each kind of path parameter.
VALUES = {
    "name": "kraken",
    "form": "csv",
    "kind": "stop",
    "instance_id": "nobody",
    "entry_id": "1-0",
    "file": "InstanceStatus.json",
    "exchange_id": "3",
    "object_id": "1",
    "app_label": "activity",
    "content_type_id": "1",
    "user_id": "1",
    "group_id": "1",
    "object_pk": "1",
    "url": "x",
    "id": "1",
    "pk": "1",
    "provider_id": "issuer",
    "token": "perseus_wall_made-up",
}


def patterns(resolver: Any = None, prefix: str = "/") -> Iterator[str]:
    for pattern in (resolver or get_resolver()).url_patterns:
        route = prefix + str(pattern.pattern).lstrip("^").removesuffix("$").removesuffix("\\Z")
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern, route)
        else:
            assert isinstance(pattern, URLPattern)
            yield route


def concrete(route: str) -> str:
    route = re.sub(r"\(\?P<(\w+)>[^)]*\)", lambda match: VALUES[match[1]], route)
    route = re.sub(r"<(?:\w+:)?(\w+)>", lambda match: VALUES[match[1]], route)
    return route.replace("\\", "")


ROUTES = sorted({concrete(route) for route in patterns()})


def test_the_list_is_complete_enough_to_mean_something() -> None:
    assert {"/", "/exchanges/kraken/", "/api/v1/instances", "/admin/", "/schemas/"} <= set(ROUTES)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_url_answers_an_anonymous_visitor(web: WebServer, method: str) -> None:
    import http.client

    leaks = []
    for route in ROUTES:
        if route in PUBLIC:
            continue
        connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=15)
        # With a token, so that it is the view that refuses a form, and not what looks for forged ones.
        connection.request(method, route, headers={"Cookie": f"csrftoken={TOKEN}", "X-CSRFToken": TOKEN})
        answer = connection.getresponse()
        answer.read()
        target = answer.getheader("Location") or ""
        connection.close()
        redirected = answer.status == 302 and ("/sign-in/" in target or target.startswith("/admin/login/"))
        no_method = method == "POST" and answer.status == 405
        nothing = answer.status == 404 and route.startswith(("/admin/", "/sign-in/with/", "/wall/"))
        if not (answer.status == 401 or redirected or no_method or nothing):
            leaks.append((route, answer.status, target))
    assert leaks == []


@pytest.mark.asyncio
async def test_no_consumer_feeds_an_anonymous_visitor(web: WebServer) -> None:
    for pattern in websocket_urlpatterns:
        async with feed_of(web, concrete("/" + str(pattern.pattern)), user=None) as client:
            assert (await client.closed())[0] == 4401
        assert [frame["type"] for frame in client.frames] == ["closing"]
