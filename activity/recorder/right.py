"""The right to send: one notifier of all recorders has it, so that one pace per remote holds.

It needs no clock and no lease: the database's session or the kernel takes it back when its holder ends.
"""

import fcntl
import os
from typing import Final

from django.db import connection

#: Any number will do; it is what the notifiers exclude each other by on Postgres.
_ADVISORY_LOCK: Final = 7_377_002


class RightToSend:
    """For the one thread that speaks to the database: on Postgres the right is its connection's."""

    def __init__(self) -> None:
        self._lock: int | None = None

    def take(self) -> bool:
        """Whether it is ours, now. To be asked again and again: it goes with a connection that is lost."""
        return self._on_postgres() if connection.vendor == "postgresql" else self._on_sqlite()

    def give_back(self) -> None:
        """Let another one have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        connection.close()

    def _on_postgres(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objsubid = 1"
                " AND objid = %s AND pid = pg_backend_pid() AND granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
                [_ADVISORY_LOCK],
            )
            if cursor.fetchone()[0]:
                return True
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [_ADVISORY_LOCK])
            return bool(cursor.fetchone()[0])

    def _on_sqlite(self) -> bool:
        name = str(connection.settings_dict["NAME"])
        if self._lock is not None or name == ":memory:" or name.startswith("file:"):
            return True
        descriptor = os.open(f"{name}.notifier.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True
