"""Everything that one worker is told at its start, checked, without Django."""

import re
import shlex
import signal
from dataclasses import dataclass, field
from typing import Final, Self

#: Names that a hook's template may use.
HOOK_FIELDS: Final = ("type", "payload", "correlation_id", "exchange", "mode", "symbols", "pid")


@dataclass(frozen=True, slots=True)
class Telling:
    """How a carried program is told of commands: signals for some types, a line of JSON on its stdin, or a hook."""

    stdin: bool = False
    signals: dict[str, int] = field(default_factory=dict)
    hook: tuple[str, ...] = ()

    def may(self, kind: str) -> bool:
        """Whether the program can be told of this type."""
        return self.stdin or bool(self.hook) or kind in self.signals

    @classmethod
    def parse(cls, texts: tuple[str, ...]) -> Self:
        """From ``stdin``, ``hook:PROGRAM ARGS``, ``signal:TYPE=NAME,…``. Raises ValueError, naming what is wrong."""
        stdin, signals = False, dict[str, int]()
        hook: tuple[str, ...] = ()
        for text in texts:
            how, _, rest = text.partition(":")
            if how == "stdin" and not rest:
                stdin = True
            elif how == "hook" and rest.strip():
                hook = tuple(shlex.split(rest))
                for word in hook:
                    for name in map(str, re.findall(r"{(\w*)}", word)):
                        if name not in HOOK_FIELDS:
                            raise ValueError(f"hook: {{{name}}} is none of {', '.join(HOOK_FIELDS)}")
            elif how == "signal" and rest:
                for pair in rest.split(","):
                    kind, _, name = pair.partition("=")
                    number = getattr(signal, f"SIG{name.removeprefix('SIG').upper()}", None)
                    if not kind or not isinstance(number, signal.Signals):
                        raise ValueError(f"signal: {pair!r} is no TYPE=SIGNAL such as pause=USR1")
                    signals[kind] = int(number)
            else:
                raise ValueError(f"{text!r}: expected stdin, hook:PROGRAM ARGS, or signal:pause=USR1,resume=USR2")
        return cls(stdin, signals, hook)


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """Plain values. Times are seconds; None means "not asked for"."""

    exchange_id: int
    exchange_name: str
    redis_url: str
    hostname: str
    heartbeat_seconds: int
    admin_email: str | None = None
    admin_display_name: str | None = None
    mode: str | None = None
    symbols: tuple[str, ...] = ()
    #: Wait for the exchange instead of claiming it.
    standby: bool = False
    #: Token of the holder from which the exchange is to be taken.
    take_over: str = ""
    #: Program and arguments; empty for a bare instance.
    program: tuple[str, ...] = ()
    error_pattern: re.Pattern[str] | None = None
    #: Start a program that failed again.
    restart: bool = False
    ready_after: float | None = None
    ready_pattern: re.Pattern[str] | None = None
    #: A program that is not ready within this time has failed; None: it may take as long as it likes.
    start_timeout: float | None = None
    #: How long a program has between SIGTERM and SIGKILL.
    stop_grace: float = 10.0
    #: A program that is active must say WATCHDOG=1 at least this often.
    watchdog: float | None = None
    #: How the program is told of commands.
    tell: "Telling" = field(default_factory=lambda: Telling())
    ip_lookup_urls: tuple[str, ...] = ()
    country_lookup_url: str = ""
