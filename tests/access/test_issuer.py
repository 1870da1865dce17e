"""Signing in with an OpenID Connect issuer: for accounts that exist, by an e-mail that the issuer has verified."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.access.issuer import Issuer
from tests.servers import RedisServer
from tests.web import Browser, WebServer, copy_of

WAY_IN = "/sign-in/with/issuer/login/"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """The issuer."""
    issuer = Issuer()
    yield issuer
    issuer.close()


@pytest.fixture
def door(data_template: Path, tmp_path: Path, redis_server: RedisServer, issuer: Issuer) -> Iterator[WebServer]:
    """A web process that knows the issuer."""
    settings = {
        "PERSEUS_OIDC_ISSUER": issuer.url,
        "PERSEUS_OIDC_CLIENT_ID": "perseus",
        "PERSEUS_OIDC_CLIENT_SECRET": "a secret of two",
        "PERSEUS_OIDC_NAME": "Harbour",
    }
    server = WebServer(copy_of(data_template, tmp_path / "data"), redis_server.url, **settings)
    yield server
    server.stop()


def come(web: WebServer) -> tuple[Browser, int, str]:
    """A new browser presses the issuer's button."""
    browser = web.browser()
    _, page = browser.get("/sign-in/")
    assert "Sign in with Harbour" in page
    status, page = browser.post(WAY_IN)
    return browser, status, page


def test_a_user_whose_e_mail_the_issuer_has_verified_comes_in(door: WebServer, issuer: Issuer) -> None:
    issuer.claims = {"sub": "17", "email": "Nobody@Example.org", "email_verified": True}
    browser, status, page = come(door)
    assert status == 200, page
    assert "nobody@example.org" in browser.get("/account/")[1]
    assert issuer.secrets == ["a secret of two"]
    linked = browser.get("/account/linked/")[1]
    assert 'type="radio"' in linked
    # The second time the issuer's own id counts, whatever the e-mail is by then.
    issuer.claims = {"sub": "17", "email": "elsewhere@example.org", "email_verified": True}
    again, status, _ = come(door)
    assert status == 200
    assert "nobody@example.org" in again.get("/account/")[1]
    # The password still signs in.
    door.browser().sign_in("nobody@example.org")


def test_nobody_else_comes_in_and_no_account_is_made(door: WebServer, issuer: Issuer) -> None:
    for claims in (
        {"sub": "1", "email": "stranger@example.org", "email_verified": True},
        {"sub": "2", "email": "admin@example.org", "email_verified": False},
        {"sub": "3", "email": "admin@example.org"},
        {"sub": "4"},
    ):
        issuer.claims = dict(claims)
        browser, _, page = come(door)
        assert "There is no account for you here" in page, claims
        assert "Sign in" in browser.get("/")[1]
    assert door.run("print(User.objects.count())").strip() == "2"


def test_a_deactivated_user_stays_out(door: WebServer, issuer: Issuer) -> None:
    issuer.claims = {"sub": "17", "email": "nobody@example.org", "email_verified": True}
    come(door)
    door.run("User.objects.filter(email='nobody@example.org').update(is_active=False)")
    browser, _, page = come(door)
    assert "This account is not active" in page
    assert "Sign in" in browser.get("/")[1]


def test_an_issuer_that_fails_is_said_to_have_failed(door: WebServer, issuer: Issuer) -> None:
    issuer.broken = True
    browser, _, page = come(door)
    assert "The issuer did not let you through" in page
    assert "Sign in" in browser.get("/")[1]


def test_without_an_issuer_there_is_no_such_way_in(web: WebServer) -> None:
    browser = web.browser()
    assert "Sign in with" not in browser.get("/sign-in/")[1]
    assert browser.get(WAY_IN)[0] == 404
