"""Exit codes of the recorder, for service managers and scripts. Documented in docs/recorder.md."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Why the recorder ended."""

    #: Asked to end (SIGTERM, SIGINT, SIGHUP), or `--once` has caught up.
    DONE = 0
    #: `--once` could not catch up: Redis or the database is away.
    BEHIND = 1
    #: A setting is wrong, or the database is not what it should be; nothing was started.
    USAGE = 2
    #: A fault in the recorder itself; the log has its traceback.
    INTERNAL_ERROR = 5
