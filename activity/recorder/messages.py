"""Archived entries as the text of messages. Each entry stands in it by itself: none is merged, counted or left out."""

import re
from collections.abc import Callable, Iterable
from typing import Final

from activity.models import Exchange
from activity.wire.entries import StreamEntry

#: Characters of one entry that are told. The rest is said to be there, with the id by which it is found.
ENTRY_CHARS: Final = 65_536
#: Bytes kept free in every message for the line that names the delivery.
FOOTER_BYTES: Final = 64

# Control and bidirectional characters, which a chat or a mail program would obey.
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
# Words by which chats call everybody: an entry's text comes from anywhere and must not be able to.
_CALLS: Final = re.compile(r"@(?=everyone|here|channel|all\b|room)|<(?=[@!#])", re.IGNORECASE)
_BREAK: Final = "\u200b"


def harmless(text: str) -> str:
    """Control characters made visible, calls to everybody broken by a character without width."""
    text = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r\n", "\n"))
    return _CALLS.sub(lambda found: found[0] + _BREAK, text)


def kind_of(entry: StreamEntry) -> str:
    """The kind by which channels choose: `activity.models.notifications.KINDS`."""
    if entry.kind == "state_transition":
        return f"to:{entry.fields['toState']}"
    if entry.kind == "error":
        told = entry.fields.get("kind", "")
        return told if told in ("lost", "registry_reset") else "error"
    return "other"


def text_of(exchange: Exchange, entry: StreamEntry) -> str:
    """One entry: what happened first, then where and when, then the id by which it is found."""
    fields, kind = entry.fields, kind_of(entry)
    if entry.kind == "state_transition":
        what = f"{fields['fromState']} → {fields['toState']}"
    elif entry.kind == "error":
        word = {"lost": "LOST", "registry_reset": "REGISTRY RESET"}.get(kind, "error")
        state = fields.get("state")
        what = f"{word}{f' in {state}' if state and kind == 'error' else ''}: {fields['error']}"
    else:
        told = "\n".join(f"{name}: {value}" for name, value in fields.items())
        what = f"{entry.kind} entry{f' ({entry.problem})' if entry.problem else ''}\n{told}"
    around = [fields.get("hostname", ""), fields.get("adminEmail", ""), fields.get("timestamp", "")]
    line = " · ".join(part for part in (*around, f"entry {entry.id}") if part)
    if len(what) > ENTRY_CHARS:
        what = f"{what[:ENTRY_CHARS]}… ({len(what) - ENTRY_CHARS} more characters are in the archive)"
    return f"{exchange.name}: {harmless(what)}\n{harmless(line)}"


def title_of(names: Iterable[str]) -> str:
    """Perseus and whom it is about, in a line that every subject line holds."""
    joined = ", ".join(dict.fromkeys(names))
    return f"Perseus: {joined}" if len(joined) <= 100 else "Perseus: several exchanges"


def footer(delivery: int, part: int, parts: int) -> str:
    """By this a receiver recognises a message that came twice."""
    return f"— delivery {delivery}" + (f", part {part} of {parts}" if parts > 1 else "")


def split(text: str, room: int, measure: Callable[[str], int]) -> list[str]:
    """A text in pieces that each fit into `room`, cut at line ends where one is near. Nothing is left out."""
    pieces = []
    while measure(text) > room:
        low, high = 1, min(len(text), room)
        while low < high:  # the longest beginning that fits
            middle = (low + high + 1) // 2
            if measure(text[:middle]) <= room:
                low = middle
            else:
                high = middle - 1
        line_end = text.rfind("\n", low // 2, low)
        cut = line_end + 1 if line_end > 0 else low
        pieces.append(text[:cut])
        text = text[cut:]
    return [*pieces, text] if text else pieces
