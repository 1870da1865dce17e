"""Guessing a password: ten failures of one user from one address, then a pause, however the login is spelled."""

import re

import pytest
from django.test import Client

from activity.models import User
from tests.access.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def attempt(login: str, password: str) -> tuple[int, str]:
    """The status and the page that a new browser gets."""
    answer = Client().post("/sign-in/", {"login": login, "password": password})
    return answer.status_code, answer.content.decode()


def test_another_spelling_of_a_login_is_the_same_login(marta: User) -> None:
    User.objects.create_user("nobody@example.org", PASSWORD)
    spellings = ["marta@example.org", "MARTA@example.org", " marta@example.org", "Marta@Example.org "]
    answers = [attempt(spellings[number % 4], f"wrong {number}")[0] for number in range(12)]
    assert answers[:9] == [200] * 9
    assert answers[-1] == 403
    for spelling in spellings:
        status, page = attempt(spelling, PASSWORD)
        assert status == 403
        assert re.search("Too many|paused|pause", page)
    assert attempt("nobody@example.org", PASSWORD)[0] == 302
