"""What a program has said over sd_notify during one run."""

import asyncio
from collections.abc import Callable
from typing import Final

from activity.instance.console import LOG
from activity.instance.notify import Message
from activity.instance.redaction import redact

#: A message may extend a timeout, or set a watchdog, by no more than a day.
_LONGEST_USEC: Final = 24 * 60 * 60 * 1_000_000
_LARGEST_COUNT: Final = 1_000_000_000
_LARGEST_PID: Final = 1 << 22
_LARGEST_ERRNO: Final = 4095


class Said:
    """Facts only; what follows from them is the run's business. Times are of the event loop's clock."""

    def __init__(self, watchdog: float | None) -> None:
        """`watchdog` is the longest silence in seconds, None where none was asked for."""
        self.spoke = False
        self.ready = False
        self.stopping = False
        self.stuck = False
        self.watchdog = watchdog
        self.pinged_at = 0.0
        self.extended_until = 0.0

    def heed(
        self, message: Message, set_main_pid: Callable[[int], bool], set_symbol_count: Callable[[int], None]
    ) -> None:
        """Note a message. What of it cannot be understood is said on the log and ignored."""
        self.spoke = True
        for problem in message.problems:
            LOG.warning("The program sent a notification that is not understood and is ignored: %s", problem)
        for name, value in message.assignments:
            try:
                match name:
                    case "MAINPID":
                        if not set_main_pid(_number(value, _LARGEST_PID)):
                            raise ValueError("there is no such process")
                    case "X_SYMBOL_COUNT":
                        set_symbol_count(_number(value, _LARGEST_COUNT))
                    case _:
                        self._note(name, value)
            except ValueError as error:
                LOG.warning("The program sent %s=%s, which is ignored: %s", name, redact(value), error)

    def _note(self, name: str, value: str) -> None:
        now = asyncio.get_running_loop().time()
        match name, value:
            case "READY", "1":
                self.ready = True
            case "STOPPING", "1":
                self.stopping = True
            case "RELOADING", "1":
                LOG.info("The program reloads its configuration")
            case "STATUS", _:
                LOG.info("Program status: %s", redact(value))
            case "ERRNO", _:
                LOG.warning("The program reports errno %d", _number(value, _LARGEST_ERRNO))
            case "WATCHDOG", "1":
                self.pinged_at = now
            case "WATCHDOG", "trigger":
                self.stuck = True
            case "WATCHDOG_USEC", _:
                self.watchdog = _number(value, _LONGEST_USEC) / 1_000_000 or None
                self.pinged_at = now
            case "EXTEND_TIMEOUT_USEC", _:
                self.extended_until = now + _number(value, _LONGEST_USEC) / 1_000_000
            case (("READY" | "STOPPING" | "RELOADING" | "WATCHDOG"), _):
                raise ValueError("it has no such value")


def _number(text: str, largest: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18) or int(text) > largest:
        raise ValueError(f"expected a whole number up to {largest}")
    return int(text)
