"""Paces, masks and texts, piece by piece."""

import time

import pytest

from activity.models import Exchange
from activity.recorder.messages import harmless, kind_of, split, text_of
from activity.recorder.outbound import BadUrl, Service
from activity.recorder.pacing import LONGEST_SECONDS, MARGIN_SECONDS, Pacer, seconds_between, told_wait
from activity.wire.entries import EntryId, StreamEntry, classify

NOW = 1_795_000_000.0
TOKEN = "AAbbCCddEEffGGhhIIjj"


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds"),
    [
        (429, {"Retry-After": "3"}, b"", 3),
        (429, {"Retry-After": "0.35"}, b"", 0.35),
        (429, {"retry-after": "Wed, 18 Nov 2026 11:06:50 GMT"}, b"", 10),
        (429, {}, b'{"retry_after": 1.5, "global": false}', 1.5),
        (429, {}, b'{"ok": false, "parameters": {"retry_after": 35}}', 35),
        (429, {}, b"[" * 100_000, 60),
        (429, {"Retry-After": "soon"}, b"", 60),
        (429, {"Retry-After": "nan"}, b"", 60),
        (429, {"Retry-After": "-5"}, b"", 60),
        (429, {"Retry-After": "1e12"}, b"", LONGEST_SECONDS),
        (503, {"Retry-After": "7"}, b"", 7),
        (200, {"Retry-After": "7"}, b"", None),
        (200, {}, b"", None),
        (200, {"X-RateLimit-Remaining": "4", "X-RateLimit-Reset-After": "2"}, b"", None),
        (200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "2"}, b"", 2),
        (204, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW) + 9)}, b"", 9),
        (204, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW + 9) * 1000)}, b"", 9),
        (200, {"RateLimit-Remaining": "0", "RateLimit-Reset": "12"}, b"", 12),
        (200, {"RateLimit": '"default";r=0;t=30'}, b"", 30),
        (200, {"RateLimit": '"default";r=3;t=30'}, b"", None),
    ],
)
def test_what_a_remote_asks_for_is_understood(
    status: int, headers: dict[str, str], body: bytes, seconds: float | None
) -> None:
    expected = None if seconds is None else pytest.approx(seconds + MARGIN_SECONDS)
    assert told_wait(status, headers, body, NOW) == expected


@pytest.mark.parametrize(
    ("url", "in_a_minute", "within"),
    [
        ("discord://1234567890/" + TOKEN, 30, 60),
        ("discord://1234567890/" + TOKEN, 5, 2),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general", 60, 60),
        ("tgram://123456789:abcdefg_hijklmnop/-12315544/", 20, 60),
        ("mailtos://user:pw@example.org", 10, 60),
        ("pover://uuuuuuuuuuuuuuuuuuuuuuuuuuuuuu@tttttttttttttttttttttttttttttt", 12, 60),
    ],
)
def test_the_known_limits_of_services_are_kept_without_a_burst(url: str, in_a_minute: int, within: float) -> None:
    assert within / Service(url).interval <= in_a_minute


def test_a_service_that_asks_for_more_time_than_known_gets_it() -> None:
    assert seconds_between("json", 9.0) == 9.0
    assert seconds_between("no such service", 0.0) == 5.5


def test_a_longer_wait_is_not_shortened_by_a_shorter_one() -> None:
    clock = [0.0]
    pacer = Pacer(lambda: clock[0])
    pacer.hold("a", 30)
    pacer.asked("a", 1)
    assert (pacer.left("a"), pacer.left("b")) == (30, 0)
    clock[0] = 30
    assert pacer.left("a") == 0


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"discord://123456/{TOKEN}", "discord://…"),
        (f"https://discord.com/api/webhooks/1234567890/{TOKEN}", "discord://…"),
        (f"tgram://123456789:{TOKEN}/-100/", "tgram://…"),
        (f"slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN}4321/#general", "slack://…"),
        (f"mailtos://user:{TOKEN}@example.org?to=a@example.org", "mailtos://example.org:587/…"),
        (f"json://user:{TOKEN}@hooks.example.org:8443/{TOKEN}?token={TOKEN}", "json://hooks.example.org:8443/…"),
        (f"ntfys://{TOKEN}", "ntfys://…"),
    ],
)
def test_only_scheme_and_host_of_a_url_are_shown(url: str, shown: str) -> None:
    assert Service(url).shown == shown
    assert TOKEN not in Service(url).shown


@pytest.mark.parametrize("url", [f"nonsense://{TOKEN}", f"discord://{TOKEN}", TOKEN, "", "json://", f"file://{TOKEN}"])
def test_a_url_of_no_service_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(BadUrl) as refusal:
        Service(url)
    assert TOKEN not in str(refusal.value)


def test_pieces_of_a_url_are_taken_out_of_any_text() -> None:
    service = Service(f"json://user:{TOKEN}@hooks.example.org/a%2Fpath/{TOKEN}X?key={TOKEN}Y")
    said = f"failed for user:{TOKEN} at https://hooks.example.org/a/path/{TOKEN}X, {TOKEN}Y, then a%2Fpath"
    assert TOKEN not in service.scrub(said)
    assert "a%2Fpath" not in service.scrub(said)


def test_two_channels_of_one_account_share_its_pace() -> None:
    assert Service(f"tgram://123456789:{TOKEN}/1/").remote == Service(f"tgram://123456789:{TOKEN}/2/").remote
    assert Service("json://example.org/a").remote == Service("jsons://example.org/b").remote.replace(":443", ":")
    assert Service(f"discord://1234567890/{TOKEN}").remote != Service(f"discord://1234567891/{TOKEN}").remote


# --- texts ---


def entry(**fields: str) -> StreamEntry:
    kind, problem = classify(fields)
    return StreamEntry(EntryId(7, 1), fields, kind, problem)


def test_a_text_from_anywhere_cannot_call_everybody_or_draw() -> None:
    shown = harmless("@everyone <!channel> <@U123> @HERE a@b.org \x1b[2J \u202eabc \x00")
    assert not any(call in shown.lower() for call in ("@everyone", "<!channel", "<@u", "@here"))
    assert "a@b.org" in shown
    assert all(char.isprintable() or char == "\u200b" for char in shown)


def test_every_kind_of_entry_says_what_it_is() -> None:
    now = "2026-11-22T10:00:00.000Z"
    kraken = Exchange(name="kraken")
    moved = entry(event="state_transition", timestamp=now, fromState="warming", toState="active", hostname="h")
    lost = entry(event="error", timestamp=now, error="gone", kind="lost", state="active")
    strange = entry(event="error", timestamp=now, error="x", kind="made up", state="idle")
    assert [kind_of(one) for one in (moved, lost, strange, entry(event="x"), entry(a="b"))] == [
        *("to:active", "lost", "error", "other", "other")
    ]
    assert text_of(kraken, moved) == f"kraken: warming → active\nh · {now} · entry 7-1"
    assert text_of(kraken, lost).startswith("kraken: LOST: gone\n")
    long = text_of(kraken, entry(event="error", timestamp=now, error="x" * 70_000, state="idle"))
    assert "more characters are in the archive" in long


@pytest.mark.parametrize("text", ["", "short", "line\n" * 500, "x" * 5000, "& " * 3000, "€\n" * 900])
def test_pieces_fit_and_together_are_the_whole(text: str) -> None:
    service = Service(f"tgram://123456789:{TOKEN}/1/")  # in HTML: an ampersand takes five bytes
    pieces = split(text, 1000, service.measure)
    assert "".join(pieces) == text
    assert all(service.measure(piece) <= 1000 for piece in pieces)


def test_splitting_much_text_takes_little_time() -> None:
    began = time.process_time()
    assert len(split("word " * 13_000, 1900, lambda text: len(text.encode()))) == 35
    assert time.process_time() - began < 5
