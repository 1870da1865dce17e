"""The self-check page: for staff, with what to do, and with the WebSocket path seen by the browser."""

import re

import pytest
from django.test import Client
from pytest_django import Settings

from activity.models import Exchange, NotificationChannel, User
from tests.servers import RedisServer


@pytest.fixture(autouse=True)
def quick(settings: Settings, db: None) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    Exchange.objects.create(id=3, name="kraken", display_name="Kraken")


def signed_in(**fields: bool) -> Client:
    client = Client()
    user = User.objects.create_user(f"someone{User.objects.count()}@example.org", "nine green bottles", **fields)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_to_others_than_staff_the_page_does_not_exist(redis_server: RedisServer) -> None:
    assert signed_in().get("/self-check/").status_code == 404
    assert Client().get("/self-check/").status_code == 302


def test_staff_see_every_line_and_what_to_do(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.config_set("maxmemory-policy", "volatile-lru")
        try:
            answer = signed_in(is_staff=True).get("/self-check/")
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert "Set `maxmemory-policy noeviction`." in page
    assert re.search(r"\d of \d+ lines need to be seen to", page)
    assert page.index('data-level="error"') < page.index('data-level="ok"')
    assert "data-socket" in page


def test_staff_see_nothing_of_an_exchange_that_they_may_not_view(redis_server: RedisServer) -> None:
    NotificationChannel.objects.create(name="everything", url="json://h", shown_url="json://h/…", kinds=["error"])
    page = signed_in(is_staff=True).get("/self-check/").content.decode()
    assert "kraken" not in page
    assert "everything" not in page
    seen = signed_in(is_staff=True, is_superuser=True).get("/self-check/").content.decode()
    assert "Stream of kraken" in seen
    assert "Notifications to everything" in seen


def test_the_menu_leads_there_for_staff_only(redis_server: RedisServer) -> None:
    client = signed_in()
    assert "/self-check/" not in client.get("/").content.decode()
    User.objects.update(is_staff=True)
    assert 'href="/self-check/"' in client.get("/").content.decode()
