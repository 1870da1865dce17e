"""Every page, each in the conditions in which it says the most, and which of them are checked."""

import asyncio
import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final
from unittest.mock import patch

import redis
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.apps import apps
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from activity.models import Command, Exchange, SavedView, User, WallLink
from activity.store.client import lease_client
from activity.store.commands import beat_idle
from activity.wire.clock import now_timestamp
from activity.wire.commands import IdleStatus
from activity.wire.keys import standbys_until_key
from tests.access.test_rights_matrix import OWN, Rows, patterns
from tests.language.pseudo import CODE
from tests.pages.conftest import PASSWORD
from tests.pages.test_standbys import put_standby
from tests.pages.writing import append_error, append_move, put_older_status, put_status
from tests.servers import RedisServer

INSTANCE: Final = "fra-edge-03-31877-x7k2"


def write_network(server: RedisServer, store: redis.Redis) -> None:
    """Kraken is held and has standbys, binance was lost, coinbase is an older writer's, somebody waits."""
    put_status(store, "kraken", lastError="Order book: out of sequence")
    append_move(store, "kraken", "idle", "starting")
    append_error(store, "kraken", "Order book: out of sequence")
    append_move(store, "binance", "warming", "active")
    put_older_status(store, "coinbase")
    put_standby(server, "standby-one")
    put_standby(server, "standby-two")
    store.zincrby(standbys_until_key(3), -20_000, "standby-one")
    asyncio.run(_wait_for_an_exchange(server))


async def _wait_for_an_exchange(server: RedisServer) -> None:
    client = lease_client(server.url)
    now = now_timestamp()
    given = {"hostname": "ams-edge-01", "pid": 4711, "version": "2.4.1", "program": "bot", "heartbeatSeconds": 15}
    for instance in ("idle-one", "idle-two"):
        values = {**given, "instanceId": instance, "registeredAt": now, "lastHeartbeat": now}
        await beat_idle(client, IdleStatus.model_validate(values))
    await client.aclose()


def write_commands(exchange: Exchange, user: User) -> None:
    """One in each state, one of them with words of our own."""
    now = timezone.now()
    for number, state in enumerate(Command.State):
        Command.objects.create(
            correlation_id=uuid.uuid4(),
            exchange=exchange,
            instance_id=INSTANCE,
            type=("stop", "pause", "claim")[number % 3],
            payload={"email": user.email},
            reason="1234" if number % 2 else "",
            user=user,
            issued_by=user.email,
            state=state,
            text="it never reached Redis" if state == "expired" else "",
            requested_at=now - timedelta(seconds=number),
            delivered_at=now if number else None,
            acknowledged_at=now if number > 1 else None,
            ended_at=now if number > 2 else None,
        )


class World:
    """Somebody who may everything, with a browser; and somebody who may nothing."""

    def __init__(self, admin: User, nobody: User, exchanges: dict[str, Exchange]) -> None:
        self.admin, self.exchanges = admin, exchanges
        self.client = self._signed_in(admin)
        self.nobody = self._signed_in(nobody)
        self.kraken = exchanges["kraken"]

    def _signed_in(self, user: User) -> Client:
        client = Client(headers={"accept-language": CODE})
        assert client.post("/sign-in/", {"login": user.email, "password": PASSWORD}).status_code == 302
        return client

    def get(self, path: str, client: Client | None = None, **sent: Any) -> str:
        """A page, wherever its address leads."""
        answer = (client or self.client).get(path, sent, follow=True)
        assert answer.status_code < 500, path
        return str(answer.content.decode())

    def post(self, path: str, sent: dict[str, Any], client: Client | None = None) -> str:
        """The page that answers a form."""
        return str((client or self.client).post(path, sent, follow=True).content.decode())

    def live_pages(self) -> Iterator[tuple[str, str]]:
        """The network, an exchange, the wall."""
        yield "network", self.get("/")
        SavedView.objects.create(user=self.admin, name="1234", path="/", query="event=error")
        yield "network, empty", self.get("/", q="nothing-at-all", text="nothing-at-all")
        yield "network of the past", self.get("/", at="2026-01-01T00:00:00Z")
        yield "network, damaged link", self.get("/", state="nonsense")
        yield "exchange", self.get("/exchanges/kraken/")
        yield "exchange of the past", self.get("/exchanges/kraken/", at="2026-01-01T00:00:00Z")
        yield "exchange, fragment of standbys", self.get("/exchanges/kraken/", standbys="1")
        yield "exchange, unknown", self.get("/exchanges/nowhere/")
        yield "entry, unknown", self.get("/exchanges/kraken/entries/1-0/")
        yield "steering of kraken", self.get("/exchanges/kraken/steering/")
        yield "steering of coinbase", self.get("/exchanges/coinbase/steering/")
        yield "steering of binance", self.get("/exchanges/binance/steering/")
        yield "saved views", render_to_string("parts/saved_views.html", {"saved_views": self.admin.saved_views.all()})
        _, token = WallLink.issue(self.admin, "1234")
        yield "wall", self.get(f"/wall/{token}/")
        yield "wall, ended", self.get("/wall/made-up/")

    def steering_pages(self) -> Iterator[tuple[str, str]]:
        """The form of every command, what refuses it, and the instances."""
        for kind in ("claim", "release", "start", "stop", "pause", "resume", "switch-mode", "reload-settings"):
            yield f"form of {kind}", self.get(f"/exchanges/kraken/command/{kind}/")
        for kind in ("add-symbol", "remove-symbol", "handover"):
            yield f"form of {kind}", self.get(f"/exchanges/kraken/command/{kind}/")
        for kind, sent in (("stop", {}), ("switch-mode", {"mode": "a b"}), ("add-symbol", {"symbol": ""})):
            yield f"refusal of {kind}", self.post(f"/exchanges/kraken/command/{kind}/", sent)
        changed = {"token": "another", "shown.host": "1234", "shown.ip": "1234"}
        yield "changed holder", self.post("/exchanges/kraken/command/claim/", changed)
        yield "nobody holds it", self.get("/exchanges/binance/command/stop/")
        yield "an older writer holds it", self.get("/exchanges/coinbase/command/stop/")
        yield "instances", self.get("/instances/")
        yield "assign", self.get("/instances/idle-one/assign/")
        yield "assign, of nothing", self.post("/instances/idle-one/assign/", {})
        held = {"exchange": "kraken", "correlation": str(uuid.uuid4())}
        yield "assign, of what is held", self.post("/instances/idle-one/assign/", held)
        yield "assign, of what is none", self.post("/instances/idle-one/assign/", {"exchange": "kraken", "mode": "a b"})
        yield "assign, gone", self.get("/instances/nobody/assign/")

    def account_pages(self) -> Iterator[tuple[str, str]]:
        """What users keep about themselves."""
        yield "settings", self.get("/account/")
        bad = '{"timeZone": "x", "mode": "a b", "no": 1, "language": "fr", "symbols": {"no": []}}'
        yield "settings, refused", self.post("/account/", {"from": "json", "document": bad})
        yield "settings, no JSON", self.post("/account/", {"from": "json", "document": "{"})
        yield "settings, no file", self.post("/account/", {"from": "file"})
        yield (
            "settings, no exchange",
            self.post("/account/", {"from": "json", "document": '{"symbols": {"no": ["A"]}}'}),
        )
        review = self.post("/account/", {"from": "json", "document": '{"mode": "live"}'})
        yield "settings, difference", review
        sent = {"from": "json", "do": "save", "digest": "stale", "document": '{"mode": "live"}'}
        yield "settings, changed meanwhile", self.post("/account/", sent)
        digest = re.search(r'name="digest" value="(\w+)"', review)
        assert digest
        yield "settings, saved", self.post("/account/", {**sent, "digest": digest[1]})
        yield "settings, no difference", self.post("/account/", {"from": "json", "document": '{"mode": "live"}'})
        yield "password", self.get("/account/password/")
        yield (
            "password, refused",
            self.post("/account/password/", {"oldpassword": "x", "password1": "1", "password2": "2"}),
        )
        yield "sessions", self.get("/account/sessions/")
        yield "sessions, ended", self.post("/account/sessions/", {"session": "others"})
        yield "linked accounts", self.get("/account/linked/")
        yield "linked accounts, failed", render_to_string("socialaccount/authentication_error.html")
        yield "linked accounts, cancelled", self.get("/sign-in/cancelled/")
        yield "set a password", render_to_string("account/password_set.html")
        yield "no account", render_to_string("account/signup_closed.html")
        yield "inactive", self.get("/sign-in/inactive/", Client(headers={"accept-language": CODE}))
        yield "saved view without a name", self.post("/views/", {"path": "/", "name": ""})

    def second_factor_pages(self) -> Iterator[tuple[str, str]]:
        """Setting one up, and being asked for it."""
        keys = "/account/second-factor/keys/"
        proof = {"password": PASSWORD}
        assert self.client.post("/sign-in/again/", proof).status_code == 302
        yield "second factor", self.get("/account/second-factor/")
        yield "app", self.get("/account/second-factor/app/activate/")
        yield "app, refused", self.post("/account/second-factor/app/activate/", {"code": "1"})
        yield "security keys, none", self.get(keys)
        yield "security key, added", self.get(f"{keys}add/")
        TOTP.activate(self.admin, "A" * 32)
        RecoveryCodes.activate(self.admin)
        key = Authenticator.objects.create(
            user=self.admin, type=Authenticator.Type.WEBAUTHN, data={"name": "1234", "credential": {}}
        )
        yield "second factor, set up", self.get("/account/second-factor/")
        assert self.client.post("/sign-in/again/", proof).status_code == 302
        yield "app, removed", self.get("/account/second-factor/app/deactivate/")
        yield "recovery codes", self.get("/account/second-factor/codes/")
        yield "recovery codes, new", self.get("/account/second-factor/codes/generate/")
        yield "security keys", self.get(keys)
        yield "security key, renamed", self.get(reverse("mfa_edit_webauthn", kwargs={"pk": key.pk}))
        yield "security key, removed", self.get(reverse("mfa_remove_webauthn", kwargs={"pk": key.pk}))
        yield "prove it again", self.get("/sign-in/again/")
        yield "prove it again, refused", self.post("/sign-in/again/", {"password": "x"})
        yield "prove it again by a code", self.get("/sign-in/again/code/")
        yield (
            "prove it again by a key",
            render_to_string("mfa/webauthn/reauthenticate.html", {"form": {}, "js_data": {}}),
        )
        key.delete()
        client = Client(headers={"accept-language": CODE})
        sent = {"login": self.admin.email, "password": PASSWORD}
        yield "second step", self.post("/sign-in/", sent, client)
        yield "second step, refused", self.post("/sign-in/second-factor/", {"code": "000000"}, client)

    def other_pages(self) -> Iterator[tuple[str, str]]:
        """Signing in, refusals, and what is left."""
        client = Client(headers={"accept-language": CODE})
        yield "sign-in", self.get("/sign-in/", client)
        yield "sign-in, nothing typed", self.post("/sign-in/", {}, client)
        yield "sign-in, refused", self.post("/sign-in/", {"login": "x@example.org", "password": "x"}, client)
        for _ in range(10):
            paused = self.post("/sign-in/", {"login": "y@example.org", "password": "x"}, client)
        yield "sign-in, paused", paused
        yield "self-check", self.get("/self-check/")
        yield "schemas", self.get("/schemas/")
        yield "not found", self.get("/nowhere/")
        yield "not permitted", self.get("/exchanges/kraken/command/nonsense/")
        yield "not permitted in the admin", self.get("/admin/", self.nobody)
        yield (
            "not sent",
            self.post("/account/", {}, Client(enforce_csrf_checks=True, headers={"accept-language": CODE})),
        )
        failing = Client(raise_request_exception=False, headers={"accept-language": CODE})
        failing.cookies = self.client.cookies
        with patch("activity.views_account.settings_of", side_effect=ZeroDivisionError):
            yield "server error", failing.get("/account/").content.decode()


def admin_pages(admin: User, rows: Rows) -> Iterator[tuple[str, str]]:
    """Every page of the Django admin that a GET opens, and what its forms refuse."""
    client = Client(headers={"accept-language": CODE})
    client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
    for route, name in patterns():
        if name.startswith("admin:") and "export" not in name and name not in ("admin:logout", "admin:jsi18n"):
            path = rows.path(route, name, OWN)
            answer = client.get(path)
            if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
                yield path, answer.content.decode()
                if "_add" in name:
                    yield f"{path}, refused", client.post(path, {}).content.decode()
    for model in ("notificationchannel", "walllink", "apitoken", "delivery"):
        path = f"/admin/activity/{model}/"
        for action in ("revoke", "send_tests", "retry_now", "give_up"):
            chosen = {
                "action": action,
                "_selected_action": [row.pk for row in apps.get_model("activity", model).objects.all()],
            }
            yield f"{path}, {action}", client.post(path, chosen, follow=True).content.decode()
    for model in ("walllink", "apitoken"):
        made = client.post(f"/admin/activity/{model}/add/", {"name": "1234", "user": admin.pk})
        yield f"/admin/activity/{model}/, made", made.content.decode()
    wrong = {"name": "X Y", "timeframes": "1", "geo_restrictions": '["x"]', "api_limits": "1"}
    yield "/admin/activity/exchange/, refused", client.post("/admin/activity/exchange/add/", wrong).content.decode()
    channel = {"name": "1234", "new_url": "nonsense", "kinds": ["error"]}
    yield "channel, refused", client.post("/admin/activity/notificationchannel/add/", channel).content.decode()
