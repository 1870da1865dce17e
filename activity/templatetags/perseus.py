"""Tags that write the attributes by which static/js finds what it keeps up to date.

``data-slot`` is a text, ``data-titled`` a title, ``data-tick`` a duration that grows or runs out, ``data-ts`` a
moment, ``data-when`` a part that belongs to some conditions, ``data-with`` and ``data-without`` parts that depend on a
fact being known.
"""

import shlex
import uuid
from datetime import UTC, datetime
from functools import lru_cache
from html import escape
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from activity import text
from activity.cards import Card
from activity.templatetags.stamped import stampable
from perseus_admin import config

register = template.Library()
register.filter("visible", text.visible)
register.filter("initials", text.initials)
register.filter("duration", text.duration)


@register.simple_tag
@stampable
def icon(name: str, css: str = "", label: object = "") -> SafeString:
    """An icon of the sprite. With a label it says something of its own, without one it is decoration."""
    return _icon(name, css, str(label))  # what is kept has its words in one language, not a promise of them


@lru_cache(maxsize=500)
def _icon(name: str, css: str, label: str) -> SafeString:
    meaning = format_html('role="img" aria-label="{}"', label) if label else SafeString('aria-hidden="true"')
    css = f"i {css}".strip()
    sprite = static("icons.svg")
    return format_html('<svg class="{}" {}><use href="{}#i-{}"></use></svg>', css, meaning, sprite, name)


@register.simple_tag
@stampable
@lru_cache(maxsize=100)
def glyph(state: str) -> SafeString:
    """A state's glyph; the word stands beside it."""
    return format_html(
        '<svg class="g" aria-hidden="true"><use href="{}#s-{}"></use></svg>', static("icons.svg"), state or "idle"
    )


def _moment(value: int | datetime | None) -> datetime | None:
    return text.from_milliseconds(value) if isinstance(value, int) else value


@register.simple_tag(takes_context=True)
@stampable
def ts(context: dict[str, Any], value: int | datetime | None, slot: str = "", precision: str = "s") -> SafeString:
    """A moment in UTC as ``<time>``, to seconds or (``ms``) milliseconds; ``day`` adds the day unless it is today."""
    moment = _moment(value)
    attributes = f'data-ts="{slot}" data-precision="{precision}"'  # the template's own words
    if moment is None:
        return SafeString(f"<time {attributes} hidden></time>")
    moment = moment.astimezone(UTC)
    stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    date = ""
    if precision == "day" and moment.date() != context["now"].date():
        date = f"{text.day(moment)}, "
    parts = f"{escape(date)}{moment:%H:%M:%S}"
    if precision == "ms":
        parts += f'<span class="ms">.{stamp[20:23]}</span>'
    return SafeString(f'<time {attributes} datetime="{stamp}">{parts}</time>')


def ticking(kind: str, at: int, now: int) -> str:
    """The text of a duration: ``for``, ``ago``, ``left``, or ``day`` (ago, with the day unless it is today)."""
    seconds = (now - at) / 1000
    if kind == "left":
        return text.duration(-seconds)
    if kind == "for":
        return text.duration(seconds)
    then, today = text.from_milliseconds(at), text.from_milliseconds(now)
    if kind == "day" and then and today and then.date() != today.date():
        return f"{text.day(then)}, {text.ago(seconds)}"
    return text.ago(seconds)


@register.simple_tag(takes_context=True)
@stampable
def tick(context: dict[str, Any], kind: str, value: int | datetime | None, slot: str = "") -> SafeString:
    """A duration from or to a moment, by the server's clock."""
    at = text.milliseconds(value) if isinstance(value, datetime) else value
    if at is None:
        return SafeString(f'<span data-tick="{kind}" data-of="{slot}" hidden></span>')
    shown = ticking(kind, at, text.milliseconds(context["now"]))
    return SafeString(f'<span data-tick="{kind}" data-of="{slot}" data-at="{at}">{escape(shown)}</span>')


# A page of a hundred cards has 12,000 of these: what repeats is made once, and values are escaped without format_html,
# which took half of the time.


@lru_cache(maxsize=1000)
def _mark(name: str, words: str, *, hidden: bool) -> SafeString:
    return SafeString(f'data-{name}="{escape(words)}"{" hidden" if hidden else ""}')


@register.simple_tag
@stampable
def when(card: Card, conditions: str) -> SafeString:
    """Attributes of a part that is shown under some conditions, e.g. ``fresh late``."""
    return _mark("when", conditions, hidden=card.cond not in conditions.split())


def _known(facts: Any, names: str) -> bool:
    for name in names.split():  # `any` over a generator took three times as long
        value = getattr(facts, name)
        if value is not None and value != "":
            return True
    return False


@register.simple_tag(name="with_")
@stampable
def with_(facts: Any, names: str) -> SafeString:
    """Attributes of a part that is shown while at least one of the facts is known."""
    return _mark("with", names, hidden=not _known(facts, names))


@register.simple_tag
@stampable
def titled(facts: Any, name: str) -> SafeString:
    """Attributes of an element that tells a fact in full when it is pointed at."""
    return format_html('data-titled="{}" title="{}"', name, getattr(facts, name))


@register.simple_tag
@stampable
def without(facts: Any, names: str) -> SafeString:
    """Attributes of a part that is shown while none of the facts is known."""
    return _mark("without", names, hidden=_known(facts, names))


@register.simple_tag
@stampable
def slot(facts: Any, name: str, css: str = "", tag: str = "span") -> SafeString:
    """A fact as text; its element is hidden while it is not known. `css` and `tag` are the template's own words."""
    value = getattr(facts, name)
    text = "" if value is None else escape(str(value))
    style = f' class="{css}"' if css else ""
    hidden = "" if text else " hidden"
    return SafeString(f'<{tag}{style} data-slot="{name}"{hidden}>{text}</{tag}>')


@register.simple_tag(takes_context=True)
@stampable
def gauge(context: dict[str, Any], card: Card) -> str:
    """Seconds since the last beat, from 0 to the key's lifetime: the width of the gauge's bar."""
    if card.beat_at is None:
        return "0"
    age = (text.milliseconds(context["now"]) - card.beat_at) // 1000
    return str(max(0, min(card.lifetime, age)))


@register.simple_tag
def fresh_id() -> str:
    """A correlationId for one form: sent twice, it is one command."""
    return str(uuid.uuid4())


@register.simple_tag
def worker_command() -> str:
    """How a worker is started so that it joins this very network: beside `make run` it needs the data folder's name."""
    settings = config.settings()
    if settings.data is None or settings.redis_url is not None:
        return "python manage.py worker"
    return f"PERSEUS_DATA={shlex.quote(str(settings.data))} .venv/bin/python manage.py worker"
