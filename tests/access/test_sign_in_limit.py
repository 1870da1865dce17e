"""Guessing a password: ten failures of one user from one address, then a pause, however the login is spelled."""

import re

from tests.web import PASSWORD, WebServer


def attempt(web: WebServer, login: str, password: str) -> tuple[int, str]:
    browser = web.browser()
    browser.get("/sign-in/")
    return browser.post("/sign-in/", login=login, password=password)


def test_another_spelling_of_a_login_is_the_same_login(own_web: WebServer) -> None:
    spellings = ["admin@example.org", "ADMIN@example.org", " admin@example.org", "Admin@Example.org "]
    answers = [attempt(own_web, spellings[number % 4], f"wrong {number}")[0] for number in range(12)]
    assert answers[:9] == [200] * 9
    assert answers[-1] == 403
    for spelling in spellings:
        status, page = attempt(own_web, spelling, PASSWORD)
        assert status == 403
        assert re.search("Too many|paused|pause", page)
    assert attempt(own_web, "nobody@example.org", PASSWORD)[0] == 200
