"""Everything that one worker is told at its start, checked, without Django."""

import re
from dataclasses import dataclass


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
    ip_lookup_urls: tuple[str, ...] = ()
    country_lookup_url: str = ""
