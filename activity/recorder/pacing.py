"""How fast a remote may be asked, so that it never has a reason to answer 429.

Two sources: limits that are known before the first request, and what the remote says in its answers. Requests are
spaced evenly and never sent in a burst: whatever window the remote counts in, fixed or sliding, it finds fewer requests
than it allows.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

#: Seconds between two requests to one remote, by Apprise's schema. From the services' own documents, with a margin.
KNOWN_SECONDS: Final[Mapping[str, float]] = {
    "discord": 2.1,  # 5 in 2 s and 30 a minute per webhook
    "slack": 1.1,  # 1 a second per webhook or channel
    "tgram": 3.1,  # 1 a second per chat, 20 a minute per group, 30 a second per bot: the narrowest of them
    "workflow": 1.1,  # Microsoft Teams: 4 a second per webhook
    "mailto": 10.0,  # servers differ; none minds 6 a minute
    "json": 1.0,  # webhooks of one's own: no known limit, so what every known service takes
    "xml": 1.0,
    "form": 1.0,
}
#: For what is not listed: the service's own pace as Apprise knows it, but no faster than this.
UNKNOWN_SECONDS: Final = 5.5
#: A 429 that does not say how long.
SILENT_429_SECONDS: Final = 60.0
#: Longest wait that a remote may ask for: beyond that it is a mistake, and the answer to the next request says so.
LONGEST_SECONDS: Final = 24 * 3600.0
#: Added to what a remote tells: its clock and ours do not tick together.
MARGIN_SECONDS: Final = 0.25
#: Remotes remembered; those that may be asked again at once are forgotten first, and nothing is lost with them.
_REMEMBERED: Final = 1000


def seconds_between(schema: str, own_pace: float) -> float:
    """Seconds between two requests; `own_pace` is what Apprise's plugin waits by itself."""
    return max(own_pace, KNOWN_SECONDS.get(schema, KNOWN_SECONDS.get(schema.removesuffix("s"), UNKNOWN_SECONDS)))


def _number(text: object) -> float | None:
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if 0 <= value < 1e15 else None  # refuses NaN, too


def _retry_after(text: str | None, now: float) -> float | None:
    """Retry-After (RFC 9110): seconds, or a date."""
    if text is None:
        return None
    if (seconds := _number(text)) is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)


def _in_body(body: bytes) -> float | None:
    """What Discord (`retry_after`) and Telegram (`parameters.retry_after`) say in a 429's JSON, in seconds."""
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    inner = value.get("parameters")
    told = value.get("retry_after", inner.get("retry_after") if isinstance(inner, dict) else None)
    return _number(told) if told is not None else None


def _reset(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until the window of the rate headers ends, None where they do not say that nothing is left in it."""
    remaining = headers.get("x-ratelimit-remaining", headers.get("ratelimit-remaining"))
    combined = dict(
        part.strip().partition("=")[::2] for part in headers.get("ratelimit", "").split(";") if "=" in part
    )  # ratelimit: "default";r=0;t=30
    left = _number(remaining if remaining is not None else combined.get("r"))
    if left is None or left >= 1:
        return None
    for name in ("x-ratelimit-reset-after", "ratelimit-reset", "x-ratelimit-reset"):
        if (told := _number(headers.get(name))) is not None:
            # Some services write a moment in seconds or milliseconds since 1970 instead of a length.
            if told > 1e12:
                told /= 1000
            return max(0.0, told - now) if told > 1e9 else told
    return _number(combined.get("t"))


def told_wait(status: int, headers: Mapping[str, str], body: bytes = b"", now: float | None = None) -> float | None:
    """Seconds that an answer asks us to wait before the next request, None where it asks for nothing."""
    now = datetime.now(UTC).timestamp() if now is None else now
    lower = {name.lower(): value for name, value in headers.items()}
    waits = [_reset(lower, now)]
    if status >= 400:
        waits.append(_retry_after(lower.get("retry-after"), now))
    if status == 429:
        waits.append(_in_body(body))
    told = [wait for wait in waits if wait is not None]
    if not told and status == 429:
        told = [SILENT_429_SECONDS]
    if not told:
        return None
    return min(max(told), LONGEST_SECONDS) + MARGIN_SECONDS


class Pacer:
    """When each remote may be asked next. Safe for threads; one per process, and one process sends at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._free_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def left(self, remote: str) -> float:
        """Seconds until the remote may be asked; 0 for now."""
        with self._lock:
            return max(0.0, self._free_at.get(remote, 0.0) - self._clock())

    def asked(self, remote: str, seconds: float) -> None:
        """A request leaves now; the next one may leave after `seconds`."""
        self.hold(remote, seconds)

    def hold(self, remote: str, seconds: float) -> None:
        """Nothing may be sent for `seconds`. What was longer stays."""
        with self._lock:
            now = self._clock()
            if len(self._free_at) >= _REMEMBERED:
                self._free_at = {name: at for name, at in self._free_at.items() if at > now}
            self._free_at[remote] = max(self._free_at.get(remote, 0.0), now + seconds)
