"""What travels compressed, and what is not sent again."""

import gzip
import re

import pytest
from django.test import Client

from activity.models import User
from tests.pages.conftest import SignIn

SCRIPT = "/static/js/cards.js"


def body(answer: object) -> bytes:
    return b"".join(answer.streaming_content) if getattr(answer, "streaming", False) else answer.content  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", [SCRIPT, "/static/css/card.css", "/static/icons.svg"])
def test_scripts_styles_and_icons_come_compressed_and_unchanged_ones_not_again(client: Client, path: str) -> None:
    answer = client.get(path, HTTP_ACCEPT_ENCODING="gzip")
    assert answer["Content-Encoding"] == "gzip"
    sent = body(answer)
    plain = client.get(path)
    assert "Content-Encoding" not in plain
    assert gzip.decompress(sent) == body(plain)
    again = client.get(path, HTTP_ACCEPT_ENCODING="gzip", HTTP_IF_NONE_MATCH=answer["ETag"])
    assert again.status_code == 304
    assert "Content-Encoding" not in again


def test_a_part_of_a_file_is_a_part_of_the_file(client: Client) -> None:
    part = client.get(SCRIPT, HTTP_ACCEPT_ENCODING="gzip", HTTP_RANGE="bytes=0-99")
    assert part.status_code == 206
    assert "Content-Encoding" not in part
    assert body(part) == body(client.get(SCRIPT))[:100]


def test_fonts_are_compressed_already(client: Client) -> None:
    answer = client.get("/static/vendor/inter-most.woff2", HTTP_ACCEPT_ENCODING="gzip")
    assert "Content-Encoding" not in answer
    assert int(answer["Content-Length"]) == len(body(answer))


def test_pages_come_compressed_and_are_kept_by_nobody(sign_in: SignIn, admin: User) -> None:
    answer = sign_in(admin).get("/", HTTP_ACCEPT_ENCODING="gzip")
    assert answer["Content-Encoding"] == "gzip"
    assert "ETag" not in answer
    assert re.search(rb"<article", gzip.decompress(answer.content))


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_exports_come_compressed(sign_in: SignIn, admin: User, form: str) -> None:
    answer = sign_in(admin).get(f"/entries.{form}", HTTP_ACCEPT_ENCODING="gzip")
    assert answer["Content-Encoding"] == "gzip"
