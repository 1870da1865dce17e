"""People who sign in, without a server."""

import pytest
from django.test import Client

from activity.models import User

PASSWORD = "correct horse battery staple"


@pytest.fixture
def marta(db: None) -> User:
    """An admin without any right."""
    return User.objects.create_user("marta@example.org", PASSWORD, display_name="Marta")


@pytest.fixture
def signed_in(marta: User) -> Client:
    """Marta's browser, signed in through the form."""
    client = Client()
    answer = client.post("/sign-in/", {"login": marta.email, "password": PASSWORD})
    assert answer.status_code == 302, answer.content
    return client
