"""A second factor: set up, asked for, guessed at, lost."""

import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth
from django.test import Client

from activity.models import AuditEvent, User
from tests.access.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def code_of(secret: str) -> str:
    """What an authenticator app shows now."""
    code: str = auth.format_hotp_value(auth.hotp_value(secret, int(time.time()) // 30))
    return code


def set_up(client: Client) -> tuple[str, list[str]]:
    """The secret of the app and the recovery codes."""
    assert client.post("/sign-in/again/", {"password": PASSWORD}).status_code == 302
    page = client.get("/account/second-factor/app/activate/").content.decode()
    secret = re.search(r"<code data-copied>([A-Z2-7]+)</code>", page)
    assert secret, page
    answer = client.post("/account/second-factor/app/activate/", {"code": code_of(secret[1])}, follow=True)
    codes = re.findall(r"^(?:.*<code data-copied>)?(\d{8})$", answer.content.decode(), re.MULTILINE)
    assert len(codes) == 10, answer.content.decode()
    return secret[1], codes


def password_step(email: str = "marta@example.org") -> Client:
    """A browser that has given the password and has not given the code."""
    client = Client()
    answer = client.post("/sign-in/", {"login": email, "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/sign-in/second-factor/")
    assert client.get("/").status_code == 302, "the password alone must open nothing"
    return client


def second_step(client: Client, code: str) -> tuple[int, str]:
    """The status, and where it leads or what it says."""
    answer = client.post("/sign-in/second-factor/", {"code": code})
    return answer.status_code, answer.get("Location") or answer.content.decode()


def test_setting_one_up_asks_for_the_password_once_more(signed_in: Client) -> None:
    answer = signed_in.get("/account/second-factor/app/activate/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in/again/")


def test_with_an_app_the_password_alone_no_longer_signs_in(signed_in: Client) -> None:
    secret, _ = set_up(signed_in)
    client = password_step()
    assert second_step(client, "000000")[0] == 200
    assert second_step(client, code_of(secret)) == (302, "/")
    assert client.get("/").status_code == 200


def test_a_recovery_code_is_good_once(signed_in: Client) -> None:
    _, codes = set_up(signed_in)
    assert second_step(password_step(), codes[0])[0] == 302
    status, page = second_step(password_step(), codes[0])
    assert status == 200
    assert "Incorrect code" in page


def test_guessing_codes_is_paused_like_guessing_passwords_with_403(signed_in: Client) -> None:
    secret, _ = set_up(signed_in)
    client = password_step()
    statuses = [second_step(client, "000000")[0] for _ in range(11)]
    assert statuses[:9] == [200] * 9
    assert statuses[-1] == 403
    assert second_step(client, code_of(secret))[0] == 403, "the right code is too late"
    failures = AuditEvent.objects.filter(action=AuditEvent.Action.SIGN_IN_FAILED, subject="user marta@example.org")
    assert failures.count() >= 10


def test_the_secret_is_not_readable_in_the_database(signed_in: Client) -> None:
    secret, codes = set_up(signed_in)
    stored = "".join(str(row.data) for row in Authenticator.objects.all())
    assert secret not in stored
    assert not any(code in stored for code in codes)


def test_a_superuser_removes_a_lost_second_factor_and_it_is_recorded(signed_in: Client) -> None:
    set_up(signed_in)
    root = User.objects.create_superuser("root@example.org", PASSWORD)
    client = Client()
    client.force_login(root, backend="django.contrib.auth.backends.ModelBackend")
    for factor in Authenticator.objects.all():
        page = client.get(f"/admin/mfa/authenticator/{factor.pk}/change/").content.decode()
        assert "secret" not in page
        assert client.post(f"/admin/mfa/authenticator/{factor.pk}/delete/", {"post": "yes"}).status_code == 302
    assert AuditEvent.objects.filter(action=AuditEvent.Action.DELETED, actor="root@example.org").count() == 2
    assert Client().post("/sign-in/", {"login": "marta@example.org", "password": PASSWORD})["Location"] == "/"


@pytest.mark.parametrize(
    "page",
    [
        "/account/", "/account/second-factor/", "/account/second-factor/keys/", "/account/second-factor/keys/add/",
        "/account/second-factor/codes/", "/account/second-factor/codes/generate/", "/account/password/",
        "/account/sessions/", "/account/linked/", "/account/second-factor/app/deactivate/", "/sign-in/again/",
        "/sign-in/again/code/",
    ],
)  # fmt: skip
def test_every_page_of_an_account_opens(signed_in: Client, page: str) -> None:
    set_up(signed_in)
    answer = signed_in.get(page)
    assert answer.status_code == 200, (page, answer.get("Location"))
    assert "<h1>" in answer.content.decode()
