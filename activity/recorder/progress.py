"""How far catching up has come: a bar on a terminal, a plain line now and then where there is none."""

import logging
import shutil
import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

log = logging.getLogger(__name__)

#: Less than this is no catching up: live entries come and are stored without a word.
WORTH_SAYING: Final = 2000
#: Seconds between two drawings of the bar, and between two plain lines.
BAR_SECONDS: Final = 0.1
LINE_SECONDS: Final = 5.0
_BAR_CHARS: Final = 30


class Progress:
    """Counts what was stored and what is left over all exchanges. Quiet unless there is something to catch up with."""

    def __init__(self, stream: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._is_terminal = stream.isatty()
        self._left: dict[str, int] = {}
        self._began: float | None = None
        self._said = 0.0
        self._stored = 0

    def stored(self, exchange: str, count: int, left: int) -> None:
        """So many entries of an exchange are in the archive now, and about so many are still to come."""
        self._left[exchange] = left
        total_left = sum(self._left.values())
        now = self._clock()
        if self._began is None:
            if total_left < WORTH_SAYING:
                return
            self._began, self._said, self._stored = now, now, 0
        self._stored += count
        if total_left == 0:
            self._finish(now)
        elif now - self._said >= (BAR_SECONDS if self._is_terminal else LINE_SECONDS):
            self._said = now
            self._say(now, total_left)

    def gone(self, exchange: str) -> None:
        """An exchange is no longer followed here."""
        self._left.pop(exchange, None)

    def _rate(self, now: float) -> float:
        assert self._began is not None  # asked only while catching up
        return self._stored / max(now - self._began, 0.001)

    def _say(self, now: float, left: int) -> None:
        share = self._stored / (self._stored + left)
        behind = ", ".join(name for name, count in sorted(self._left.items()) if count)
        words = f"{share:4.0%}  {self._stored:,} entries, about {left:,} left  {self._rate(now):,.0f}/s  {behind}"
        if self._is_terminal:
            filled = round(share * _BAR_CHARS)
            line = f"[{'#' * filled}{'.' * (_BAR_CHARS - filled)}] {words}"
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{line[:width]}", end="", file=self._stream, flush=True)
        else:
            log.info("catching up: %s", words.strip())

    def _finish(self, now: float) -> None:
        assert self._began is not None  # as above
        if self._is_terminal:
            print("\r\x1b[K", end="", file=self._stream, flush=True)
        seconds, rate = now - self._began, self._rate(now)
        log.info("caught up: %s entries in %.1f s, %s/s", f"{self._stored:,}", seconds, f"{rate:,.0f}")
        self._began = None
