"""A user's settings: form and JSON, the difference first, errors that name the field."""

import html
import json
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from guardian.shortcuts import assign_perm

from activity.models import AuditEvent, Exchange, User
from activity.user_settings import settings_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def kraken(marta: User) -> Exchange:
    """The exchange that Marta may view."""
    exchange = Exchange.objects.create(name="kraken", display_name="Kraken")
    assign_perm("activity.view_exchange", marta, exchange)
    return exchange


def document(client: Client) -> dict[str, object]:
    """What the export holds."""
    found: dict[str, object] = json.loads(client.get("/account/settings.json").content)
    return found


def save(client: Client, sent: dict[str, str]) -> str:
    """Send, look at the difference, save; the page of the difference."""
    answer = client.post("/account/", sent)
    page = answer.content.decode()
    assert answer.status_code == 200, page
    digest = re.search(r'name="digest" value="(\w+)"', page)
    text = re.search(r'<textarea name="document" hidden>(.*?)</textarea>', page, re.DOTALL)
    assert digest, page
    assert text
    fields = {"from": "json", "do": "save", "digest": digest[1], "document": html.unescape(text[1])}
    assert client.post("/account/", fields).status_code == 302
    return page


def test_the_form_shows_the_difference_before_it_saves(marta: User, signed_in: Client) -> None:
    sent = {
        "from": "form",
        "timeZone": "Europe/Berlin",
        "mode": "paper",
        "symbols.kraken": "BTC/USD, ETH/USD BTC/USD",
        "sound": "on",
        "conditions": "lost",
    }
    signed_in.post("/account/", sent)
    assert settings_of(marta).mode is None, "a look at the difference saves nothing"
    page = save(signed_in, sent)
    assert "symbols.kraken" in page
    assert "Europe/Berlin" in page
    marta.refresh_from_db()
    saved = settings_of(marta)
    assert (marta.time_zone, saved.mode, saved.symbols) == (
        "Europe/Berlin",
        "paper",
        {"kraken": ("BTC/USD", "ETH/USD")},
    )
    assert saved.notifications.sound
    assert not saved.notifications.desktop
    event = AuditEvent.objects.get(subject="settings of marta@example.org", action=AuditEvent.Action.CHANGED)
    assert json.loads(event.after)["mode"] == "paper"


def test_what_is_exported_can_be_imported(marta: User, signed_in: Client) -> None:
    save(signed_in, {"from": "form", "timeZone": "UTC", "symbols.kraken": "BTC/USD"})
    kept = signed_in.get("/account/settings.json").content
    save(signed_in, {"from": "form", "timeZone": "UTC", "symbols.kraken": ""})
    assert document(signed_in)["symbols"] == {}
    answer = signed_in.post("/account/", {"from": "file", "file": SimpleUploadedFile("kept.json", kept)})
    assert "symbols.kraken" in answer.content.decode()
    save(signed_in, {"from": "json", "document": kept.decode()})
    assert document(signed_in)["symbols"] == {"kraken": ["BTC/USD"]}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"timeZone": "Berlin"}, "timeZone: 'Berlin' is no IANA time zone"),
        ({"mode": "a b"}, "mode: expected up to 32 letters"),
        ({"symbols": {"kraken": ["BTC USD"]}}, "symbols.kraken.0: expected a symbol such as BTC/USD"),
        ({"symbols": {"mexc": ["BTC/USD"]}}, "symbols.mexc: there is no such exchange. Known are: kraken"),
        ({"version": 2}, "version: Input should be 1"),
        ({"colour": "red"}, "colour: there is no such field"),
        ({"notifications": {"sound": "perhaps"}}, "notifications.sound: Input should be a valid boolean"),
        ({"notifications": {"conditions": ["rain"]}}, "notifications.conditions.0: Input should be"),
    ],
)
def test_an_error_names_the_field_and_nothing_is_saved_or_lost(
    signed_in: Client, change: dict[str, object], named: str
) -> None:
    before = document(signed_in)
    text = json.dumps({**before, **change})
    answer = signed_in.post("/account/", {"from": "json", "document": text})
    page = html.unescape(answer.content.decode())
    assert answer.status_code == 400
    assert named in page
    assert json.dumps(change)[1:-1] in page, "what was typed is still there"
    assert document(signed_in) == before


def test_text_that_is_no_json_is_refused_in_words(signed_in: Client) -> None:
    page = signed_in.post("/account/", {"from": "json", "document": "{"}).content.decode()
    assert "document: Invalid JSON" in page


def test_settings_that_changed_meanwhile_are_not_overwritten(marta: User, signed_in: Client) -> None:
    first = signed_in.post("/account/", {"from": "form", "timeZone": "UTC", "mode": "live"}).content.decode()
    digest = re.search(r'name="digest" value="(\w+)"', first)
    assert digest
    save(signed_in, {"from": "form", "timeZone": "UTC", "mode": "paper"})
    late = {"from": "json", "do": "save", "digest": digest[1], "document": json.dumps({"mode": "live"})}
    answer = signed_in.post("/account/", late)
    assert answer.status_code == 409
    assert "changed elsewhere meanwhile" in answer.content.decode()
    assert settings_of(marta).mode == "paper"


def test_symbols_of_an_exchange_that_the_user_may_not_view_survive_the_form(marta: User, signed_in: Client) -> None:
    Exchange.objects.create(name="mexc", display_name="MEXC")
    save(signed_in, {"from": "json", "document": json.dumps({"symbols": {"mexc": ["A/B"]}})})
    save(signed_in, {"from": "form", "timeZone": "UTC", "symbols.kraken": "BTC/USD"})
    assert document(signed_in)["symbols"] == {"kraken": ["BTC/USD"], "mexc": ["A/B"]}
    assert "symbols-mexc" not in signed_in.get("/account/").content.decode()
