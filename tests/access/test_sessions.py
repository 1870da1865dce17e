"""Where a user is signed in: listed, and ended one by one or all at once."""

import re

import pytest
from django.test import Client

from activity.models import AuditEvent, User
from tests.access.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def another(user: User, agent: str) -> Client:
    """A further browser of the user."""
    client = Client(HTTP_USER_AGENT=agent)
    assert client.post("/sign-in/", {"login": user.email, "password": PASSWORD}).status_code == 302
    return client


def buttons(client: Client) -> list[str]:
    """Sessions that the page offers to end."""
    return re.findall(r'name="session" value="(\d+)"', client.get("/account/sessions/").content.decode())


def test_a_session_is_listed_and_ended_at_once(marta: User, signed_in: Client) -> None:
    phone = another(marta, "a phone")
    page = signed_in.get("/account/sessions/").content.decode()
    assert "a phone" in page
    assert "this one" in page
    [number] = buttons(signed_in)
    signed_in.post("/account/sessions/", {"session": number})
    assert phone.get("/").status_code == 302
    assert signed_in.get("/").status_code == 200
    assert AuditEvent.objects.filter(action=AuditEvent.Action.SIGNED_OUT, actor=marta.email).exists()


def test_all_others_end_together(marta: User, signed_in: Client) -> None:
    others = [another(marta, f"number {number}") for number in range(3)]
    signed_in.post("/account/sessions/", {"session": "others"})
    assert [client.get("/").status_code for client in others] == [302] * 3
    assert signed_in.get("/").status_code == 200


def test_nobody_ends_the_session_of_somebody_else(marta: User, signed_in: Client) -> None:
    other = User.objects.create_user("jonas@example.org", PASSWORD)
    theirs = another(other, "not Marta's")
    another(other, "a second one")
    [number] = buttons(theirs)
    assert signed_in.post("/account/sessions/", {"session": number}).status_code == 404
    assert theirs.get("/").status_code == 200


def test_another_password_ends_every_other_session(marta: User, signed_in: Client) -> None:
    phone = another(marta, "a phone")
    fields = {"oldpassword": PASSWORD, "password1": "nine green bottles", "password2": "nine green bottles"}
    assert signed_in.post("/account/password/", fields).status_code == 302
    assert signed_in.get("/").status_code == 200
    assert phone.get("/").status_code == 302
