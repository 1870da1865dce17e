"""The only rule about rights. Pages, sockets, API and admin ask here, and nobody looks at permissions elsewhere."""

from typing import Final, Literal

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from guardian.shortcuts import get_objects_for_user

from activity.models import Exchange, User, WallLink

Verb = Literal["view", "claim", "command", "takeover", "administer"]

#: The permission behind each verb, on one exchange (guardian) or on all of them (Django's model permission).
_PERMISSIONS: Final[dict[Verb, str]] = {
    "view": "activity.view_exchange",
    "claim": "activity.claim_exchange",
    "command": "activity.command_exchange",
    "takeover": "activity.takeover_exchange",
    "administer": "activity.administer_exchange",
}


def can(user: User | AnonymousUser, exchange: Exchange, verb: Verb) -> bool:
    """Whether the user may do that to the exchange. A superuser may everything, an inactive user nothing.

    What a user may not view does not exist for them, so every other verb needs view as well.
    """
    if not user.is_active:
        return False
    needed: tuple[Verb, ...] = ("view",) if verb == "view" else ("view", verb)
    return all(user.has_perm(_PERMISSIONS[v]) or user.has_perm(_PERMISSIONS[v], exchange) for v in needed)


def visible_exchanges(user: User | AnonymousUser) -> QuerySet[Exchange]:
    """The active exchanges that the user may view, by name."""
    active = Exchange.objects.filter(active=True).order_by("name")
    if not user.is_active:
        return active.none()
    visible: QuerySet[Exchange] = get_objects_for_user(user, _PERMISSIONS["view"], klass=active)
    return visible


def wall_exchanges(link: WallLink) -> QuerySet[Exchange]:
    """The active exchanges that a screen may show now, by name: the chosen ones or all, of what its maker may view."""
    visible = visible_exchanges(link.created_by)
    chosen = list(link.exchanges.values_list("pk", flat=True))
    return visible.filter(pk__in=chosen) if chosen else visible
