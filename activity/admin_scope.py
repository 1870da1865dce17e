"""The exchanges that the user of one request of the Django admin may view or administer.

Every list of models asks once per model, several times: asked of each exchange by itself, a page of a network with
1,000 exchanges took tens of thousands of queries. Here it takes a few, and the answer is kept for the request.
"""

from typing import Any, cast

from django.http import HttpRequest

from activity.access import Verb, exchanges_of
from activity.models import Exchange


def _kept(request: HttpRequest, verb: Verb) -> dict[int, Exchange]:
    kept: dict[Verb, dict[int, Exchange]] = cast("Any", request).__dict__.setdefault("_exchanges_of_user", {})
    if verb not in kept:
        kept[verb] = {exchange.pk: exchange for exchange in exchanges_of(request.user, verb)}
    return kept[verb]


def viewable(request: HttpRequest) -> dict[int, Exchange]:
    """By id, in the order of their names; inactive ones too, for their history stays."""
    return _kept(request, "view")


def administered(request: HttpRequest) -> dict[int, Exchange]:
    """By id, in the order of their names; inactive ones too."""
    return _kept(request, "administer")
