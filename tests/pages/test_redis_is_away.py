"""Pages without Redis: they answer, say so, and claim nothing."""

from pathlib import Path

import pytest
from django.test import Client

from activity.models import User
from activity.store.client import pages_client
from perseus_admin import config
from tests.pages.conftest import SignIn
from tests.pages.reading import card, page_of
from tests.servers import RedisServer, running_redis


@pytest.fixture
def dead_redis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The URL of a Redis that has gone, and the pages read it."""
    with running_redis() as server:
        url = server.url

    away = config.settings().model_copy(update={"redis_url": url})
    away.__dict__.pop("redis", None)  # a copy keeps what was computed from the URL before
    monkeypatch.setattr(config, "settings", lambda: away)
    return url


@pytest.fixture
def visitor(sign_in: SignIn, admin: User, redis_server: RedisServer) -> Client:
    """Signed in before Redis goes."""
    assert redis_server
    return sign_in(admin)


@pytest.mark.parametrize("path", ["/", "/exchanges/kraken/"])
def test_a_page_answers_and_knows_no_state(visitor: Client, dead_redis: str, path: str) -> None:
    answer = visitor.get(path)
    page = page_of(answer)
    assert answer.status_code == 200
    assert "Redis cannot be reached." in page.text
    shown = card(page, "kraken")
    assert shown.attributes["data-cond"] == "unknown"
    for state in ("fresh", "late", "Lost", "last known", "waiting for the first heartbeat"):
        assert state not in shown.text
    assert "Entries are not known while Redis is away." in page.text
    assert "No entries yet" not in page.text
    pages_client(dead_redis).close()


def test_scrolling_back_is_refused_with_the_reason(visitor: Client, dead_redis: str) -> None:
    answer = visitor.get("/exchanges/kraken/", {"rows": "1", "before": "2-0@kraken"})
    assert answer.status_code == 503
    assert b"Redis" in answer.content
    assert b"<" not in answer.content


def test_a_raw_entry_is_refused_with_the_reason(visitor: Client, dead_redis: str) -> None:
    answer = visitor.get("/exchanges/kraken/entries/1-0/")
    assert answer.status_code == 503
    assert "Redis cannot be reached" in page_of(answer).text
