"""Who gets what: each role, each URL and socket, an exchange of their own and a foreign one.

The URLs are taken from the resolver and the sockets from the routing: one without a rule here fails the test.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from guardian.shortcuts import assign_perm

from activity.audit import Action, record
from activity.models import (
    ApiToken,
    ArchivedEntry,
    ArchiveGap,
    Command,
    Delivery,
    Exchange,
    NotificationChannel,
    User,
    WallLink,
)
from activity.routing import websocket_urlpatterns
from tests.feed.sockets import feed_of, write_entries
from tests.servers import running_redis
from tests.web import WebServer, copy_of

OWN, FOREIGN = "kraken", "binance"


@dataclass(frozen=True)
class Role:
    """Somebody, with their rights on the exchange OWN; on FOREIGN only a superuser has any."""

    name: str
    verbs: frozenset[str] = frozenset()
    staff: bool = False
    superuser: bool = False
    signed_in: bool = True

    def may(self, verb: str, *, own: bool) -> bool:
        """What access.can() should say."""
        return self.superuser or (own and verb in self.verbs and "view" in self.verbs)


def with_verb(verb: str) -> frozenset[str]:
    return frozenset({"view", verb})


ANONYMOUS = Role("anonymous", signed_in=False)
ROLES = [
    ANONYMOUS,
    Role("nobody"),
    Role("blind", frozenset({"claim", "command", "takeover", "administer"})),
    Role("viewer", with_verb("view")),
    Role("claimer", with_verb("claim")),
    Role("commander", with_verb("command")),
    Role("taker", with_verb("takeover")),
    Role("administrator", with_verb("administer")),
    Role("staff", staff=True),
    Role("staff-viewer", with_verb("view"), staff=True),
    Role("staff-administrator", with_verb("administer"), staff=True),
    Role("superuser", staff=True, superuser=True),
]

#: What somebody who is signed in finds. "either": it depends on more than rights, and is tested elsewhere.
Rule = Callable[[Role, bool], str]


def everybody(role: Role, own: bool) -> str:
    return "open"


def verb(wanted: str) -> Rule:
    """Who may not view it does not find it; who may view it and not do that is refused."""

    def rule(role: Role, own: bool) -> str:
        if not role.may("view", own=own):
            return "absent"
        return "open" if role.may(wanted, own=own) else "refused"

    return rule


def staff_or_absent(role: Role, own: bool) -> str:
    return "open" if role.staff else "absent"


def in_admin(rule: Rule) -> Rule:
    """The Django admin refuses everybody who is no staff."""
    return lambda role, own: rule(role, own) if role.staff else "refused"


def superusers(role: Role, own: bool) -> str:
    return "open" if role.superuser else "refused"


def superusers_or_absent(role: Role, own: bool) -> str:
    """A row that the admin's queryset leaves out is answered by a way back to the index."""
    return "open" if role.superuser else "absent"


def never(role: Role, own: bool) -> str:
    return "refused"


def of_viewable(role: Role, own: bool) -> str:
    """A list, of what the viewer may view; who may view nothing has no list."""
    return "open" if role.superuser or "view" in role.verbs else "refused"


def row_of_viewable(role: Role, own: bool) -> str:
    return "open" if role.may("view", own=own) else "absent"


def row_of_administered(role: Role, own: bool) -> str:
    return "open" if role.may("administer", own=own) else "absent"


def of_administered(role: Role, own: bool) -> str:
    return "open" if role.superuser or "administer" in role.verbs else "refused"


RULES: dict[str, Rule] = {
    "network": everybody,
    "exchange": verb("view"),
    "entry": verb("view"),
    "timeline": verb("view"),
    "strip": verb("view"),
    "steering": row_of_viewable,
    "command": verb("command"),  # of a stop
    "find": everybody,
    "export": everybody,  # of what may be viewed
    "instances": everybody,
    "assign": lambda role, own: "open" if role.superuser or {"view", "command"} <= role.verbs else "refused",
    "schemas": everybody,
    "schema": everybody,
    "saved-views": lambda role, own: "absent",  # names no page here; test_saved_views.py
    "saved-view-delete": lambda role, own: "absent",  # nobody here has one
    "self-check": staff_or_absent,
    "words": everybody,
    "wall": lambda role, own: "absent",  # this link was never made: who is signed in does not count there
    "account_login": everybody,
    "sign-in": everybody,
    "account_inactive": everybody,
    "mfa_authenticate": everybody,
    "account_reauthenticate": everybody,
    "mfa_reauthenticate": everybody,
    "openid_connect_login": lambda role, own: "absent",
    "openid_connect_callback": lambda role, own: "absent",
    "socialaccount_login_cancelled": everybody,
    "socialaccount_login_error": lambda role, own: "sign-in",  # back to where it began
    "sign-out": everybody,
    "account": everybody,
    "account-export": everybody,
    "account_change_password": everybody,
    "account_set_password": everybody,
    "usersessions_list": lambda role, own: "either",  # POST names a session that is not there
    "socialaccount_connections": everybody,
    "mfa_index": everybody,
    "mfa_activate_totp": everybody,
    "mfa_deactivate_totp": lambda role, own: "absent",  # nobody here has one
    "mfa_view_recovery_codes": lambda role, own: "absent",
    "mfa_generate_recovery_codes": everybody,
    "mfa_download_recovery_codes": lambda role, own: "absent",
    "mfa_list_webauthn": everybody,
    "mfa_add_webauthn": everybody,
    "mfa_reauthenticate_webauthn": everybody,
    "mfa_remove_webauthn": everybody,
    "mfa_edit_webauthn": everybody,
    "api:openapi-json": everybody,
    "api:instances": everybody,
    "api:exchange_status": row_of_viewable,
    "api:activity": everybody,
    "api:api-root": lambda role, own: "either",
    "admin:index": in_admin(everybody),
    "admin:login": lambda role, own: "sign-in" if role.staff else "refused",
    "admin:logout": in_admin(everybody),
    "admin:password_change": in_admin(everybody),
    "admin:password_change_done": in_admin(everybody),
    "admin:autocomplete": in_admin(never),
    "admin:jsi18n": in_admin(everybody),
    "admin:view_on_site": lambda role, own: "either",
    "admin:app_list": lambda role, own: "either",  # absent where no model of the app is shown
    "admin:-": lambda role, own: "either",  # a redirect to the change page, or nothing
    "admin:auth_user_password_change": in_admin(superusers),
    "admin:activity_archivedentry_export": in_admin(of_viewable),
    "admin:activity_command_export": in_admin(of_viewable),
    "admin:activity_claim_export": in_admin(of_viewable),
    "admin:activity_auditevent_export": in_admin(of_administered),
    "admin:activity_exchange_permissions": in_admin(
        lambda role, own: "absent" if not role.may("view", own=own) else verb("administer")(role, own)
    ),
    "admin:activity_exchange_permissions_manage_user": in_admin(verb("administer")),
    "admin:activity_exchange_permissions_manage_group": in_admin(verb("administer")),
    "admin:activity_notificationchannel_test": in_admin(superusers),
}

#: Of the Django admin's lists: who sees the list, a row's page, the page to add one, the page to delete one.
ADMIN_RULES: dict[str, tuple[Rule, Rule, Rule, Rule]] = {
    "auth_group": (superusers, superusers, superusers, superusers),
    "axes_accessattempt": (superusers, superusers, never, superusers),
    "axes_accesslog": (superusers, superusers, never, superusers),
    "axes_accessfailurelog": (superusers, superusers, never, superusers),
    "activity_notificationchannel": (superusers, superusers, superusers, superusers),
    "activity_delivery": (superusers, superusers, never, never),
    "activity_archivedentry": (of_viewable, row_of_viewable, never, lambda r, o: "either"),
    "activity_archivegap": (of_viewable, row_of_viewable, never, lambda r, o: "either"),
    "activity_command": (of_viewable, row_of_viewable, never, lambda r, o: "either"),
    "activity_claim": (of_viewable, row_of_viewable, never, lambda r, o: "either"),
    "activity_auditevent": (of_administered, row_of_administered, never, lambda r, o: "either"),
    "mfa_authenticator": (superusers, superusers, never, superusers),
    "socialaccount_socialaccount": (superusers, lambda r, o: "either", never, lambda r, o: "either"),
    "usersessions_usersession": (superusers, superusers, never, superusers),
    "activity_exchange": (of_viewable, row_of_viewable, superusers, lambda r, o: "either"),
    "activity_user": (superusers, superusers, superusers, lambda r, o: "either"),
    "activity_apitoken": (superusers, superusers_or_absent, superusers, lambda r, o: "either"),
    "activity_walllink": (of_administered, superusers_or_absent, of_administered, lambda r, o: "either"),
}


def _changing(name: str, role: Role, own: bool) -> str:
    """What a POST to a row's page in the Django admin finds: most rows are read-only, for superusers, too."""
    model = name.removeprefix("admin:").removesuffix("_change")
    if model == "activity_exchange":
        return "open" if role.staff and role.may("administer", own=own) else "refused"
    editable = {"auth_group", "activity_notificationchannel", "activity_user", "axes_accessattempt"}
    editable |= {"axes_accesslog", "axes_accessfailurelog"}
    return "open" if role.superuser and model in editable else "refused"


def patterns(resolver: Any = None, prefix: str = "/", space: str = "") -> Iterator[tuple[str, str]]:
    for pattern in (resolver or get_resolver()).url_patterns:
        route = prefix + str(pattern.pattern).lstrip("^").removesuffix("$").removesuffix("\\Z")
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern, route, f"{space}{pattern.namespace}:" if pattern.namespace else space)
        else:
            assert isinstance(pattern, URLPattern)
            yield route, f"{space}{pattern.name or '-'}"


def rule_of(name: str) -> Rule:
    if name in RULES:
        return RULES[name]
    model, _, kind = name.removeprefix("admin:").rpartition("_")
    assert model in ADMIN_RULES, f"{name}: this URL has no rule. Say in tests/access/test_rights_matrix.py who gets it"
    listed, row, add, delete = ADMIN_RULES[model]
    return in_admin({"changelist": listed, "change": row, "history": row, "add": add, "delete": delete}[kind])


class Rows:
    """A row of everything, for both exchanges."""

    def __init__(self) -> None:
        self.exchanges = {
            name: Exchange.objects.create(name=name, display_name=name.title()) for name in (OWN, FOREIGN)
        }
        someone = User.objects.create_user("someone@example.org", "x")
        token, _ = ApiToken.issue(someone, "a script")
        link, _ = WallLink.issue(someone, "the office")
        channel = NotificationChannel.objects.create(name="nobody listens", url="json://127.0.0.1:9/", kinds=["error"])
        self.plain: dict[str, Any] = {
            "auth_group": Group.objects.create(name="a team").pk,
            "activity_user": someone.pk,
            "activity_apitoken": token.pk,
            "activity_walllink": link.pk,
            "activity_notificationchannel": channel.pk,
            "mfa_authenticator": Authenticator.objects.create(user=someone, type="totp", data={}).pk,
            "usersessions_usersession": UserSession.objects.create(
                user=someone, ip="127.0.0.1", session_key="x" * 32, user_agent="a browser"
            ).pk,
        }
        attempts: dict[str, dict[str, Any]] = {
            "axes_accessattempt": {"username": "x", "ip_address": "127.0.0.1", "failures_since_start": 1},
            "axes_accesslog": {"username": "x", "ip_address": "127.0.0.1"},
            "axes_accessfailurelog": {"username": "x", "ip_address": "127.0.0.1"},
        }
        for model, values in attempts.items():
            self.plain[model] = apps.get_model(model.replace("_", ".")).objects.create(**values).pk
        self.plain["activity_delivery"] = Delivery.objects.create(channel=channel).pk
        self.of: dict[str, dict[str, Any]] = {"activity_exchange": {}}
        for name, exchange in self.exchanges.items():
            self.of["activity_exchange"][name] = exchange.pk
            entry = ArchivedEntry.objects.create(
                exchange=exchange, ms=1, seq=0, raw=b"5:event,5:error,", event="error", text=f"of {name}"
            )
            gap = ArchiveGap.objects.create(exchange=exchange, after_ms=1, after_seq=0, first_ms=2, first_seq=0)
            event = record(Action.CHANGED, f"exchange {name}", exchange=exchange)
            claim = Command.objects.create(
                correlation_id=uuid.uuid4(), exchange=exchange, type="claim", requested_at=timezone.now()
            )
            made = (("archivedentry", entry), ("archivegap", gap), ("auditevent", event))
            for model, row in (*made, ("command", claim), ("claim", claim)):
                self.of.setdefault(f"activity_{model}", {})[name] = row.pk

    def path(self, route: str, name: str, exchange: str) -> str:
        """The route with a value for each parameter."""
        model = name.removeprefix("admin:").rpartition("_")[0]
        row = self.of.get(model, {}).get(exchange) or self.plain.get(model, 999_999)
        values = {
            "name": exchange, "exchange_id": self.exchanges[exchange].pk, "object_pk": self.exchanges[exchange].pk,
            "entry_id": "1-0", "file": "InstanceStatus.json", "form": "csv", "kind": "stop",
            "instance_id": "nobody", "object_id": row,
            "user_id": self.plain["activity_user"], "group_id": self.plain["auth_group"], "url": "nothing",
            "id": self.plain["activity_user"], "pk": 1, "provider_id": "issuer", "app_label": "activity",
            "content_type_id": 1, "token": "perseus_wall_made-up",
        }  # fmt: skip
        if name == "admin:activity_notificationchannel_test":
            values["object_id"] = self.plain["activity_notificationchannel"]
        route = re.sub(r"\(\?P<(\w+)>[^)]*\)", lambda match: str(values[match[1]]), route)
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda match: str(values[match[1]]), route).replace("\\", "")


@pytest.fixture
def rows(db: None, redis_server: Any) -> Rows:
    return Rows()


def client_of(role: Role, rows: Rows) -> Client:
    client = Client(raise_request_exception=True)
    if role.signed_in:
        user = User.objects.create_user(
            f"{role.name}@example.org", "a password", is_staff=role.staff, is_superuser=role.superuser
        )
        for name in role.verbs:
            assign_perm(f"activity.{name}_exchange", user, rows.exchanges[OWN])
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def outcome(client: Client, method: str, path: str) -> tuple[str, str]:
    """(what somebody finds, the body where it was shown). "nothing": the URL has no such method, for nobody."""
    answer = client.get(path) if method == "GET" else client.post(path)
    where = answer.get("Location", "")
    if answer.status_code == 405:
        return "nothing", ""
    if answer.status_code == 401 or (answer.status_code == 302 and where.partition("?")[0] == "/sign-in/"):
        return "sign-in", ""
    if answer.status_code == 403 or (answer.status_code == 302 and where.startswith("/admin/login/")):
        return "refused", ""
    if answer.status_code == 404 or (answer.status_code == 302 and where == "/admin/"):
        return "absent", ""
    assert answer.status_code < 500 or answer.status_code == 503, (method, path, answer.status_code)
    assert answer.status_code != 429, path
    # Exports are streamed by another thread, which does not see this test's transaction: they are read further below.
    body = "" if answer.streaming else answer.content.decode("utf-8", "replace")
    answer.close()
    return "open", body


#: No staff: the Django admin turns them away at its door, as it does "viewer" and "administrator" below.
ALIKE_IN_ADMIN = {"blind", "claimer", "commander", "taker"}
#: What needs no sign-in, and says nothing.
PUBLIC = {"account_login", "sign-in", "account_inactive", "socialaccount_login_cancelled", "socialaccount_login_error"}
PUBLIC |= {"words"}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("role", ROLES, ids=[role.name for role in ROLES])
def test_everybody_gets_what_their_rights_say_and_nothing_else(rows: Rows, role: Role, method: str) -> None:
    client = client_of(role, rows)
    wrong = []
    for route, name in patterns():
        rule = rule_of(name)
        if name.startswith("admin:") and role.name in ALIKE_IN_ADMIN:
            continue
        own, foreign = rows.path(route, name, OWN), rows.path(route, name, FOREIGN)
        for path, is_own in ((own, True), (foreign, False)) if own != foreign else ((own, True),):
            if name in ("sign-out", "admin:logout"):
                continue  # test_signing_in_and_out.py: everybody may leave
            found, body = outcome(client, method, path)
            if found == "nothing":
                continue
            if not role.signed_in:
                public = name in PUBLIC or name.startswith("openid_connect")
                closed = found == "absent" or (found == "refused" and name.startswith("admin:"))
                if found != "sign-in" and not public and not closed:
                    wrong.append((method, path, "sign-in", found))
                continue
            expected = rule(role, is_own)
            if method == "POST" and name.endswith("_change") and "password" not in name:
                expected = _changing(name, role, is_own)
            if name.startswith("admin:") and {expected, found} <= {"absent", "refused"}:
                continue  # both keep it closed; that they tell nothing apart is tested below
            if expected not in ("either", found):
                wrong.append((method, path, expected, found))
            if found == "open" and is_own and not role.superuser and FOREIGN in body.lower():
                wrong.append((method, path, f"nothing of {FOREIGN}", "a foreign exchange is named"))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("role", [role for role in ROLES if role.staff and not role.superuser], ids=lambda r: r.name)
def test_the_admin_answers_for_a_foreign_row_as_for_one_that_does_not_exist(rows: Rows, role: Role) -> None:
    client = client_of(role, rows)
    for model, ids in rows.of.items():
        app, _, name = model.rpartition("_")
        for kind in ("change", "history", "delete"):
            answers = [client.get(f"/admin/{app}/{name}/{pk}/{kind}/") for pk in (ids[FOREIGN], 999_999)]
            assert len({(a.status_code, a.get("Location")) for a in answers}) == 1, (model, kind)


def test_a_url_without_a_rule_fails() -> None:
    with pytest.raises(AssertionError, match="this URL has no rule"):
        rule_of("a-new-page")
    with pytest.raises(AssertionError, match="this URL has no rule"):
        rule_of("admin:activity_newmodel_changelist")
    shown = {f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry}
    assert shown == set(ADMIN_RULES)


#: Sockets: the verb that each needs on the exchange that it names; None: it shows what may be viewed.
SOCKETS: dict[str, str | None] = {"ws/network/": None, "ws/exchanges/<str:name>/": "view"}
#: Sockets that ask for a link and not for a user: without one they are closed for everybody. See test_wall_socket.py.
BY_LINK = {"ws/wall/<str:token>/"}

_PEOPLE = """
import json, sys
from django.test import Client
from guardian.shortcuts import assign_perm
sessions = {}
for name, verbs, staff, superuser in json.loads(%r):
    user = User.objects.create_user("m-" + name + "@example.org", None, is_staff=staff, is_superuser=superuser)
    for verb in verbs:
        assign_perm(f"activity.{verb}_exchange", user, Exchange.objects.get(name="kraken"))
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    sessions["m-" + name + "@example.org"] = client.cookies["sessionid"].value
from activity.audit import Action, record
for name in ("binance", "kraken"):
    exchange = Exchange.objects.get(name=name)
    told = {"event": "error", "text": f"of {name}", "raw": b"5:event,5:error,"}
    ArchivedEntry.objects.create(exchange=exchange, ms=1, seq=0, **told)
    record(Action.CHANGED, f"exchange of {name}", exchange=exchange)
print(json.dumps(sessions))
"""


@pytest.fixture(scope="module")
def people(data_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """A web process in which every role has a user and a session, with an entry and an event of each exchange.

    Only read it: it is shared.
    """
    roles = [(role.name, sorted(role.verbs), role.staff, role.superuser) for role in ROLES if role.signed_in]
    with running_redis() as redis_server:
        write_entries(redis_server, FOREIGN, 1)
        web = WebServer(copy_of(data_template, tmp_path_factory.mktemp("people") / "data"), redis_server.url)
        try:
            web.hand_out(json.loads(web.run(_PEOPLE % json.dumps(roles))))
            yield web
        finally:
            web.stop()


def test_exports_and_parameters_show_nothing_of_a_foreign_exchange(people: WebServer) -> None:
    for role in ROLES[1:]:
        browser = people.browser()
        for path in (
            "/admin/activity/archivedentry/export.csv?exchange=1",
            "/admin/activity/archivedentry/export.jsonl",
            "/admin/activity/archivedentry/?exchange=1",
            "/admin/activity/auditevent/export.jsonl",
            "/admin/activity/auditevent/export.csv?q=binance",
            "/api/v1/activity?exchange=binance",
            "/api/v1/instances",
        ):
            _, body = browser.get(path, Cookie=people.cookie(f"m-{role.name}@example.org"))
            if role.superuser:
                assert "binance" in body, path
            else:
                assert "of binance" not in body, (role.name, path)
                assert '"binance"' not in body, (role.name, path)


@pytest.mark.asyncio
async def test_every_socket_shows_what_its_user_may_view_and_nothing_else(people: WebServer) -> None:
    for pattern in websocket_urlpatterns:
        route = str(pattern.pattern)
        assert route in SOCKETS or route in BY_LINK, f"{route}: this socket has no rule"
        if route in BY_LINK:
            for role in ROLES:
                user = f"m-{role.name}@example.org" if role.signed_in else None
                async with feed_of(people, "/" + route.replace("<str:token>", "made-up"), user=user) as client:
                    assert (await client.closed())[0] == 4401, role.name
                assert [frame["type"] for frame in client.frames] == ["closing"]
            continue
        for role in ROLES:
            user = f"m-{role.name}@example.org" if role.signed_in else None
            for exchange in (OWN, FOREIGN):
                path = "/" + route.replace("<str:name>", exchange)
                allowed = SOCKETS[route] is None or role.may(SOCKETS[route] or "", own=exchange == OWN)
                async with feed_of(people, path, user=user) as client:
                    if not role.signed_in or not allowed:
                        code, _ = await client.closed()
                        assert code == (4403 if role.signed_in else 4401), (role.name, path)
                        continue
                    await client.subscribe()
                    may = {name for name in (OWN, FOREIGN) if role.may("view", own=name == OWN)}
                    seen: set[str] = set()
                    while may - seen and (SOCKETS[route] is None or not seen):
                        seen.add((await client.next("status"))["exchange"])
                    if not role.superuser:
                        assert seen <= may, (role.name, path)
