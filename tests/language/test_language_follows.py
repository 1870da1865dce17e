"""Which language a page speaks: what its user chose, else what the browser asks for. Programs and shells: English."""

import os
import re
import subprocess
import sys

import pytest
from django.test import Client
from django.utils import translation

from activity.models import ApiToken, AuditEvent, Command, Exchange, User
from activity.user_settings import settings_of
from activity.wire.settings import SettingsRefused, read_settings
from activity.words import number, spoken
from tests.pages.conftest import PASSWORD
from tests.web import ROOT


def browser(language: str, user: User | None = None) -> Client:
    client = Client(headers={"accept-language": language})
    if user:
        assert client.post("/sign-in/", {"login": user.email, "password": PASSWORD}).status_code == 302
    return client


def spoken_by(client: Client, path: str) -> tuple[str, str, str]:
    """The language of a page: its markup's, its header's, and its heading."""
    answer = client.get(path, follow=True)
    page = answer.content.decode()
    marked, heading = re.search(r'<html lang="(\w+)"', page), re.search(r"<h1[^>]*>(.*?)</h1>", page)
    assert marked, page
    return marked[1], answer["Content-Language"], heading[1] if heading else ""


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        ("de", ("de", "de", "Anmelden")),
        ("de-AT, en;q=0.5", ("de", "de", "Anmelden")),
        ("en-GB", ("en", "en", "Sign in")),
        ("fr", ("en", "en", "Sign in")),
        ("fr, de;q=0.5", ("de", "de", "Anmelden")),
    ],
)
def test_the_browser_is_asked_first(wish: str, found: tuple[str, str, str]) -> None:
    assert spoken_by(browser(wish), "/sign-in/") == found


def test_what_the_user_chose_counts_more(admin: User) -> None:
    german = browser("en", admin)
    User.objects.filter(pk=admin.pk).update(language="de")
    assert spoken_by(german, "/account/") == ("de", "de", "Einstellungen")
    assert spoken_by(german, "/self-check/") == ("de", "de", "Selbsttest")
    assert spoken_by(german, "/admin/")[:2] == ("de", "de")
    User.objects.filter(pk=admin.pk).update(language="en")
    assert spoken_by(browser("de", admin), "/account/") == ("en", "en", "Settings")


def test_the_language_is_a_setting_and_null_asks_the_browser_again(admin: User) -> None:
    client = browser("en", admin)

    def save(language: str) -> None:
        page = client.post("/account/", {"from": "json", "document": f'{{"language": {language}}}'}).content.decode()
        digest = re.search(r'name="digest" value="(\w+)"', page)
        assert digest, page
        sent = {"from": "json", "do": "save", "digest": digest[1], "document": f'{{"language": {language}}}'}
        assert client.post("/account/", sent).status_code == 302

    save('"de"')
    assert settings_of(User.objects.get(pk=admin.pk)).language == "de"
    page = client.get("/account/").content.decode()
    assert "<h1>Einstellungen</h1>" in page
    assert '<option value="de" lang="de" selected>Deutsch</option>' in page
    save("null")
    assert User.objects.get(pk=admin.pk).language == ""
    assert spoken_by(client, "/account/") == ("en", "en", "Settings")
    refused = client.post("/account/", {"from": "json", "document": '{"language": "fr"}'})
    assert refused.status_code == 400


def test_pages_that_refuse_speak_it_too(admin: User, nobody: User) -> None:
    User.objects.update(language="de")
    assert spoken_by(browser("en", nobody), "/admin/") == ("de", "de", "Das dürfen Sie nicht")
    assert spoken_by(browser("en", nobody), "/nowhere/") == ("de", "de", "Diese Seite gibt es nicht")
    strict = Client(enforce_csrf_checks=True, headers={"accept-language": "de"})
    refused = strict.post("/sign-in/", {}).content.decode()
    assert '<html lang="de">' in refused
    assert "Das Formular wurde nicht angenommen" in refused


def test_the_words_of_scripts_are_in_the_language_of_the_page(admin: User) -> None:
    client = browser("en", admin)
    assert "Kopiert" not in client.get("/words.js?en").content.decode()
    User.objects.update(language="de")
    assert '"Copied": "Kopiert"' in client.get("/words.js?de").content.decode()


def test_programs_get_english(admin: User) -> None:
    User.objects.update(language="de")
    _, token = ApiToken.issue(admin, "a script")
    program = Client(headers={"authorization": f"Bearer {token}", "accept-language": "de"})
    answer = program.get("/api/v1/activity?until=2026-01-01T00:00:00Z&since=2026-01-02T00:00:00Z")
    assert (answer.status_code, answer.json()["detail"]) == (400, "until: it is before since")


def test_what_is_stored_is_english(admin: User, exchanges: dict[str, Exchange]) -> None:
    User.objects.update(language="de")
    client = browser("de", admin)
    client.post("/admin/activity/exchange/add/", {"name": "mexc", "display_name": "MEXC", "timeframes": "[]"})
    assert Exchange.objects.filter(name="mexc").exists()
    assert AuditEvent.objects.filter(action="created", subject="exchange mexc").exists()
    client.post("/admin/auth/group/add/", {"name": "a team"})
    assert AuditEvent.objects.filter(action="created", subject="group a team").exists()


def test_a_shell_in_german_gets_english() -> None:
    environment = {**os.environ, "LANG": "de_DE.UTF-8", "LANGUAGE": "de", "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "manage.py", "doctor", "--url", "nonsense"]
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert "WebSocket path: 'nonsense' is no URL of a site" in told.stdout
    assert "Database" in told.stdout
    assert "Datenbank" not in told.stdout


def test_what_modules_without_django_say_is_spoken_on_the_page() -> None:
    with pytest.raises(SettingsRefused) as faults:
        read_settings('{"mode": "a b", "language": "fr", "timeZone": "Berlin", "no": 1}')
    assert faults.value.faults == [
        "timeZone: 'Berlin' is no IANA time zone, e.g. Europe/Berlin",
        "language: Input should be 'en' or 'de'",
        "mode: expected up to 32 letters, digits, _ and -, such as live or paper",
        "no: there is no such field",
    ]
    with translation.override("de"):
        assert [spoken(fault) for fault in faults.value.faults] == [
            "timeZone: 'Berlin' ist keine IANA-Zeitzone, z. B. Europe/Berlin",
            "language: Erwartet wird 'en' or 'de'",
            "mode: erwartet werden bis zu 32 Buchstaben, Ziffern, _ und -, etwa live oder paper",
            "no: dieses Feld gibt es nicht",
        ]
        assert spoken(ValueError("somebody else's words")) == "somebody else's words"


def test_numbers_are_apart_as_the_language_has_it() -> None:
    assert (number(1234567), number(1234.56, 1)) == ("1,234,567", "1,234.6")
    with translation.override("de"):
        assert (number(1234567), number(1234.56, 1)) == ("1.234.567", "1.234,6")


def test_a_report_of_our_own_is_spoken_and_a_programs_is_not() -> None:
    with translation.override("de"):
        assert Command(text="it never reached Redis").said == "er hat Redis nie erreicht"
        assert Command(text="never").said == "never"
