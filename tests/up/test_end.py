"""However `up` ends, no process stays behind."""

import os
import signal
from pathlib import Path

import pytest

from tests.up.running import Up, processes_of, up
from tests.waiting import eventually


def gone(run: Up) -> bool:
    return not processes_of(run.folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_in_its_order(folder: Path, number: signal.Signals) -> None:
    with up(folder, "--no-demo") as run:
        run.ready()
        run.send(number)
        assert run.wait(10) == 0, "the promise is ten seconds"
        assert gone(run)
        # Told to end, not killed: Redis has said its farewell, and the socket is gone.
        assert run.said("Redis is now ready to exit")
        assert not (folder / "redis.sock").exists()


def test_a_signal_while_it_starts_ends_everything_too(folder: Path) -> None:
    with up(folder, "--no-demo") as run:
        eventually(lambda: run.said("starting the web process"), within=60)
        run.send(signal.SIGINT)
        assert run.wait(10) == 0
        assert gone(run)
        assert not run.said("Perseus is ready")


def test_sigkill_leaves_nothing_behind_and_the_next_start_finds_its_data(folder: Path) -> None:
    with up(folder, "--no-demo") as run:
        run.ready()
        with run.client() as client:
            client.set("a", "kept")
        assert len(processes_of(folder)) == 4  # up, redis, web, recorder
        run.send(signal.SIGKILL)
        run.wait(10)
        eventually(lambda: gone(run), within=10)
        assert (folder / "redis.sock").exists(), "a stale socket, which the next start has to get over"
    with up(folder, "--no-demo") as again:
        again.ready()
        with again.client() as client:
            assert client.get("a") == b"kept"


@pytest.mark.parametrize(("program", "name"), [("redis-server", "redis"), ("daphne", "web")])
def test_a_process_that_all_need_takes_everything_with_it(folder: Path, program: str, name: str) -> None:
    with up(folder, "--no-demo") as run:
        run.ready()
        os.kill(run.pid_of(program), signal.SIGKILL)
        assert run.wait(20) == 1
        assert run.said(f"{name} has ended by SIGKILL")
        assert gone(run)


def test_a_recorder_that_is_killed_comes_back_and_everything_else_stays(folder: Path) -> None:
    with up(folder, "--no-demo") as run:
        run.ready()
        first = run.pid_of("manage.py recorder")
        os.kill(first, signal.SIGKILL)
        eventually(lambda: run.said("recorder has ended by SIGKILL; again in 1 s"))
        assert eventually(lambda: run.pid_of("manage.py recorder")) != first
        assert run.process.poll() is None
