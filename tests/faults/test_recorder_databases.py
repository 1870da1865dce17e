"""What is done to the database under a running recorder: killed, restarted, a full disk, a file that is read-only."""

import contextlib
import os
import resource
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection
from pytest_django import DjangoDbBlocker

from activity.models import ArchivedEntry
from tests.faults.recorders import Recorder, permissions_hold, recorder
from tests.postgres import PostgresServer
from tests.recorder.archiving import Database, gaps, in_archive, in_stream, write
from tests.recorder.conftest import sqlite_in
from tests.servers import RedisServer
from tests.waiting import eventually


@contextmanager
def writing(server: RedisServer) -> Iterator[None]:
    """Somebody appends all the time."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.005):
            write(server, 20)

    writer = threading.Thread(target=work, name="writer")
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


def archived() -> int:
    return ArchivedEntry.objects.count()


def catches_up(server: RedisServer) -> None:
    """Every entry once, byte by byte, and nothing is missing."""
    connection.close()  # this process' own, which the fault has broken too
    written = in_stream(server.url)
    eventually(lambda: archived() >= len(written))
    assert in_archive() == written
    assert gaps() == []


def test_a_postgres_that_ends_under_the_recorder_costs_nothing(
    postgres_database: Database, postgres: PostgresServer, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Fault: Postgres is restarted, then SIGKILLed with all of its sessions, while entries are being archived.

    Holds: the recorder says that the database is away and that it is back, and archives every entry exactly once.
    """
    with recorder(postgres_database, redis_server.url, tmp_path) as running:
        with writing(redis_server):
            eventually(lambda: archived() > 0)
            for times, end in enumerate((postgres.process.stop, postgres.process.kill), start=1):
                connection.close()
                end()
                running.says("the database is away, trying again", times=times)
                assert postgres.process.start()
                running.says("the database is back", times=times)
                before = archived()
                eventually(lambda before=before: archived() > before)  # type: ignore[misc]
        catches_up(redis_server)


def assert_said_once(running: Recorder) -> None:
    """By the archive and by the notifications, each in a process that has gone on."""
    assert running.output.count("the database is away") <= 2, running.output
    assert "Traceback" not in running.output


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A file system of 4 MB on the folder. False where this machine does not let us mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "perseus-small-disk", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


Fault = Callable[[Recorder], contextlib.AbstractContextManager[None]]


def filled(folder: Path) -> Fault:
    """Somebody else has filled the disk."""

    @contextmanager
    def fault(_running: Recorder) -> Iterator[None]:
        ballast = folder / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        assert shutil.disk_usage(folder).free == 0
        yield
        ballast.unlink()

    return fault


@contextmanager
def limited(running: Recorder) -> Iterator[None]:
    """No file of the recorder may grow beyond 4096 bytes."""
    pid = running.process.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def test_a_full_disk_under_the_recorder_is_said_and_costs_nothing(
    redis_server: RedisServer, tmp_path: Path, django_db_blocker: DjangoDbBlocker
) -> None:
    """Fault: the disk of the SQLite file is full while entries arrive.

    Holds: the recorder says so once and goes on trying, in the same process; when there is room again it says so,
    and every entry is archived exactly once.
    """
    folder = tmp_path / "disk"
    with small_disk(folder) as mounted, sqlite_in(folder, django_db_blocker) as database:
        # Where nothing can be mounted, the recorder's files may not grow: to it and to SQLite that is the same.
        fault = filled(folder) if mounted else limited
        with recorder(database, redis_server.url, tmp_path) as running:
            write(redis_server, 20)
            eventually(lambda: archived() == 20)
            connection.close()
            with fault(running):
                write(redis_server, 500)
                running.says("the database is away, trying again until it is back; nothing is lost meanwhile: ")
                write(redis_server, 20)
                running.says("database or disk is full" if fault is not limited else "disk I/O error")
            running.says("the database is back")
            catches_up(redis_server)
            assert_said_once(running)


def test_a_read_only_database_under_the_recorder_is_said_and_costs_nothing(
    sqlite_database: Database, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Fault: the recorder may only read the SQLite file, as after a restored backup with the wrong owner.

    Holds: the recorder says so once and goes on trying, in the same process; when it may write again it says so,
    and every entry is archived exactly once.
    """
    connection.close()
    (tmp_path / "perseus.sqlite3").chmod(0o444)
    write(redis_server, 300)
    with recorder(sqlite_database, redis_server.url, tmp_path, before_exec=permissions_hold) as running:
        running.says("the database is away, trying again until it is back; nothing is lost meanwhile: ")
        running.says("attempt to write a readonly database")
        write(redis_server, 20)
        for path in tmp_path.glob("perseus.sqlite3*"):
            path.chmod(0o644)
        running.says("the database is back")
        catches_up(redis_server)
        assert_said_once(running)
