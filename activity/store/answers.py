"""What the ownership scripts answer."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Claimed:
    """The exchange is ours under `epoch`; `payload` is what the key now holds."""

    epoch: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody holds the exchange: the value as found, and the milliseconds its key has left (-1: it has no TTL)."""

    holder: bytes
    ttl_ms: int


@dataclass(frozen=True, slots=True)
class Handed:
    """Only the standby `to` may claim for another `wait_ms`."""

    to: str
    wait_ms: int


@dataclass(frozen=True, slots=True)
class Delayed:
    """Nobody may claim for another `wait_ms`: the instance `owner` may still be at work."""

    owner: str
    wait_ms: int


@dataclass(frozen=True, slots=True)
class Held:
    """The key was ours, and the change is made.

    `hand_to` is the live standby that the exchange is to be handed to, '' for none; only a heartbeat tells it.
    """

    hand_to: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """The key is gone; nothing was written."""


@dataclass(frozen=True, slots=True)
class Stolen:
    """Another instance or a newer epoch holds the key; nothing was written."""

    holder: bytes


@dataclass(frozen=True, slots=True)
class Legacy:
    """A writer without an instanceId holds the key; nothing was written, and nothing can be enforced against it."""

    holder: bytes


Guarded = Held | Missing | Stolen | Legacy


@dataclass(frozen=True, slots=True)
class Taken:
    """The exchange is ours under `epoch`, and work may start in `delay_ms`, or as soon as the old owner has stopped.

    `enforceable` is False over a writer that heeds no epochs: it may go on working, and write over us. The key has
    `ttl_ms` left: beat at once.
    """

    epoch: int
    payload: bytes
    delay_ms: int
    enforceable: bool
    ttl_ms: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """The holder is no longer the one that was shown; `token` is that of the present one."""

    holder: bytes
    ttl_ms: int
    token: str


@dataclass(frozen=True, slots=True)
class Vacant:
    """Nobody holds the exchange."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The caller, and nobody else, has declared the owner dead.

    `beat_ms` is its last heartbeat in milliseconds since 1970 and `late_ms` how long its key was gone by now, both by
    Redis' clock; `payload` is its status as last written.
    """

    epoch: int
    owner: str
    beat_ms: int
    late_ms: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class NotLost:
    """Nothing was declared.

    ``early``: the key was deleted before its time and its owner may claim it anew: look again in `wait_ms`. ``over``:
    it was released, or declared before. ``changed``: another epoch. ``alive``: the key is there.
    """

    reason: Literal["alive", "early", "changed", "over"]
    wait_ms: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """The owner of `epoch` hears with its next heartbeat that it is to hand the exchange over."""

    epoch: int


@dataclass(frozen=True, slots=True)
class NoStandby:
    """There is no live standby of that instanceId."""


@dataclass(frozen=True, slots=True)
class Unreported:
    """An owner that died and was succeeded before a watcher had written its death down.

    `beat_ms` and `noticed_ms` (when the successor claimed) are milliseconds since 1970 by Redis' clock.
    """

    epoch: int
    owner: str
    beat_ms: int
    noticed_ms: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Uncounted:
    """Deaths of which only the number is known; `taken_ms` is when it was taken, milliseconds since 1970."""

    number: int
    taken_ms: int


@dataclass(frozen=True, slots=True)
class OwnershipRecord:
    """The ownership hash of one exchange; `epoch` 0 and empty texts where there never was an owner.

    `beat_ms` (last heartbeat) and `until_ms` (when the key then runs out) are milliseconds since 1970 by Redis' clock,
    0 where unknown. `delay_until_ms` is not 0 after a takeover: before it the predecessor may still be at work.
    `unreported` are deaths that still have to be written down, oldest first; `lost_uncounted` is the number of further
    ones, of which nothing else was kept.
    """

    exchange_id: int
    epoch: int = 0
    owner: str = ""
    state: str = ""
    prev: str = ""
    beat_ms: int = 0
    until_ms: int = 0
    delay_until_ms: int = 0
    payload: bytes = b""
    hand_to: str = ""
    unreported: tuple[Unreported, ...] = field(default=())
    lost_uncounted: int = 0


def _number(value: bytes | None) -> int:
    try:
        return int(value or 0)
    except ValueError:
        return 0  # written by somebody else: as good as absent


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", errors="replace")


def read_record(exchange_id: int, found: dict[bytes, bytes]) -> OwnershipRecord:
    """The reply of HGETALL. Never raises."""
    dead = []
    for name, value in found.items():
        if name.startswith(b"lost:"):
            owner, beat, noticed, payload = (value.split(b"\n", 3) + [b""] * 3)[:4]
            dead.append(Unreported(_number(name[5:]), _text(owner), _number(beat), _number(noticed), payload))
    return OwnershipRecord(
        exchange_id,
        epoch=_number(found.get(b"epoch")),
        owner=_text(found.get(b"owner")),
        state=_text(found.get(b"state")),
        prev=_text(found.get(b"prev")),
        beat_ms=_number(found.get(b"beat")),
        until_ms=_number(found.get(b"until")),
        delay_until_ms=_number(found.get(b"not_before")),
        payload=found.get(b"payload", b""),
        hand_to=_text(found.get(b"handover")),
        unreported=tuple(sorted(dead, key=lambda one: one.epoch)),
        lost_uncounted=_number(found.get(b"lost_uncounted"))
        + _number(found.get(b"uncounted_pending", b"").partition(b"\n")[0]),
    )


def read_guarded(reply: list[Any]) -> Guarded:
    """The answer of heartbeat, update or release."""
    match reply[0]:
        case b"HELD":
            return Held(_text(reply[1])) if len(reply) > 1 else Held()
        case b"MISSING":
            return Missing()
        case b"STOLEN":
            return Stolen(bytes(reply[1]))
        case _:
            return Legacy(bytes(reply[1]))
