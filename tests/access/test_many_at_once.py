"""Sockets are asked about together: the answer is the one that each would get alone."""

from typing import get_args

import pytest
from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.utils import timezone
from guardian.shortcuts import assign_perm

from activity.access import Verb, active_exchanges, can, exchanges_of, visible_exchanges, visible_to
from activity.identity import Credentials, user_of, users_of
from activity.models import ApiToken, Exchange, User

pytestmark = pytest.mark.django_db


def make(name: str, **fields: bool) -> User:
    return User.objects.create_user(f"{name}@example.org", "correct horse battery", **fields)


def test_every_way_to_a_right_gives_the_same_to_many_users_as_to_each() -> None:
    one, two, _, gone = (
        Exchange.objects.create(name=name, display_name=name, active=name != "gone")
        for name in ("one", "two", "three", "gone")
    )
    view = Permission.objects.get(codename="view_exchange", content_type__app_label="activity")
    claim = Permission.objects.get(codename="claim_exchange", content_type__app_label="activity")
    everywhere, some = Group.objects.create(name="everywhere"), Group.objects.create(name="some")
    everywhere.permissions.add(view)
    assign_perm("activity.view_exchange", some, two)

    users = [make("nobody"), make("root", is_superuser=True), make("asleep", is_superuser=True, is_active=False)]
    own, of_group, both, all_of_them, by_group, claims, inactive, of_gone = (
        make(name) for name in ("own", "of-group", "both", "all", "by-group", "claims", "inactive", "of-gone")
    )
    assign_perm("activity.view_exchange", own, one)
    of_group.groups.add(some)
    both.groups.add(some)
    assign_perm("activity.view_exchange", both, one)
    all_of_them.user_permissions.add(view)
    by_group.groups.add(everywhere)
    claims.user_permissions.add(claim)
    assign_perm("activity.claim_exchange", claims, one)
    assign_perm("activity.view_exchange", inactive, one)
    inactive.is_active = False
    inactive.save()
    assign_perm("activity.view_exchange", of_gone, gone)
    users += [own, of_group, both, all_of_them, by_group, claims, inactive, of_gone]

    together = visible_to(users, active_exchanges())
    for user in users:
        alone = dict(visible_exchanges(user).values_list("name", "id"))
        assert together[user.pk] == alone, user
        for verb in get_args(Verb):
            asked_of_each = [exchange for exchange in Exchange.objects.order_by("name") if can(user, exchange, verb)]
            assert list(exchanges_of(user, verb)) == asked_of_each, (user, verb)
    assert set(together[both.pk]) == {"one", "two"}
    assert set(together[by_group.pk]) == {"one", "two", "three"}


def test_every_kind_of_credentials_gives_the_same_user_among_many_as_alone() -> None:
    signed_in = []
    for name in ("good", "deactivated", "new-password", "signed-out", "forged", "expired"):
        client = Client()
        client.force_login(make(name), backend="django.contrib.auth.backends.ModelBackend")
        signed_in.append(client)
    keys = [client.cookies["sessionid"].value for client in signed_in]
    User.objects.filter(email="deactivated@example.org").update(is_active=False)
    changed = User.objects.get(email="new-password@example.org")
    changed.set_password("another one entirely")
    changed.save()
    signed_in[3].session.flush()
    forged = signed_in[4].session
    forged[HASH_SESSION_KEY] = "0" * 64
    forged.save()
    expired = signed_in[5].session
    expired.set_expiry(timezone.now())
    expired.save()

    good = User.objects.get(email="good@example.org")
    token, revoked = ApiToken.issue(good, "good")[1], ApiToken.issue(good, "revoked")
    revoked[0].revoked_at = timezone.now()
    revoked[0].save()
    asleep = ApiToken.issue(User.objects.get(email="deactivated@example.org"), "of a deactivated user")[1]

    asked = [Credentials(session_key=key) for key in (*keys, "made-up", "")]
    asked += [Credentials(token=text) for text in (token, revoked[1], asleep, "made-up")]
    together = users_of(asked)
    for one in asked:
        assert together.get(one) == user_of(one), one
    assert set(together) == {Credentials(session_key=keys[0]), Credentials(token=token)}
