"""People who sign in, without a server: passwords hashed quickly."""

from collections.abc import Iterator

import pytest
from django.test import Client, override_settings

from activity.models import User

PASSWORD = "correct horse battery staple"


@pytest.fixture
def quick_passwords() -> Iterator[None]:
    """Slow hashes protect stored passwords; here they would only take half a second per sign-in."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture
def marta(db: None, quick_passwords: None) -> User:
    """An admin without any right."""
    return User.objects.create_user("marta@example.org", PASSWORD, display_name="Marta")


@pytest.fixture
def signed_in(marta: User) -> Client:
    """Marta's browser, signed in through the form."""
    client = Client()
    answer = client.post("/sign-in/", {"login": marta.email, "password": PASSWORD})
    assert answer.status_code == 302, answer.content
    return client
