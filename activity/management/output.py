"""One stream for the lines of several processes, each behind the name of its process."""

import os
import re
import stat
from collections import deque
from collections.abc import Iterable
from typing import Final, TextIO

#: Lines that wait for a reader who has stopped reading (Ctrl-S, a full pipe). What comes beyond pushes out the oldest,
#: and their number is said: the instances behind the output must not stand still because a terminal does.
BACKLOG_LINES: Final = 10_000
#: A pipe that is writable takes this much without blocking (PIPE_BUF on Linux).
ATOMIC_BYTES: Final = 4096

_COLOURS: Final = ("36", "33", "32", "35", "34", "96", "93", "92", "95")
# Everything a terminal could obey except the tab: a line that a program logs must not be able to draw on the screen.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class OutputClosed(Exception):
    """Nobody can read us any more: the pipe's other end or the terminal is gone."""


class Output:
    """Prefixed lines. Never blocks for longer than it takes to write what the reader takes."""

    def __init__(self, stream: TextIO, names: Iterable[str], *, colour: bool = False) -> None:
        """`names` are all that will speak, so that the columns are aligned from the first line on."""
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding or "utf-8"
        self._names = list(names)
        self._width = max(map(len, self._names))
        self._colour = colour
        self._backlog: deque[bytes] = deque()
        self._rest = b""
        self._dropped = 0
        mode = os.fstat(self._descriptor).st_mode
        # The others (a file, /dev/null) always take what they are given, and cannot be waited for.
        self.waits = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(self._descriptor)

    def fileno(self) -> int:
        """What to wait for when there is a backlog."""
        return self._descriptor

    @property
    def pending(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._rest or self._backlog)

    def line(self, name: str, text: str) -> None:
        """Add one line. Control characters are made visible."""
        if len(self._backlog) >= BACKLOG_LINES:
            self._backlog.popleft()
            self._dropped += 1
        self._backlog.append(self._encoded(name, text))

    def flush(self) -> None:
        """Write one piece of what waits; the stream must be ready for it. Raises OutputClosed."""
        if not self._rest and self._dropped:
            self._rest = self._encoded("up", f"{self._dropped} lines were left out here: nothing read this output")
            self._dropped = 0
        while self._backlog and len(self._rest) < ATOMIC_BYTES:
            self._rest += self._backlog.popleft()
        if not self._rest:
            return
        try:
            written = os.write(self._descriptor, self._rest[:ATOMIC_BYTES])
        except BlockingIOError:
            return
        except OSError as error:
            self._backlog.clear()
            self._rest = b""
            raise OutputClosed(str(error)) from error
        self._rest = self._rest[written:]

    def _encoded(self, name: str, text: str) -> bytes:
        prefix = f"{name:<{self._width}} |"
        if self._colour:
            colour = _COLOURS[self._names.index(name) % len(_COLOURS)] if name in self._names else "0"
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        shown = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
        return f"{prefix} {shown}\n".encode(self._encoding, "backslashreplace")
