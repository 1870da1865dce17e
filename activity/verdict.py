"""The verdict over all cards of a page, worst first; static/js/cards.js says the same of what has come since."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from activity.cards import Card, Condition

#: What gets a clause of its own in the verdict, worst first. Behind these: who runs and does not serve, and who ended.
CLAUSES: Final[tuple[Condition, ...]] = ("lost", "unreadable", "foreign", "late")
#: What the title of a page says of one that needs a look, and of several.
BRIEF: Final = {
    "lost": (gettext_lazy("%(name)s lost"), gettext_lazy("%(count)s lost")),
    "unreadable": (gettext_lazy("%(name)s unreadable"), gettext_lazy("%(count)s unreadable")),
    "foreign": (gettext_lazy("%(name)s foreign"), gettext_lazy("%(count)s foreign")),
    "late": (gettext_lazy("%(name)s late"), gettext_lazy("%(count)s late")),
    "stuck": (gettext_lazy("%(name)s stuck"), gettext_lazy("%(count)s stuck")),
}
#: How much each needs somebody, most first; `stuck` and `resting` are fresh instances that do not serve.
_NEED: Final = (
    "lost",
    "unreadable",
    "foreign",
    "unknown",
    "late",
    "stuck",
    "resting",
    "then",
    "ended",
    "never",
    "fresh",
)


def need_of(card: Card) -> int:
    """The card's place in the order of need, 0 first."""
    if card.cond == "fresh" and not card.served:
        return _NEED.index("stuck" if card.stuck else "resting")
    return _NEED.index(card.cond)


def _listing(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    return _("%(names)s and %(last)s") % {"names": ", ".join(names[:-1]), "last": names[-1]}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The sentence on top: one clause per exchange that needs a look, worst first, then what holds for several."""

    clauses: list[Card]
    rest: list[str]
    unknown: bool = False  # of some exchange nobody can say how it is

    @property
    def level(self) -> str:
        """The worst of it, for the icon of the page: lost, late (whatever else needs a look), unknown or well."""
        conds = {card.cond for card in self.clauses}
        if "lost" in conds:
            return "lost"
        if conds & {"unreadable", "foreign", "late"} or any(card.stuck for card in self.clauses):
            return "late"
        return "unknown" if self.unknown else "well"

    @property
    def brief(self) -> str:
        """The worst of it in two words, for the title of the page; empty where all is well."""
        worst = [card for card in self.clauses if card.cond in CLAUSES or card.stuck]
        if not worst:
            return _("unknown") if self.level == "unknown" else ""
        kinds = [card.cond if card.cond in BRIEF else "stuck" for card in worst]
        one, many = BRIEF[kinds[0]]
        alike = kinds.count(kinds[0])
        return str(one % {"name": worst[0].name} if alike == 1 else many % {"count": alike})


def verdict_of(cards: Sequence[Card]) -> Verdict:
    """The verdict over all cards of a page; clauses of one severity stand in the order of the cards."""

    def having(cond: Condition) -> list[Card]:
        return [card for card in cards if card.cond == cond]

    rest = []
    if unknown := [card.name for card in having("unknown")]:
        rest.append(_("%(names)s unknown") % {"names": _listing(unknown)})
    if waiting := [card.name for card in having("never")]:
        rest.append(_("%(names)s without an instance so far") % {"names": _listing(waiting)})
    if then := having("then"):
        active = sum(card.state == "active" for card in then)
        rest.append(_("%(count)s of %(total)s told active") % {"count": active, "total": len(cards)})
        return Verdict([card for cond in CLAUSES for card in having(cond)], rest, bool(unknown))
    served, total = sum(card.served for card in cards), len(cards)
    if len(unknown) < total:
        rest.append(_served(served, total, certain=not unknown))
    clauses = [card for cond in CLAUSES for card in having(cond)]
    resting = sorted((card for card in having("fresh") if not card.served), key=lambda card: not card.stuck)
    return Verdict([*clauses, *resting, *having("ended")], rest, bool(unknown))


def _served(served: int, total: int, *, certain: bool) -> str:
    facts = {"served": served, "total": total}
    if served == total and total > 1:
        return _("All %(total)s exchanges served") % facts
    if certain:
        words = ngettext("%(served)s of %(total)s exchange served", "%(served)s of %(total)s exchanges served", total)
    else:
        words = ngettext(
            "%(served)s of %(total)s exchange known to be served",
            "%(served)s of %(total)s exchanges known to be served",
            total,
        )
    return words % facts
