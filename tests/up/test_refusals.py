"""What keeps `up` from starting: one clear sentence each, exit code 2, and nothing was started."""

import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.up.running import processes_of, up


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def refused(folder: Path, *texts: str, port: int | None = None, **environment: str) -> None:
    with up(folder, port=port, **environment) as run:
        code = run.wait()
        said = "\n".join(run.lines)
        assert code == 2, said
        for text in ("Perseus cannot start.", *texts):
            assert text in said
        assert "Traceback" not in said
        assert processes_of(folder) == []
    assert not (folder / "redis.sock").exists()


def test_a_port_in_use(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(folder, f"Port {port} cannot be used on 127.0.0.1", "--port or PORT", port=port)


def test_a_data_folder_that_is_a_file(folder: Path) -> None:
    folder.write_text("")
    refused(folder, f"{folder} is no folder")


def test_a_data_folder_that_cannot_be_written(folder: Path) -> None:
    refused(Path("/proc/perseus"), "/proc/perseus cannot be written", "PERSEUS_DATA")


def test_a_data_folder_that_others_share(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    (folder / "holiday.jpg").touch()
    refused(folder, "open to other users", "holiday.jpg", f"chmod 700 {folder}")


def test_a_redis_on_path_that_is_too_old(folder: Path) -> None:
    fake = script(folder.parent / "bin" / "redis-server", 'echo "Redis server v=5.0.14 sha=0:0 malloc=libc bits=64"')
    refused(folder, f"{fake} is 5.0.14, which is too old", "6.2", "REDIS_URL", PATH=str(fake.parent))


def test_a_redis_on_path_that_does_not_tell_its_version(folder: Path) -> None:
    fake = script(folder.parent / "bin" / "redis-server", "exit 3")
    refused(folder, f"{fake} does not tell its version", PATH=str(fake.parent))


@contextmanager
def redis_of_version(version: str) -> Iterator[str]:
    """URL of a server that knows INFO alone."""
    info = f"# Server\r\nredis_version:{version}\r\n".encode()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(4096):
                    connection.sendall(b"+OK\r\n" * data.count(b"\r\nCLIENT\r\n"))
                    if b"\r\nINFO\r\n" in data:
                        connection.sendall(b"$%d\r\n%s\r\n" % (len(info), info))

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=serve, name="old redis", daemon=True)
        thread.start()
        yield f"redis://someone:secret@127.0.0.1:{listener.getsockname()[1]}/0"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_a_redis_of_ones_own_that_is_too_old(folder: Path) -> None:
    with redis_of_version("5.0.0") as url:
        refused(folder, "REDIS_URL", "Redis 5.0.0 is too old", REDIS_URL=url.replace("someone:secret@", ""))


def test_a_redis_of_ones_own_that_is_not_there_and_its_password_is_not_told(folder: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound and not listening: refuses every connection
        port = bound.getsockname()[1]
        with up(folder, REDIS_URL=f"redis://someone:secret@127.0.0.1:{port}/0") as run:
            assert run.wait() == 2
            assert run.said(f"REDIS_URL: redis://127.0.0.1:{port}/0")
            assert not run.said("secret@")


def test_a_database_that_differs_from_the_models(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with sqlite3.connect(folder / "perseus.sqlite3") as database:
        database.execute("CREATE TABLE exchanges (id integer PRIMARY KEY)")
    database.close()
    refused(folder, "exchanges", "carry_over")


def test_data_of_a_newer_redis_than_the_one_that_is_here(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "appendonlydir").mkdir()
    refused(folder, "appendonlydir was written by Redis 7", PATH="/nonexistent")


@pytest.mark.parametrize("port", ["0", "70000", "web"])
def test_a_port_that_is_none(folder: Path, port: str) -> None:
    with up(folder, "--port", port) as run:
        assert run.wait() == 2
        assert run.said(f"'{port}' is no port")
        assert not (folder / "perseus.sqlite3").exists()
