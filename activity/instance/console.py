"""The worker's own log on standard output, written by a thread of its own.

A reader of our output that stalls (a stopped pager, a full pipe) must not stall the heartbeat, so the event loop never
writes to standard output itself.
"""

import logging
import os
import queue
import threading
from datetime import UTC, datetime
from typing import Final

from activity.wire.clock import format_timestamp

#: Lines that wait for a slow reader. When it is full a line is left out here, counted, and the count is said as soon
#: as there is room; what has to be kept (transitions, errors) travels through the activity stream, not through here.
QUEUE_LINES: Final = 10_000

LOG: Final = logging.getLogger("perseus.worker")


class Console:
    """Lines to one file descriptor. `write` never blocks and never raises."""

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor
        self._lines: queue.Queue[str | None] = queue.Queue(QUEUE_LINES)
        self._left_out = 0
        self._thread = threading.Thread(target=self._drain, name="console", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """One line, without its line end; line ends inside are made visible."""
        try:
            if self._left_out:
                self._lines.put_nowait(f"… {self._left_out} lines were left out here: nobody read this output")
                self._left_out = 0
            self._lines.put_nowait(line.replace("\r", "\\r").replace("\n", "\\n"))
        except queue.Full:
            self._left_out += 1

    def close(self, *, timeout: float = 2.0) -> None:
        """Write what waits, for at most `timeout` seconds."""
        try:
            self._lines.put(None, timeout=timeout)
        except queue.Full:
            return  # the reader has stalled for good; the thread ends with the process
        self._thread.join(timeout)

    def _drain(self) -> None:
        broken = False
        while (line := self._lines.get()) is not None:
            if not broken:
                broken = not self._put(f"{line}\n".encode("utf-8", errors="backslashreplace"))

    def _put(self, data: bytes) -> bool:
        # os.write and not sys.stdout: a thread that hangs inside a buffered file can abort the interpreter's exit.
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            return False  # the reader is gone: nobody is left to whom it could be said
        return True


class _Handler(logging.Handler):
    def __init__(self, console: Console, source: str) -> None:
        super().__init__()
        self._console = console
        self._source = source

    def emit(self, record: logging.LogRecord) -> None:
        stamp = format_timestamp(datetime.fromtimestamp(record.created, UTC))
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        # A traceback has several lines: each gets a stamp of its own, so that every line of the log is a whole one.
        for line in text.splitlines() or [""]:
            self._console.write(f"{stamp} {record.levelname.lower():<7} {self._source}: {line}")


def log_to(console: Console, source: str) -> None:
    """Send the worker's log to the console alone; `source` names the exchange."""
    LOG.handlers[:] = [_Handler(console, source)]
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
