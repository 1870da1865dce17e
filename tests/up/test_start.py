"""What `manage.py up` starts, and what it says."""

import re
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.servers import REDIS_BINARIES, running_redis
from tests.up.running import ROOT, Up, clean_environment, processes_of, up
from tests.waiting import eventually


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_page_answers_when_it_says_that_it_is_ready(network: Up) -> None:
    with urllib.request.urlopen(f"{network.url}sign-in/", timeout=10) as answer:
        assert answer.status == 200


def test_every_line_is_behind_the_name_of_its_process(network: Up) -> None:
    strangers = [line for line in network.lines if not re.match(r"(up|database|redis|web|recorder) +\| ?", line)]
    assert strangers == []
    assert len({line.index("|") for line in network.lines}) == 1, "one column"


def test_it_says_how_to_sign_in_how_to_join_and_how_to_end(network: Up) -> None:
    assert network.said("sign in: as admin@localhost")
    (join,) = network.said("join:")
    assert f"PERSEUS_DATA={network.folder} " in join
    assert "worker --exchange NAME -- your-bot" in join
    assert network.said("Ctrl-C")


def test_the_steps_of_the_start_are_said_with_their_time(network: Up) -> None:
    for step in ("database", "redis", "web"):
        assert any(re.search(rf"{step} is ready after \d+\.\d s", line) for line in network.lines), step


def test_what_it_keeps_is_for_our_own_user(network: Up) -> None:
    assert mode(network.folder) == 0o700
    assert mode(network.folder / "redis.sock") == 0o700
    readable = [path for path in network.folder.rglob("*") if path.is_file() and mode(path) & 0o077]
    assert readable == []


def test_the_embedded_redis_keeps_what_it_is_told_and_listens_on_its_socket_alone(network: Up) -> None:
    with network.client() as client:
        wanted = {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "port": "0",
            "save": "",
            "dir": str(network.folder),
            "unixsocketperm": "700",
        }
        assert {name: client.config_get(name)[name] for name in wanted} == wanted


def test_six_exchanges_are_there_and_the_password_is_shown_once(network: Up) -> None:
    assert network.said("6 known exchanges")
    assert len(network.said("password  ")) == 1


def test_a_second_one_in_the_same_folder_is_refused_and_names_the_first(network: Up) -> None:
    with up(network.folder) as second:
        assert second.wait() == 2
        assert second.said(f"Another `up` (process {network.process.pid})")
        assert second.said(str(network.folder))
    assert network.process.poll() is None
    with network.client() as client:
        assert client.ping()


def test_a_command_beside_it_finds_its_redis_and_database_through_the_data_folder(network: Up) -> None:
    code = (
        "import django; django.setup()\n"
        "from perseus_admin.config import settings\n"
        "from activity.store.client import pages_client\n"
        "from activity.models import Exchange\n"
        "print(pages_client(settings().redis).ping(), Exchange.objects.count())\n"
    )
    environment = clean_environment(PERSEUS_DATA=str(network.folder), DJANGO_SETTINGS_MODULE="perseus_admin.settings")
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert answer.stdout == "True 6\n", answer.stderr


def test_with_a_redis_url_no_server_is_embedded(folder: Path) -> None:
    with running_redis() as server, up(folder, "--no-demo", REDIS_URL=server.url) as run:
        run.ready()
        assert not (folder / "redis.sock").exists()
        assert not any(line.startswith("redis ") for line in run.lines)
        assert run.said("join:")[0].count("REDIS_URL=…") == 1


def test_without_a_server_on_path_it_runs_the_bundled_one_in_a_folder_with_a_space(folder: Path) -> None:
    place = folder / "a b"
    with up(place, "--no-demo", PATH="/nonexistent") as run:
        run.ready()
        with run.client() as client:
            version = str(client.info("server")["redis_version"])
            executable = client.info("server")["executable"]
        assert version.startswith("6.2")
        assert Path(str(executable)).samefile(REDIS_BINARIES["embedded 6.2"])


def test_what_was_written_is_there_after_a_restart_and_the_password_is_not_shown_again(folder: Path) -> None:
    with up(folder, "--no-demo") as first:
        first.ready()
        with first.client() as client:
            client.xadd("logs:network:kraken", {"event": "error", "error": "kept"})
        first.send(2)
        assert first.wait() == 0
    with up(folder, "--no-demo") as second:
        second.ready()
        with second.client() as client:
            assert client.xlen("logs:network:kraken") == 1
        assert second.said("password  ") == []
        assert second.said("sign in: as before")


def test_the_port_may_come_from_the_environment(folder: Path) -> None:
    # 0 is refused before anything is made: the environment was read.
    answer = subprocess.run(
        [sys.executable, "manage.py", "up", "--data", str(folder)],
        cwd=ROOT,
        env=clean_environment(PORT="0"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 2
    assert "PORT" in answer.stderr
    eventually(lambda: not processes_of(folder))
