"""Where the parts of a timeline stand, and what they say. Places are percent of the width: no script is needed."""

from typing import Any, Final, TypeVar

from django import template
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from activity import text
from activity.timeline import Mark, Segment, Timeline
from activity.wire.entries import EntryId

register = template.Library()

Part = TypeVar("Part", Segment, Mark)

#: How high each state stands, of 44: the height says it again, for whoever does not see the colour.
_HEIGHTS: Final = {"active": 44, "warming": 32, "starting": 22, "stopping": 22, "stopped": 8, "idle": 6}
_FLOOR: Final = 50
#: Percent of the width: half a label, 18 pixels of the 340 that a phone has.
_EDGE: Final = 5.5


@register.simple_tag(takes_context=True)
def x(context: dict[str, Any], at: int) -> str:
    """A moment's place."""
    place: str = context["t"].x(at)
    return place


@register.simple_tag(takes_context=True)
def wide(context: dict[str, Any], segment: Segment) -> str:
    """A segment's width; what is there is never too narrow to be seen."""
    line = context["t"]
    return f"{max(0.15, float(line.x(segment.end)) - float(line.x(segment.begin))):.3f}"


def _place(line: Timeline, part: Segment | Mark) -> tuple[object, ...]:
    if isinstance(part, Mark):
        return (f"{float(line.x(part.at)):.2f}",)
    return (f"{float(line.x(part.begin)):.2f}", f"{float(line.x(part.end)):.2f}", part.what, part.state)


@register.filter
def apart(parts: list[Part], line: Timeline) -> list[Part]:
    """Of parts that cover the same hundredth of a percent, a seventh of a pixel, the newest: the one that lies on top.

    In a storm all 500 lie on one another, and drawing them again every second held the page up for 100 ms.
    """
    return list({_place(line, part): part for part in parts}.values())


@register.filter
def ticks(line: Timeline) -> list[str]:
    """Where the errors of a card's band stand. A tick is a pixel and a half of some 300: those beside it cover it."""
    return list(dict.fromkeys(f"{round(4 * float(line.x(error.at))) / 4:g}" for error in line.errors))


def _height(segment: Segment) -> int:
    return _HEIGHTS.get(segment.state, 44) if segment.what == "state" else 44


@register.simple_tag
def tall(segment: Segment, share: int = 1) -> int:
    """A segment's height, or a share of it for a lower band."""
    return _height(segment) // share


@register.simple_tag
def top(segment: Segment, share: int = 1) -> int:
    """A segment's upper edge."""
    return (_FLOOR - _height(segment)) // share


@register.simple_tag
def stamp(at: int) -> str:
    """A moment in UTC, to the second."""
    moment = text.from_milliseconds(at)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""


@register.simple_tag
def axis_label(at: int) -> str:
    """Hours and minutes; midnight is named by its day."""
    moment = text.from_milliseconds(at)
    if moment is None:
        return ""
    return text.day(moment) if (moment.hour, moment.minute) == (0, 0) else f"{moment:%H:%M}"


@register.simple_tag(takes_context=True)
def edge(context: dict[str, Any], at: int) -> str:
    """That a label stands at an edge of the band, where half of it would stick out: as a class."""
    place = float(context["t"].x(at))
    return " first" if place < _EDGE else " last" if place > 100 - _EDGE else ""


@register.simple_tag
def what(segment: Segment) -> str:
    """A segment in words."""
    if segment.what == "lost":
        return _("lost, was %(state)s") % {"state": segment.state or _("unknown")}
    if segment.what == "unknown":
        return _("not known: %(why)s") % {"why": segment.label} if segment.label else _("not known")
    return segment.state or segment.label


@register.simple_tag
def lasted(segment: Segment) -> str:
    """How long."""
    return text.duration((segment.end - segment.begin) / 1000)


@register.simple_tag
def told(segment: Segment) -> str:
    """A segment's whole title."""
    facts = {"what": what(segment), "lasted": lasted(segment), "begin": stamp(segment.begin)}
    return _("%(what)s, %(lasted)s, from %(begin)s") % facts


@register.simple_tag(takes_context=True)
def to_entry(context: dict[str, Any], part: Segment | Mark) -> str:
    """The feed at the entry with which it began, marked; without one, the page as it was at that moment."""
    name = context["t"].exchange
    page = reverse("exchange", args=[name])
    if isinstance(part, Mark) and part.correlation_id:
        return f"{page}?{urlencode({'text': part.correlation_id})}#activity"
    if not part.entry_id:
        at = part.begin if isinstance(part, Segment) else part.at
        return f"{page}?{urlencode({'at': at})}"
    entry = EntryId.parse(part.entry_id)
    just_above = EntryId(entry.milliseconds, entry.sequence + 1)
    return f"{page}?{urlencode({'before': f'{just_above}@{name}', 'entry': str(entry)})}#activity"
