"""The entries that the recorder itself appends: a death, and a registry that was reset."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from activity.wire.clock import format_timestamp, now_timestamp
from activity.wire.status import ConnectionState, read_status

_STATES = frozenset(ConnectionState)


def event_of_epoch(exchange_id: int, epoch: int) -> str:
    """The eventId of a death, the same for every watcher."""
    return f"lost:{exchange_id}:{epoch}"


def event_of_older_writer(exchange_id: int, payload: bytes) -> str:
    """The same for a writer without an epoch: known by the last thing that it wrote."""
    return f"lost:{exchange_id}:{hashlib.sha256(payload).hexdigest()[:16]}"


def _moment(milliseconds: int) -> str:
    return format_timestamp(datetime.fromtimestamp(milliseconds / 1000, UTC)) if milliseconds > 0 else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Death:
    """One owner that ended without a release. Times are milliseconds since 1970 by Redis' clock, 0 where unknown.

    `epoch` is 0 for an older writer. `gone_ms` is when its lease ended, `noticed_ms` when somebody noticed.
    """

    exchange_id: int
    exchange_name: str
    event_id: str
    epoch: int
    payload: bytes
    beat_ms: int
    gone_ms: int
    noticed_ms: int
    why: str

    def fields(self) -> dict[str, str]:
        """The entry's fields without eventId; those behind ``kind``, and ``adminEmail``, are additions."""
        status = read_status(self.payload).fields
        host = _text(status.get("hostname"))
        state = _text(status.get("connectionState"))
        beat = _moment(self.beat_ms) or _text(status.get("lastHeartbeat"))
        delay = max(0, self.noticed_ms - self.gone_ms) if self.gone_ms else None
        instance = _text(status.get("instanceId"))
        parts = [
            f"The instance on {host or 'an unknown host'} was lost: {self.why}.",
            f"Last heartbeat {beat or 'unknown'}, last state {state or 'unknown'},",
            f"epoch {self.epoch}" if self.epoch else "no epoch (older writer)",
        ]
        late = "" if delay is None else f", noticed {delay / 1000:.1f} s after its lease had ended"
        return {
            "event": "error",
            "timestamp": now_timestamp(),
            "error": " ".join(parts) + late + ".",
            "exchangeId": str(self.exchange_id),
            "exchangeName": self.exchange_name,
            "hostname": host,
            "ip": _text(status.get("ipAddress")),
            "adminEmail": _text(status.get("adminEmail")),
            "state": state if state in _STATES else "",
            "instanceId": instance,
            "epoch": str(self.epoch) if self.epoch else "",
            "kind": "lost",
            "lastHeartbeat": beat,
            "detectionDelayMs": "" if delay is None else str(delay),
        }


def event_of_uncounted(exchange_id: int, taken_ms: int) -> str:
    """The eventId of deaths that were only counted."""
    return f"lost_uncounted:{exchange_id}:{taken_ms}"


def uncounted_fields(exchange_id: int, exchange_name: str, host: str, number: int) -> Mapping[str, str]:
    """The one entry about deaths of which only the number is known. ``deaths`` is an addition."""
    who, they = ("1 further instance", "it was") if number == 1 else (f"{number} further instances", "they were")
    text = f"{who} of {exchange_name} died while no recorder ran. Of so many only the number was kept: {they} not"
    text += " written down one by one. Keep a recorder running (manage.py recorder)."
    return {
        "event": "error",
        "timestamp": now_timestamp(),
        "error": text,
        "exchangeId": str(exchange_id),
        "exchangeName": exchange_name,
        "hostname": host,
        "ip": "",
        "state": "",
        "kind": "lost",
        "deaths": str(number),
    }


def reset_fields(
    exchange_id: int, exchange_name: str, host: str, cause: str, back: Sequence[str], gone: Sequence[str]
) -> Mapping[str, str]:
    """The one entry about a registry that was reset. It tells no state, and names every exchange that it is about."""
    text = f"Registry reset: {cause}. {len(back) + len(gone)} exchanges were without their instance at once."
    text += f" Registered again: {', '.join(back) or 'none'}."
    text += f" Not back, each written down in its own stream: {', '.join(gone) or 'none'}."
    return {
        "event": "error",
        "timestamp": now_timestamp(),
        "error": text,
        "exchangeId": str(exchange_id),
        "exchangeName": exchange_name,
        "hostname": host,
        "ip": "",
        "state": "",
        "kind": "registry_reset",
        "exchanges": ",".join(sorted({*back, *gone})),
    }
