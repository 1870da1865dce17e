"""How a user has the cards of the network page arranged: their order, how much room they get, and in which groups.

Said by the page's address; remembered by a cookie, which tells nothing but that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal, get_args

from django.utils.translation import gettext as _

from activity.cards import Card
from activity.verdict import need_of

Sort = Literal["name", "need"]
Density = Literal["roomy", "dense"]
Group = Literal["none", "host", "admin"]

COOKIE: Final = "perseus-cards"
#: A year, in seconds.
COOKIE_AGE: Final = 365 * 24 * 3600
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "sort": get_args(Sort),
    "density": get_args(Density),
    "group": get_args(Group),
}


@dataclass(frozen=True, slots=True)
class Arrangement:
    """One choice of each."""

    sort: Sort = "name"
    density: Density = "roomy"
    group: Group = "none"

    @property
    def cookie(self) -> str:
        """As the cookie keeps it."""
        return ".".join(asdict(self).values())

    def key_of(self, card: Card) -> str:
        """The name of the group that a card belongs to."""
        if self.group == "host":
            return card.host or _("no host")
        if self.group == "admin":
            return card.admin or _("nobody responsible")
        return ""

    def groups(self, cards: Sequence[Card]) -> list[tuple[str, list[Card]]]:
        """The cards in their groups, both in order. static/js/arrange.js does the same with live cards."""
        ordered = sorted(cards, key=lambda card: (need_of(card) if self.sort == "need" else 0, card.name))
        groups: dict[str, list[Card]] = {}
        for card in ordered:
            groups.setdefault(self.key_of(card), []).append(card)
        by_need = self.sort == "need"
        return list(groups.items()) if by_need else sorted(groups.items())


def arrangement_of(asked: Mapping[str, str], cookie: str) -> Arrangement:
    """What the address asks for; where it is silent, what the cookie remembers. Raises ValueError for a wrong one."""
    known = dict(zip(_CHOICES, cookie.split("."), strict=False))
    remembered = {name: value for name, value in known.items() if value in _CHOICES[name]}
    for name, choices in _CHOICES.items():
        value = asked.get(name)
        if value is not None and value not in choices:
            facts = {"given": f"{name}={value[:40]}", "choices": ", ".join(choices)}
            raise ValueError(_("%(given)s: expected %(choices)s") % facts)
        if value is not None:
            remembered[name] = value
    return replace(Arrangement(), **remembered)  # type: ignore[arg-type] # checked against the choices
