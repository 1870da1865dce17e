"""A screen on a wall: large tiles behind a link of its own, without a sign-in and without anything to press.

The link's token stands in the path. Nothing that this page asks for carries it on (no referrer), nothing keeps the
page, and our log lines leave it out (perseus_admin/logs.py). A proxy in front has to be told so: docs/operations.md.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from activity.access import wall_exchanges
from activity.cards import Card, blank_card, card_of, unknown_card
from activity.history import read_instances, read_newest_ids, read_page
from activity.models import Exchange, WallLink
from activity.rows import Row, row_of
from activity.store.client import StoreUnavailable, pages_client
from activity.text import milliseconds
from activity.verdict import verdict_of
from activity.wire.status import HEARTBEAT_SECONDS
from activity.words import spoken
from perseus_admin import config

#: Newest entries among which the errors at the bottom are looked for.
LOOKED_THROUGH: Final = 200
#: Errors at the bottom.
ERRORS: Final = 2
#: Columns of tiles at the most; css/wall.css has a rule for each.
COLUMNS: Final = 16
#: Seconds between two looks of a page without scripts.
REFRESH_SECONDS: Final = 30


def columns(tiles: int) -> int:
    """Columns in which tiles of about 3:2 fill a screen of 16:9."""
    return max(1, min(tiles, COLUMNS, math.ceil(math.sqrt(1.5 * tiles))))


def _closed(response: HttpResponse) -> HttpResponse:
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response


def _look(exchanges: Sequence[Exchange]) -> dict[str, Any]:
    """Cards, newest errors and the ids from which the socket goes on; or why there are none."""
    names = [exchange.name for exchange in exchanges]
    try:
        client = pages_client(config.settings().redis)
        cursors = read_newest_ids(client, names)
        views = read_instances(client, [(exchange.pk, exchange.name) for exchange in exchanges])
        now = datetime.now(UTC)  # ages are counted from the TTLs just read
        entries = read_page(client, names, count=LOOKED_THROUGH, cursor=None).entries
    except StoreUnavailable as error:
        cards = [unknown_card(x.pk, x.name, x.display_name, spoken(error)) for x in exchanges]
        return {"cards": cards, "errors": [], "cursors": {}, "now": datetime.now(UTC), "trouble": spoken(error)}
    cards = [card_of(view, now, x.display_name) for x, view in zip(exchanges, views, strict=True)]
    errors = [row_of(name, entry) for name, entry in entries if entry.kind == "error"][:ERRORS]
    return {"cards": cards, "errors": errors, "cursors": cursors, "now": now, "trouble": ""}


@require_safe
@never_cache
@login_not_required
def wall(request: HttpRequest, token: str) -> HttpResponse:
    """The exchanges of a link. A link that is unknown or revoked is not found."""
    link = WallLink.of_token(token)
    if link is None:
        return _closed(render(request, "wall_ended.html", status=404))
    found = _look(list(wall_exchanges(link)))
    cards: list[Card] = found["cards"]
    context = {
        **found,
        "link": link,
        "verdict": verdict_of(cards),
        "columns": columns(len(cards)),
        "blank_card": blank_card(1, "blank"),
        "blank_error": Row("error"),
        "refresh": REFRESH_SECONDS,
        "page": {
            "now": milliseconds(found["now"]),
            "socket": f"/ws/wall/{token}/",
            "after": found["cursors"],
            "cards": [card.facts() for card in cards],
            "heartbeatSeconds": HEARTBEAT_SECONDS,
            "errors": ERRORS,
        },
    }
    return _closed(render(request, "wall.html", context))
