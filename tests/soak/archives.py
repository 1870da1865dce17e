"""The two archives of a day, looked at in plain SQL, and the recorders that fill them."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from activity.wire.entries import EntryId
from tests.faults.recorders import Recorder, hasty
from tests.postgres import PostgresServer
from tests.recorder.archiving import Database
from tests.soak.journal import Gap


@dataclass
class ArchiveOf:
    """One database with its recorder. `postgres` is (server, name of the database), None for SQLite."""

    kind: str
    database: Database
    folder: Path
    redis_url: str
    postgres: tuple[PostgresServer, str] | None = None
    recorder: Recorder | None = None

    def start(self) -> None:
        words = hasty(wait=1.0, settle=1.0)
        self.recorder = Recorder(self.database, self.redis_url, self.folder / "recorder.log", words)

    def kill(self) -> None:
        if self.recorder is not None:
            assert self.recorder.process.poll() is None, f"{self.kind}: it had ended:\n{self.recorder.output[-3000:]}"
            self.recorder.kill()
            self.recorder = None

    def end(self) -> None:
        """In order, and then everything that is left, as an operator does by hand."""
        assert self.recorder is not None
        code = self.recorder.stop()
        assert code == 0, self.recorder.output[-3000:]
        self.recorder = None

    def catch_up(self) -> None:
        code, said = self.database.run(self.redis_url, "manage.py", "recorder", "--once")
        assert code == 0, said

    def rows(self, statement: str) -> list[Any]:
        if self.postgres is None:
            file = self.folder / "perseus.sqlite3"
            with closing(sqlite3.connect(file, timeout=20)) as connection:
                return list(connection.execute(statement))
        server, name = self.postgres
        with server.connect(name) as session, session.cursor() as cursor:
            return list(cursor.execute(statement.encode()))

    def cursors(self) -> dict[int, EntryId]:
        try:
            found = self.rows("SELECT exchange_id, ms, seq FROM archive_cursors")
        except (psycopg.OperationalError, sqlite3.OperationalError):
            return {}
        return {exchange: EntryId(ms, seq) for exchange, ms, seq in found}

    def entries(self, exchange_id: int) -> dict[EntryId, bytes]:
        rows = self.rows(f"SELECT ms, seq, raw FROM archived_entries WHERE exchange_id = {exchange_id}")
        found = {EntryId(ms, seq): bytes(raw) for ms, seq, raw in rows}
        assert len(found) == len(rows), "an entry is archived twice"
        return found

    def gaps(self, exchange_id: int) -> list[Gap]:
        columns = "after_ms, after_seq, first_ms, first_seq, reason"
        rows = self.rows(f"SELECT {columns} FROM archive_gaps WHERE exchange_id = {exchange_id}")
        return [
            Gap(EntryId(after_ms, after_seq), None if first_ms is None else EntryId(first_ms, first_seq), reason)
            for after_ms, after_seq, first_ms, first_seq, reason in rows
        ]
