"""Which server program is embedded, and that a data folder never has two."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from activity.store.embedded import CannotEmbed, EmbeddedRedis, Server, find_server, take_lock, version_when_ready
from tests.servers import REDIS_BINARIES, running_redis
from tests.waiting import eventually


def program(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_a_redis_server_on_path_goes_before_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path, "valkey-server", "Valkey server v=8.1.3 sha=0")
    redis = program(tmp_path, "redis-server", "Redis server v=7.2.5 sha=0")
    assert find_server() == Server(str(redis), (7, 2, 5))


def test_a_valkey_server_does_where_redis_is_missing_or_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    valkey = program(tmp_path, "valkey-server", "Valkey server v=8.1.3 sha=0")
    assert find_server() == Server(str(valkey), (8, 1, 3))
    program(tmp_path, "redis-server", "Redis server v=6.0.16 sha=0")
    assert find_server() == Server(str(valkey), (8, 1, 3))


def test_an_empty_path_leaves_the_bundled_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    server = find_server()
    assert server.version[:2] == (6, 2)
    assert Path(server.executable).samefile(REDIS_BINARIES["embedded 6.2"])


def test_a_lock_is_for_one_and_tells_whose_it_is(tmp_path: Path) -> None:
    first = take_lock(tmp_path / "lock")
    assert first is not None
    assert take_lock(tmp_path / "lock") is None
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    os.close(first)
    again = take_lock(tmp_path / "lock")
    assert again is not None
    os.close(again)


def test_a_server_that_has_lost_its_up_is_ended_before_another_one_writes_its_file(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    redis = EmbeddedRedis(folder, find_server())
    said: list[str] = []
    lock = redis.claim(said.append)
    with subprocess.Popen(redis.command, pass_fds=(lock,), stdout=subprocess.DEVNULL) as orphan:
        try:
            os.close(lock)
            assert eventually(lambda: version_when_ready(f"unix://{redis.socket}"))
            again = redis.claim(said.append)
            assert orphan.wait(10) == 0
            assert said == [f"a Redis of an earlier run is still there (process {orphan.pid}); ending it"]
            os.close(again)
        finally:
            orphan.kill()


def test_a_server_of_somebody_else_on_our_socket_is_left_alone(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with running_redis(socket_path=folder / "redis.sock") as other:
        with pytest.raises(CannotEmbed, match="another program serves"):
            EmbeddedRedis(folder, find_server()).claim(lambda _: None)
        assert other.process is not None
        assert other.process.poll() is None


def test_a_stale_socket_is_no_server(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with running_redis(socket_path=folder / "redis.sock"):
        pass  # killed: the socket's file stays
    assert (folder / "redis.sock").exists()
    lock = EmbeddedRedis(folder, find_server()).claim(lambda _: None)
    os.close(lock)


@pytest.mark.parametrize("binary", sorted(REDIS_BINARIES.values()))
def test_both_generations_understand_the_command_line(folder: Path, binary: str) -> None:
    place = folder / "with 'quotes' and spaces"
    place.mkdir(parents=True)
    executable = shutil.which(binary)
    assert executable is not None
    command = EmbeddedRedis(place, Server(executable, (9, 9, 9))).command
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            assert eventually(lambda: version_when_ready(f"unix://{place / 'redis.sock'}"))
        finally:
            server.kill()
