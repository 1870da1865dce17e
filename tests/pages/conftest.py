"""Three exchanges, people with and without rights, a real Redis, and a browser without scripts."""

from collections.abc import Callable, Iterator

import pytest
import redis
from django.test import Client
from guardian.shortcuts import assign_perm

from activity import views_timeline
from activity.models import Exchange, User
from activity.store.client import pages_client
from tests.pages.writing import IDS
from tests.servers import RedisServer

PASSWORD = "correct horse battery staple"
SignIn = Callable[[User], Client]


@pytest.fixture(autouse=True)
def exchanges(db: None, redis_server: RedisServer) -> Iterator[dict[str, Exchange]]:
    """The exchanges of every test here, over an empty Redis."""
    yield {
        name: Exchange.objects.create(id=number, name=name, display_name=name.title()) for name, number in IDS.items()
    }
    pages_client(redis_server.url).close()
    pages_client.cache_clear()
    views_timeline._STRIPS.clear()  # the next test writes another history


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A plain client of the Redis that the pages read."""
    with redis_server.client() as client:
        yield client


@pytest.fixture
def admin() -> User:
    """May everything."""
    return User.objects.create_superuser("admin@example.org", PASSWORD, display_name="Anaïs Roux")


@pytest.fixture
def nobody() -> User:
    """May sign in, and nothing else."""
    return User.objects.create_user("nobody@example.org", PASSWORD)


@pytest.fixture
def kraken_viewer(exchanges: dict[str, Exchange]) -> User:
    """May view kraken alone."""
    user = User.objects.create_user("viewer@example.org", PASSWORD, display_name="Jonas Weber")
    assign_perm("activity.view_exchange", user, exchanges["kraken"])
    return user


@pytest.fixture
def sign_in(client: Client) -> SignIn:
    """Signs a user in through the form."""

    def through_the_form(user: User) -> Client:
        answer = client.post("/sign-in/", {"login": user.email, "password": PASSWORD})
        assert answer.status_code == 302, answer.content
        return client

    return through_the_form
