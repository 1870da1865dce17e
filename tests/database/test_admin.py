"""The Django admin: one sign-in page, rights by access.can(), tokens that are shown once."""

import re

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from guardian.shortcuts import assign_perm, get_perms

from activity.models import ApiToken, AuditEvent, Exchange, User, WallLink

pytestmark = pytest.mark.django_db

STRONG = "nine green bottles"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def permit(user: User, *codenames: str) -> None:
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


@pytest.fixture
def admin() -> User:
    return User.objects.create_superuser("admin@localhost", STRONG)


@pytest.fixture
def staff() -> User:
    return User.objects.create_user("staff@example.org", STRONG, is_staff=True)


@pytest.fixture
def kraken() -> Exchange:
    return Exchange.objects.create(name="kraken", display_name="Kraken")


@pytest.fixture
def coinbase() -> Exchange:
    return Exchange.objects.create(name="coinbase", display_name="Coinbase")


# --- the door ---


def test_the_admin_has_no_sign_in_page_of_its_own() -> None:
    answer = Client().get("/admin/login/", {"next": "/admin/activity/user/"})
    assert (answer.status_code, answer["Location"]) == (302, "/sign-in/?next=/admin/activity/user/")


def test_an_anonymous_visitor_is_sent_to_the_sign_in_page() -> None:
    answer = Client().get("/admin/activity/exchange/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in/?next=/admin/activity/exchange/")


def test_a_user_who_is_no_staff_is_refused_and_not_asked_to_sign_in_again() -> None:
    client = signed_in(User.objects.create_user("someone@example.org"))
    assert client.get("/admin/", follow=True).status_code == 403


def test_every_page_of_the_admin_opens(admin: User, kraken: Exchange) -> None:
    client = signed_in(admin)
    token, _ = ApiToken.issue(admin, "a script")
    for page in (
        "/admin/", "/admin/activity/exchange/", "/admin/activity/exchange/add/",
        f"/admin/activity/exchange/{kraken.pk}/change/",
        f"/admin/activity/exchange/{kraken.pk}/permissions/", "/admin/activity/user/", "/admin/activity/user/add/",
        f"/admin/activity/user/{admin.pk}/change/", f"/admin/activity/user/{admin.pk}/password/",
        "/admin/activity/apitoken/", "/admin/activity/apitoken/add/", f"/admin/activity/apitoken/{token.pk}/change/",
        "/admin/auth/group/", "/admin/axes/accessattempt/", "/admin/password_change/",
    ):  # fmt: skip
        assert client.get(page).status_code == 200, page


# --- people ---


def test_the_first_admin_can_be_edited_though_its_host_is_localhost(admin: User) -> None:
    answer = signed_in(admin).post(
        f"/admin/activity/user/{admin.pk}/change/",
        {"email": "Admin@localhost", "display_name": "Ada", "time_zone": "Europe/Berlin", "is_active": "on",
         "is_staff": "on", "is_superuser": "on"},
    )  # fmt: skip
    assert answer.status_code == 302, re.findall(r"errorlist.*", answer.content.decode())
    admin.refresh_from_db()
    assert (admin.email, admin.display_name, admin.time_zone) == ("admin@localhost", "Ada", "Europe/Berlin")


def test_a_user_is_added_with_an_email_in_lower_case_and_signs_in(admin: User) -> None:
    answer = signed_in(admin).post(
        "/admin/activity/user/add/",
        {"email": "Grace@Example.org", "usable_password": "true", "password1": STRONG, "password2": STRONG},
    )
    assert answer.status_code == 302, re.findall(r"errorlist.*", answer.content.decode())
    user = User.objects.get(email="grace@example.org")
    assert user.check_password(STRONG)


@pytest.mark.parametrize(
    ("email", "password"), [("ADMIN@localhost", STRONG), ("no e-mail", STRONG), ("a@example.org", "12345678")]
)
def test_a_user_who_cannot_be_is_not_added(admin: User, email: str, password: str) -> None:
    answer = signed_in(admin).post(
        "/admin/activity/user/add/",
        {"email": email, "usable_password": "true", "password1": password, "password2": password},
    )
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert User.objects.count() == 1


def test_an_unknown_time_zone_is_refused(admin: User) -> None:
    answer = signed_in(admin).post(
        f"/admin/activity/user/{admin.pk}/change/", {"email": admin.email, "time_zone": "Mars/Olympus"}
    )
    assert "is no IANA time zone" in answer.content.decode()


def test_staff_cannot_make_themselves_mightier(admin: User, staff: User) -> None:
    permit(staff, "change_user", "view_user", "delete_user")
    client = signed_in(staff)
    answer = client.post(
        f"/admin/activity/user/{staff.pk}/change/",
        {"email": staff.email, "display_name": "Me", "time_zone": "UTC", "is_active": "on", "is_superuser": "on",
         "user_permissions": [str(pk) for pk in Permission.objects.values_list("pk", flat=True)]},
    )  # fmt: skip
    assert answer.status_code == 302
    staff.refresh_from_db()
    assert (staff.display_name, staff.is_superuser, staff.user_permissions.count()) == ("Me", False, 3)
    assert client.post(f"/admin/activity/user/{admin.pk}/change/", {"email": "x@example.org"}).status_code == 403
    assert client.get(f"/admin/activity/user/{admin.pk}/password/").status_code == 403
    assert client.post(f"/admin/activity/user/{admin.pk}/delete/", {"post": "yes"}).status_code == 403


def test_nobody_deletes_themselves(admin: User) -> None:
    assert signed_in(admin).post(f"/admin/activity/user/{admin.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_user_is_deleted_with_their_tokens(admin: User, staff: User) -> None:
    ApiToken.issue(staff, "a script")
    answer = signed_in(admin).post(f"/admin/activity/user/{staff.pk}/delete/", {"post": "yes"})
    assert answer.status_code == 302
    assert (User.objects.count(), ApiToken.objects.count()) == (1, 0)


# --- exchanges and the rights on them ---


def test_the_name_of_an_exchange_is_given_once(admin: User, kraken: Exchange) -> None:
    signed_in(admin).post(
        f"/admin/activity/exchange/{kraken.pk}/change/",
        {"name": "krake", "display_name": "The Kraken", "timeframes": "[]", "api_limits": "{}", "fee_schedule": "{}",
         "geo_restrictions": "[]"},
    )  # fmt: skip
    kraken.refresh_from_db()
    assert (kraken.name, kraken.display_name, kraken.active) == ("kraken", "The Kraken", False)


def test_staff_see_and_change_only_what_they_were_granted(staff: User, kraken: Exchange, coinbase: Exchange) -> None:
    client = signed_in(staff)
    assert "exchange" not in client.get("/admin/").content.decode()

    assign_perm("view_exchange", staff, kraken)
    page = client.get("/admin/activity/exchange/").content.decode()
    assert "kraken" in page
    assert "coinbase" not in page
    assert client.get(f"/admin/activity/exchange/{kraken.pk}/change/").status_code == 200
    assert client.post(f"/admin/activity/exchange/{kraken.pk}/change/", {"display_name": "x"}).status_code == 403
    assert client.get(f"/admin/activity/exchange/{coinbase.pk}/change/").status_code == 302, (
        "as one that does not exist"
    )


def test_who_administers_one_exchange_grants_rights_on_that_one_only(
    staff: User, kraken: Exchange, coinbase: Exchange
) -> None:
    for permission in ("view_exchange", "administer_exchange"):
        assign_perm(permission, staff, kraken)
    assign_perm("view_exchange", staff, coinbase)
    other = User.objects.create_user("other@example.org")
    client = signed_in(staff)

    found = client.post(
        f"/admin/activity/exchange/{kraken.pk}/permissions/", {"user": "OTHER@example.org", "submit_manage_user": "x"}
    )
    assert found["Location"] == f"/admin/activity/exchange/{kraken.pk}/permissions/user-manage/{other.pk}/"
    client.post(found["Location"], {"permissions": ["view_exchange", "claim_exchange"]})
    assert set(get_perms(other, kraken)) == {"view_exchange", "claim_exchange"}

    refused = f"/admin/activity/exchange/{coinbase.pk}/permissions/user-manage/{other.pk}/"
    assert client.post(refused, {"permissions": ["view_exchange"]}).status_code == 403
    assert client.get(f"/admin/activity/exchange/{coinbase.pk}/permissions/").status_code == 403
    group = Group.objects.create(name="a team")
    refused = f"/admin/activity/exchange/{coinbase.pk}/permissions/group-manage/{group.pk}/"
    assert client.get(refused).status_code == 403
    assert get_perms(other, coinbase) == []


# --- tokens ---


def test_a_token_is_shown_once_and_not_stored(admin: User, staff: User) -> None:
    client = signed_in(admin)
    answer = client.post("/admin/activity/apitoken/add/", {"name": "grafana", "user": str(staff.pk)})
    [text] = re.findall(r"perseus_[\w-]{43}", answer.content.decode())
    [token] = ApiToken.objects.all()
    assert "no-store" in answer["Cache-Control"]
    assert (token.user, token.name, token.digest) == (staff, "grafana", ApiToken.digest_of(text))
    for page in ("/admin/activity/apitoken/", f"/admin/activity/apitoken/{token.pk}/change/"):
        content = client.get(page).content.decode()
        assert text not in content
        assert token.digest not in content


def test_nothing_of_a_token_can_be_edited(admin: User) -> None:
    token, _ = ApiToken.issue(admin, "a script")
    answer = signed_in(admin).post(f"/admin/activity/apitoken/{token.pk}/change/", {"name": "b", "digest": "c"})
    assert answer.status_code == 403
    digest, token_name = token.digest, token.name
    token.refresh_from_db()
    assert (token.digest, token.name) == (digest, token_name)


def test_a_revoked_token_stays_on_record(admin: User) -> None:
    token, _ = ApiToken.issue(admin, "a script")
    signed_in(admin).post("/admin/activity/apitoken/", {"action": "revoke", "_selected_action": [str(token.pk)]})
    token.refresh_from_db()
    assert token.revoked_at is not None


def test_staff_issue_tokens_for_themselves_and_see_no_others(admin: User, staff: User) -> None:
    permit(staff, "add_apitoken", "view_apitoken")
    theirs, _ = ApiToken.issue(admin, "of the boss")
    client = signed_in(staff)

    client.post("/admin/activity/apitoken/add/", {"name": "mine", "user": str(admin.pk)})

    assert ApiToken.objects.get(name="mine").user == staff
    assert "of the boss" not in client.get("/admin/activity/apitoken/").content.decode()
    client.post("/admin/activity/apitoken/", {"action": "revoke", "_selected_action": [str(theirs.pk)]})
    theirs.refresh_from_db()
    assert theirs.revoked_at is None


# --- screens on a wall ---


def test_a_wall_link_is_shown_once_and_not_stored(admin: User, kraken: Exchange) -> None:
    client = signed_in(admin)
    answer = client.post("/admin/activity/walllink/add/", {"name": "office", "exchanges": [str(kraken.pk)]})
    page = answer.content.decode()
    [address] = re.findall(r'value="(http://testserver/wall/perseus_wall_[\w-]{43}/)"', page)
    [link] = WallLink.objects.all()
    assert "no-store" in answer["Cache-Control"]
    assert (link.created_by, link.name, list(link.exchanges.all())) == (admin, "office", [kraken])
    assert client.get(address).status_code == 200
    text = address.split("/")[-2]
    for path in ("/admin/activity/walllink/", f"/admin/activity/walllink/{link.pk}/change/"):
        content = client.get(path).content.decode()
        assert text not in content
        assert link.digest not in content
    assert not AuditEvent.objects.filter(after__contains=link.digest).exists()
    assert not AuditEvent.objects.filter(after__contains=text).exists()


def test_a_revoked_wall_link_opens_nothing_and_stays_on_record(admin: User) -> None:
    link, text = WallLink.issue(admin, "office")
    client = signed_in(admin)
    assert client.post(f"/admin/activity/walllink/{link.pk}/change/", {"name": "b"}).status_code == 403
    client.post("/admin/activity/walllink/", {"action": "revoke", "_selected_action": [str(link.pk)]})
    link.refresh_from_db()
    assert link.revoked_at is not None
    assert Client().get(f"/wall/{text}/").status_code == 404
    told = AuditEvent.objects.latest("number")
    assert (told.subject, told.action) == ("wall link office", "changed")


def test_who_administers_one_exchange_makes_wall_links_of_that_one_alone(
    staff: User, kraken: Exchange, coinbase: Exchange
) -> None:
    client = signed_in(staff)
    assert client.get("/admin/activity/walllink/add/").status_code == 403
    for permission in ("view_exchange", "administer_exchange"):
        assign_perm(permission, staff, kraken)
    assign_perm("view_exchange", staff, coinbase)
    page = client.get("/admin/activity/walllink/add/").content.decode()
    assert ">kraken<" in page
    assert ">coinbase<" not in page
    for chosen in ([], [str(coinbase.pk)], [str(kraken.pk), str(coinbase.pk)]):
        client.post("/admin/activity/walllink/add/", {"name": "mine", "exchanges": chosen})
    assert not WallLink.objects.exists()
    client.post("/admin/activity/walllink/add/", {"name": "mine", "exchanges": [str(kraken.pk)]})
    assert WallLink.objects.get().created_by == staff


def test_staff_see_and_revoke_no_wall_links_of_others(admin: User, staff: User, kraken: Exchange) -> None:
    for permission in ("view_exchange", "administer_exchange"):
        assign_perm(permission, staff, kraken)
    theirs, _ = WallLink.issue(admin, "of the boss")
    client = signed_in(staff)
    assert "of the boss" not in client.get("/admin/activity/walllink/").content.decode()
    client.post("/admin/activity/walllink/", {"action": "revoke", "_selected_action": [str(theirs.pk)]})
    theirs.refresh_from_db()
    assert theirs.revoked_at is None
