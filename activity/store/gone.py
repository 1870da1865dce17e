"""What it means that an exchange has no key: that it was lost, or that it ended in good order.

Two tell of it. The ownership hash O has no TTL and tells of our newest owner: how it ended, its epoch, when it last
beat (`beat`) and when its key then ran out (`until`). Older writers never touch it. The newest entry that tells a state
tells of its writer: a death notice says lost, `stopped` and `idle` say ended, and any other state that its writer had
not finished. An older writer's entry has no epoch. Whoever of the two came later decides; an entry's moment is its id.

| O              | newest entry                      | decides                                                        |
|----------------|-----------------------------------|----------------------------------------------------------------|
| nothing        | none                              | nobody: neither is known                                       |
| nothing        | any                               | the entry                                                      |
| any            | none                              | O                                                              |
| any            | an older epoch                    | O: its owner came later, and was killed before its first entry |
| any            | O's epoch                         | O; but a death notice means lost, whatever O says              |
| any            | a newer epoch                     | the entry: O was lost with Redis' data, or fell back           |
| released       | no epoch, not after `beat`        | O: its owner still beat after that entry                       |
| released       | no epoch, after `beat`            | the entry: an older writer came after our owner                |
| held, `lost_*` | no epoch, not after `until`       | O: the place was still its owner's, who had just taken it over |
| held, `lost_*` | no epoch, after `until`           | the entry: an older writer found the place empty               |

An O without these times, which no script of ours leaves, is read as whichever of its two rows says lost.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from activity.wire.entries import StreamEntry

#: States in which an instance lets go of its key in good order.
RESTING: Final = ("stopped", "idle")
#: The fields of the ownership hash from which an `Owner` is read.
OWNER_FIELDS: Final = ("state", "epoch", "beat", "until")


class Owner(NamedTuple):
    """What the ownership hash says of our newest owner.

    `state` is held, released, lost_pending, lost_logged, or nothing; `epoch` 0 where none is told. `beat` and `until`
    are milliseconds since 1970 by Redis' clock, None where nothing tells them.
    """

    state: str = ""
    epoch: int = 0
    beat: int | None = None
    until: int | None = None


#: Where only older writers were, or nobody at all.
NOBODY: Final = Owner()


def _number(text: Any) -> int | None:
    return int(text) if isinstance(text, bytes) and re.fullmatch(rb"\d{1,16}", text) else None


def read_owner(told: Any) -> Owner:
    """From the reply to an HMGET of OWNER_FIELDS. Anything else is an error of this key alone, and tells nothing."""
    if not isinstance(told, Sequence) or len(told) != len(OWNER_FIELDS):
        return NOBODY
    state, epoch, beat, until = told
    text = state.decode("utf-8", errors="replace") if isinstance(state, bytes) else ""
    return Owner(text, _number(epoch) or 0, _number(beat), _number(until))


def concerns(owner: Owner, known: StreamEntry) -> bool:
    """Whether the ownership is about the entry's writer or about who came after it, and not about somebody before."""
    if not owner.state:
        return False
    if known.epoch:
        return owner.epoch >= known.epoch
    taken = known.id.milliseconds
    if owner.state == "released":
        return owner.beat is not None and taken <= owner.beat
    return owner.until is None or taken <= owner.until


def is_lost(owner: Owner, known: StreamEntry | None) -> bool | None:
    """Whether an exchange without a key is lost, by the newest entry that tells a state. None: nothing is known."""
    if known is None:
        return owner.state != "released" if owner.state else None
    if concerns(owner, known):
        return owner.state != "released" or (known.is_death and known.epoch == owner.epoch)
    return known.is_death or known.state not in RESTING


def ended_at(owner: Owner, known: StreamEntry) -> int | None:
    """When an exchange without a key ended, by the ownership: the key of a lost owner ran out, another last beat.

    Milliseconds since 1970, None where the ownership is about somebody else or does not tell.
    """
    if not concerns(owner, known):
        return None
    return owner.until if is_lost(owner, known) else owner.beat


def came_after(entry: StreamEntry, notice: StreamEntry) -> bool:
    """Whether an entry is of somebody who succeeded the dead one before the notice of that death was written.

    A notice without an epoch is about an older writer, and is written only while nobody has followed it. An older
    writer that followed one of ours wrote its entry after the lease had ended, which the notice tells by its delay.
    """
    if not notice.epoch:
        return False
    if entry.epoch:
        return entry.epoch > notice.epoch
    delay = notice.fields.get("detectionDelayMs", "")
    ended = notice.id.milliseconds - int(delay) if re.fullmatch(r"\d{1,15}", delay, re.ASCII) else None
    return ended is not None and entry.id.milliseconds > ended
