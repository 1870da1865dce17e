"""The JSON Schemas of the wire contract, as pages."""

import json

import pytest
from django.test import Client

from activity import views
from activity.models import User
from tests.pages.conftest import SignIn
from tests.pages.reading import page_of


def test_they_need_a_sign_in(client: Client) -> None:
    assert client.get("/schemas/").status_code == 302
    assert client.get("/schemas/InstanceStatus.json").status_code == 302


def test_every_schema_is_listed_and_served(sign_in: SignIn, admin: User) -> None:
    client = sign_in(admin)
    page = page_of(client.get("/schemas/"))
    files = sorted(path.name for path in views.SCHEMAS.glob("*.json"))
    assert files
    for name in files:
        assert page.all(href=f"/schemas/{name}"), name
        answer = client.get(f"/schemas/{name}")
        assert answer["Content-Type"] == "application/schema+json"
        assert json.loads(b"".join(answer)) == json.loads((views.SCHEMAS / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["unknown.json", "..%2f..%2fpyproject.toml", "%2e%2e", "InstanceStatus"])
def test_nothing_else_is_served(sign_in: SignIn, admin: User, name: str) -> None:
    assert sign_in(admin).get(f"/schemas/{name}").status_code == 404
