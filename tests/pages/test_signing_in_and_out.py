"""The sign-in page and what follows a refusal."""

from django.test import Client

from activity.models import User
from tests.pages.conftest import PASSWORD, SignIn
from tests.pages.reading import page_of


def test_the_form_asks_for_e_mail_and_password(client: Client) -> None:
    page = page_of(client.get("/sign-in/"))
    assert page.one(name="login").attributes["type"] == "email"
    assert page.one(name="password").attributes["autocomplete"] == "current-password"


def test_the_e_mail_signs_in_in_any_case_and_leads_where_one_wanted_to_go(client: Client, admin: User) -> None:
    fields = {"login": "Admin@Example.ORG", "password": PASSWORD, "next": "/exchanges/kraken/"}
    answer = client.post("/sign-in/", fields)
    assert answer.status_code == 302
    assert answer["Location"] == "/exchanges/kraken/"


def test_it_leads_to_no_other_site(client: Client, admin: User) -> None:
    fields = {"login": admin.email, "password": PASSWORD, "next": "https://elsewhere.example/"}
    assert client.post("/sign-in/", fields)["Location"] == "/"


def test_a_wrong_password_is_refused_without_saying_whether_the_account_exists(client: Client, admin: User) -> None:
    known = client.post("/sign-in/", {"login": admin.email, "password": "wrong"})
    unknown = client.post("/sign-in/", {"login": "other@example.org", "password": "wrong"})
    assert known.status_code == unknown.status_code == 200
    assert page_of(known).one(role="alert").text == page_of(unknown).one(role="alert").text
    assert "You are not signed in." in page_of(known).text
    assert b"wrong" not in known.content


def test_an_inactive_user_is_refused(client: Client, admin: User) -> None:
    User.objects.filter(pk=admin.pk).update(is_active=False)
    answer = client.post("/sign-in/", {"login": admin.email, "password": PASSWORD})
    assert "You are not signed in." in page_of(answer).text


def test_empty_fields_are_named(client: Client) -> None:
    assert "Both fields are needed." in page_of(client.post("/sign-in/", {})).text


def test_ten_failures_pause_the_sign_in_and_the_answer_is_403(client: Client, admin: User) -> None:
    answers = [client.post("/sign-in/", {"login": admin.email, "password": f"wrong-{n}"}) for n in range(10)]
    assert [answer.status_code for answer in answers[:-1]] == [200] * 9
    assert answers[-1].status_code == 403
    page = page_of(answers[-1])
    assert "Sign-in is paused" in page.text
    assert "15 min" in page.text
    right = client.post("/sign-in/", {"login": admin.email, "password": PASSWORD})
    assert right.status_code == 403


def test_who_is_signed_in_needs_no_form(sign_in: SignIn, admin: User) -> None:
    assert sign_in(admin).get("/sign-in/")["Location"] == "/"


def test_signing_out_is_a_post_and_ends_the_session(sign_in: SignIn, admin: User) -> None:
    client = sign_in(admin)
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert client.get("/").status_code == 302


def test_a_forged_form_is_refused_in_our_look(admin: User) -> None:
    careful = Client(enforce_csrf_checks=True)
    answer = careful.post("/sign-in/", {"login": admin.email, "password": PASSWORD})
    assert answer.status_code == 403
    assert "The form was not accepted" in page_of(answer).text


def test_the_top_bar_names_the_user_and_shows_the_admin_to_staff(sign_in: SignIn, admin: User) -> None:
    page = page_of(sign_in(admin).get("/"))
    assert "Anaïs Roux" in page.text
    assert page.all(href="/admin/")


def test_the_top_bar_shows_the_admin_to_nobody_else(sign_in: SignIn, kraken_viewer: User) -> None:
    page = page_of(sign_in(kraken_viewer).get("/"))
    assert "Jonas Weber" in page.text
    assert page.all(href="/admin/") == []
