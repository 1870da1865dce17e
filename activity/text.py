"""How texts and times of any origin are shown. static/js/text.js follows the same rules; a browser test compares."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from django.utils.formats import get_format
from django.utils.translation import gettext as _

#: What would hide, reorder or overwrite text on a screen: C0 and C1 controls other than tab and newline, bidi marks,
#: invisible spaces and joiners, line and paragraph separators, annotation marks, tag characters.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
#: Bytes (UTF-8) of one value that a page shows. What is beyond is said and linked, never silently dropped.
SHOWN_BYTES: Final = 64 * 1024
#: Characters of an error in its one-line summary; CSS cuts it further, to the width that there is.
HEADLINE_CHARS: Final = 300
#: Milliseconds by which a writer's time may differ from Redis' own before it is said.
SKEW_MILLISECONDS: Final = 60_000
#: The calendar's first and last millisecond (years 1 and 9999), as milliseconds since 1970.
FIRST_MILLISECOND: Final = -62_135_596_800_000
LAST_MILLISECOND: Final = 253_402_300_799_999
#: Epochs are milliseconds of a clock, 13 digits: the last six tell two of them apart.
_EPOCH: Final = re.compile(r"(\d+)(\d{6})", re.ASCII)

NBSP: Final = "\u00a0"
_EPOCH_BEGAN: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def visible(text: object) -> str:
    r"""The text with every unseen character as a JSON escape, e.g. ``\u202e``. Inside JSON it still means the same."""
    return _UNSEEN.sub(_escape, str(text))


def cut(text: str, limit: int = SHOWN_BYTES) -> tuple[str, int]:
    """The first `limit` bytes of the text, at a character's edge, and how many bytes are not shown."""
    if len(text) * 4 <= limit:
        return text, 0
    encoded = text.encode("utf-8", errors="replace")
    if len(encoded) <= limit:
        return text, 0
    shown = encoded[:limit].decode("utf-8", errors="ignore")
    return shown, len(encoded) - len(shown.encode("utf-8"))


def raw_json(fields: dict[str, str]) -> tuple[str, int]:
    """The entry as indented JSON, each value cut, unseen characters visible; and how many bytes are not shown."""
    hidden = 0
    shown: dict[str, str] = {}
    for name, value in fields.items():
        shown[name], missing = cut(value)
        hidden += missing
    return visible(json.dumps(shown, ensure_ascii=False, indent=2)), hidden


def size(count: int) -> str:
    """Bytes as people say them: 812 bytes, 5.9 KB, 1.2 MB."""
    if count < 1024:
        return (_("%(count)s bytes") % {"count": count}).replace(" ", NBSP)
    shown = f"{count / 1024:.1f}{NBSP}KB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f}{NBSP}MB"
    return shown.replace(".", get_format("DECIMAL_SEPARATOR"))


def duration(seconds: float) -> str:
    """40 s, 12 min 17 s, 2 h 51 min, 3 d 04 h: two units at most. Negative times, of foreign clocks, count as none."""
    total = max(0, int(seconds))
    parts: tuple[str, ...]
    if total < _MINUTE:
        parts = (f"{total}", "s")
    elif total < _HOUR:
        parts = (f"{total // _MINUTE}", "min", f"{total % _MINUTE:02d}", "s")
    elif total < _DAY:
        parts = (f"{total // _HOUR}", "h", f"{total % _HOUR // _MINUTE:02d}", "min")
    else:
        parts = (f"{total // _DAY}", "d", f"{total % _DAY // _HOUR:02d}", "h")
    return NBSP.join(parts)


def ago(seconds: float) -> str:
    """30 s ago, 1 min 27 s ago, 13 min ago: seconds matter for ten minutes."""
    total = max(0, int(seconds))
    time = f"{total // _MINUTE} min" if 10 * _MINUTE <= total < _HOUR else duration(total)
    return (_("%(time)s ago") % {"time": time}).replace(" ", NBSP)


def day(moment: datetime) -> str:
    """The day of a moment as 21 Nov."""
    month = _("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec").split()[moment.month - 1]
    return (_("%(day)s %(month)s") % {"day": moment.day, "month": month}).replace(" ", NBSP)


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, the unit of every number that the page's scripts count with. Whole ones, as in ids."""
    return (moment - _EPOCH_BEGAN) // _MILLISECOND


def from_milliseconds(value: int) -> datetime | None:
    """The moment, None where the number is beyond what a calendar can tell (an id that somebody chose)."""
    try:
        # Not by a float, which would round the calendar's last moment out of it.
        return _EPOCH_BEGAN + value * _MILLISECOND
    except OverflowError:
        return None


def in_calendar(value: int | None) -> int | None:
    """The number of milliseconds since 1970, None where no calendar has it: sums of foreign numbers may be anything."""
    return value if value is not None and FIRST_MILLISECOND <= value <= LAST_MILLISECOND else None


def error_text(error: str) -> str:
    """The error, or words where it has no text at all: an empty line would look like a fault of the page."""
    return error if error.strip(" \t\n") else _("(empty error text)")


def epoch_parts(epoch: str) -> tuple[str, str]:
    """An epoch as what may be left out where it is narrow, and the last six digits."""
    match = _EPOCH.fullmatch(epoch)
    return (match[1], match[2]) if match else ("", epoch)


def skew(said: int, taken: int) -> tuple[str, str]:
    """How far a writer's time is from the one at which Redis took its entry (both ms): the mark, and its explanation.

    Two empty texts within a minute: writing takes a moment, and clocks are never quite the same.
    """
    if abs(said - taken) <= SKEW_MILLISECONDS:
        return "", ""
    apart = {"apart": duration(abs(said - taken) / 1000)}
    if said > taken:
        explained = _("This instance's clock differs by %(apart)s: it is ahead of Redis' clock.") % apart
        return _("clock %(apart)s ahead") % apart, explained
    explained = _("This instance's clock differs by %(apart)s, or the entry waited that long.") % apart
    return _("clock %(apart)s behind") % apart, explained


def initials(name: str) -> str:
    """Up to two letters for a round picture: Anaïs Roux → AR, jonas.weber@example.com → JW. Empty without a letter."""
    words = re.split(r"[\s._@+-]+", name.partition("@")[0])
    letters = [letter for word in words if (letter := next((char for char in word if char.isalpha()), ""))]
    return "".join(letters[:2]).upper()
