"""Exit codes of the worker, for service managers and scripts. Documented in docs/worker.md."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Why a worker ended."""

    #: Asked to stop (SIGTERM, SIGINT, SIGHUP), or the program said STOPPING=1 and ended with 0.
    STOPPED = 0
    #: The program ended unexpectedly, was not ready in time, or missed its watchdog; no restart was asked for.
    PROGRAM_FAILED = 1
    #: An option or setting is missing or wrong; nothing was registered.
    USAGE = 2
    #: Another instance holds the exchange.
    CONFLICT = 3
    #: The exchange was lost while running: taken over, overwritten, or Redis out of reach for too long.
    OWNERSHIP_LOST = 4
    #: A fault in the worker itself; the log has its traceback.
    INTERNAL_ERROR = 5
    #: Redis could not be reached at the start.
    REDIS_UNREACHABLE = 6
    #: The event loop stood still until the lease had ended: the worker was ended from outside the loop.
    STUCK = 7
