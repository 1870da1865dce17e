"""Nothing on a page is beyond translation: in a language of brackets, every word that is not data stands in them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zoneinfo import available_timezones

import pytest
import redis
from django.utils import translation

from activity.models import Exchange, User
from tests.access.test_rights_matrix import Rows
from tests.language.pages import World, admin_pages, write_commands, write_network
from tests.language.pseudo import CODE, OPEN, language_of_brackets, untranslatable
from tests.servers import RedisServer

#: What pages show and nobody translates.
_DATA: Final = (
    *("Perseus", "UTC", "JSON", "CSV", "English", "Deutsch", "Brackets", "Name"),
    *("binance", "coinbase", "kraken", r"\S+@example\.org", "Anaïs Roux", "AR", "Marta Kovač", "MK", "N", "DE"),
    *("fra-edge-03[\\w-]*", "ams-edge-01", "standby-one", "standby-two", "idle-one", "idle-two", "bot", "pid", "paper"),
    *("idle", "starting", "warming", "active", "stopping", "stopped", "blank", "15m", "1h", "6h", "24h", "7d"),
    "exchange:3:status",
    *("stop", "pause", "claim", "release", "live"),
    *("Order book: out of sequence", "Redis", "Redis Cluster", "noeviction", "null", r"\d+ (?:ms|s|min|h|d)"),
    *(
        r"BTC/USD(?: ETH/USD)?",
        r"\d{4}-\d{2}-\d{2}T[\d:.]+Z",
        "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        "[0-9a-f]{8}",
    ),
    *sorted(map(re.escape, available_timezones()), key=len, reverse=True),
)
#: What stands in the Django admin besides: rows of the test, what is stored in English (what Django's log and libraries
#: say), and what libraries say in English alone.
_ADMIN: Final = (
    *(
        "Kraken",
        "Binance",
        "nobody listens",
        "the office",
        r"a script(?: \(\S+\))?",
        "a team",
        "a browser",
        "x",
        "Perseus: test",
    ),
    r"\w+\*+",
    *(
        r"event: error",
        "of (?:kraken|binance)",
        r"error:?",
        "trimmed",
        "web",
        "-c",
        "json",
        "md5",
        "[0-9a-f]{64}",
        "ID",
        "Given up by",
    ),
    *("add-symbol", "handover", "reload-settings", "remove-symbol", "resume", "start", "switch-mode"),
    *(
        r"Guardian \| (?:user|group) object permission",
        "Axes",
        "True",
        "False",
        "Search",
        "Status",
        "<unknown>",
    ),
    *("Whether the user will be able to .* or LDAP.", "If disabled, the current password for this user will be lost."),
    *("Failed access: user", "Attempted Access:", "Access Log for", "on", "from", "\\+00:00"),
)
DATA: Final = re.compile(rf"(?<!\w)(?:{'|'.join((*_ADMIN, *_DATA))})(?!\w)")


@pytest.fixture
def world(
    tmp_path: Path,
    redis_server: RedisServer,
    store: redis.Redis,
    admin: User,
    nobody: User,
    exchanges: dict[str, Exchange],
) -> Iterator[World]:
    """A network, and who looks at it, in the language of brackets."""
    write_network(redis_server, store)
    write_commands(exchanges["kraken"], admin)
    with language_of_brackets(tmp_path):
        yield World(admin, nobody, exchanges)


def faults(pages: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    """What each page says outside of brackets."""
    found = {}
    for name, page in pages:
        translation.activate(CODE)  # for what is rendered without a request
        assert OPEN in page, name
        page = re.sub(r"<ol>.*?</ol>", "", page, flags=re.DOTALL) if name == "schemas" else page
        if wrong := untranslatable(page, DATA):
            found[name] = wrong
    return found


@pytest.mark.parametrize(
    "pages", ["live_pages", "steering_pages", "account_pages", "second_factor_pages", "other_pages"]
)
def test_every_word_of_a_page_can_be_translated(world: World, pages: str) -> None:
    found = faults(getattr(world, pages)())
    assert not found, json.dumps(found, indent=1, ensure_ascii=False)


def test_every_word_of_the_django_admin_can_be_translated(
    tmp_path: Path, redis_server: RedisServer, admin: User
) -> None:
    Exchange.objects.all().delete()
    rows = Rows()
    with language_of_brackets(tmp_path):
        found = faults(admin_pages(admin, rows))
    assert not found, json.dumps(found, indent=1, ensure_ascii=False)
