"""Whatever an instance writes is text: seen, never obeyed."""

import json

import redis

from activity.models import User
from activity.text import SHOWN_BYTES, visible
from tests.pages.conftest import SignIn
from tests.pages.reading import page_of, rows
from tests.pages.writing import append, append_error, put_status


def test_markup_is_shown_and_not_run(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    text = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    append_error(store, "kraken", text, hostname=text)
    append(store, "kraken", event=text)
    put_status(store, "kraken", hostname=text, lastError=text, adminDisplayName=text, version=text)
    answer = sign_in(admin).get("/")
    assert b"<script>alert" not in answer.content
    assert b"<img src=x" not in answer.content
    assert text in rows(page_of(answer))[0].text


def test_control_and_bidi_characters_become_visible(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    append_error(store, "kraken", "exe\u202egnp \x1b[31mred\x00 \u200b\U000e0041")
    answer = sign_in(admin).get("/")
    for character in "\u202e\x1b\x00\u200b\U000e0041":
        assert character not in answer.content.decode()
    assert r"exe\u202egnp \u001b[31mred\u0000 \u200b\udb40\udc41" in rows(page_of(answer))[0].text


def test_tabs_and_newlines_stay_and_the_whole_of_a_long_error_is_shown_on_demand(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    append_error(store, "kraken", "Traceback (most recent call last):\n\tawait feed()\nValueError: crossed")
    page = page_of(sign_in(admin).get("/"))
    full = rows(page)[0].one(data_slot="full")
    assert "".join(str(part) for part in full.children).endswith("\n\tawait feed()\nValueError: crossed")


def test_a_huge_value_is_cut_in_display_and_whole_behind_a_link(
    sign_in: SignIn, admin: User, store: redis.Redis
) -> None:
    error = "Huge: " + "€" * 30_000  # 90 KB
    entry_id = append_error(store, "kraken", error)
    client = sign_in(admin)
    answer = client.get("/")
    row = rows(page_of(answer))[0]
    assert "23.9 KB more are not shown here" in row.text  # 90,006 bytes, of which 65,535 end at a character's edge
    assert len(answer.content) < 4 * SHOWN_BYTES
    whole = client.get(f"/exchanges/kraken/entries/{entry_id}/")
    assert whole["Content-Type"] == "application/json"
    assert json.loads(whole.content)["error"] == error


def test_bytes_that_are_no_text_break_nothing(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    store.xadd("logs:network:kraken", {b"event": b"error", b"timestamp": b"\xff\xfe", b"error": b"\xc3\x28"})
    (row,) = rows(page_of(sign_in(admin).get("/")))
    assert row.attributes["data-kind"] == "error"
    assert "\ufffd(" in row.text


def test_an_id_beyond_the_calendar_has_no_time_and_is_shown(sign_in: SignIn, admin: User, store: redis.Redis) -> None:
    append(store, "kraken", entry_id="18446744073709551615-1", event="oddity")
    (row,) = rows(page_of(sign_in(admin).get("/")))
    assert "no time" in row.text
    assert "oddity" in row.text


def test_a_visible_text_means_the_same_inside_json() -> None:
    text = "a\u202eb\x7fc\U000e0041"
    assert json.loads(visible(json.dumps(text, ensure_ascii=False))) == text
