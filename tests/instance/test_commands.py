"""Commands to a worker that runs: carried out once, in the right order, and truthfully reported."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from activity.instance.exits import ExitCode
from activity.instance.options import Telling
from activity.store.client import sync_client
from activity.store.commands import close_command, read_idle
from tests.instance.commanding import Commander
from tests.instance.workers import EXCHANGE, EXCHANGE_ID, PYTHON, Exchange, Worker, Workers
from tests.servers import RedisServer
from tests.waiting import eventually

#: Says each line that it is told, and what it was started with.
LISTENER = (
    "import os, sys, threading, time\n"
    "print('mode', os.environ['PERSEUS_MODE'], 'symbols', os.environ['PERSEUS_SYMBOLS'], flush=True)\n"
    "def listen():\n"
    "    for line in sys.stdin:\n"
    "        print('told', line.strip(), flush=True)\n"
    "threading.Thread(target=listen, daemon=True).start()\n"
    "time.sleep(600)\n"
)
READY: dict[str, Any] = {"ready_after": 0.1, "stop_grace": 2.0}


@pytest.fixture
def exchange(redis_server: RedisServer) -> Exchange:
    return Exchange(redis_server.client(), EXCHANGE_ID, EXCHANGE)


class Steered:
    """A worker that is active, and who steers it."""

    def __init__(self, worker: Worker, exchange: Exchange, redis_url: str) -> None:
        self.worker = worker
        self.exchange = exchange
        self.instance_id = str(exchange.reaches("active")["instanceId"])
        self.commander = Commander(redis_url, self.instance_id)
        self.tell = self.commander.tell


@pytest.fixture
def bare(workers: Workers, exchange: Exchange, redis_server: RedisServer) -> Iterator[Steered]:
    steered = Steered(workers.start(), exchange, redis_server.url)
    yield steered
    steered.commander.close()


@pytest.fixture
def listening(workers: Workers, exchange: Exchange, redis_server: RedisServer) -> Iterator[Steered]:
    """A program that reads its commands from standard input."""
    worker = workers.start(PYTHON, "-c", LISTENER, tell=["stdin"], mode="paper", symbols=["A/B"], **READY)
    steered = Steered(worker, exchange, redis_server.url)
    worker.says("mode paper symbols A/B")  # it is active after a tenth of a second, whatever its program does
    yield steered
    steered.commander.close()


def moves(exchange: Exchange, correlation_id: object) -> list[str]:
    return [entry["toState"] for entry in exchange.entries() if entry.get("correlationId") == str(correlation_id)]


def test_stop_and_start_keep_the_exchange_and_name_the_transitions_that_they_caused(bare: Steered) -> None:
    stop = bare.commander.send("stop")
    assert bare.commander.ended(stop)[0] == "succeeded"
    bare.exchange.reaches("idle")
    assert moves(bare.exchange, stop) == ["stopping", "stopped"]
    start = bare.commander.send("start")
    assert bare.commander.ended(start) == ("succeeded", "started")
    status = bare.exchange.reaches("active")
    assert status["instanceId"] == bare.instance_id, "the same instance, under the same epoch"
    eventually(lambda: moves(bare.exchange, start) == ["starting", "warming", "active"])
    assert bare.tell("start") == ("failed", "it is active already: only an instance that was stopped starts")
    assert bare.worker.stop() == ExitCode.STOPPED


def test_a_stop_ends_a_real_program_and_a_start_starts_it_anew(listening: Steered) -> None:
    first = listening.worker.output.count("mode paper symbols A/B")
    assert first == 1
    assert listening.tell("stop")[0] == "succeeded"
    assert "Program ended" in listening.worker.output
    assert listening.tell("start")[0] == "succeeded"
    listening.exchange.reaches("active")
    eventually(lambda: listening.worker.output.count("mode paper symbols A/B") == 2)
    assert listening.worker.stop() == ExitCode.STOPPED


def test_a_program_is_told_by_lines_on_its_standard_input(listening: Steered) -> None:
    assert listening.tell("pause") == ("succeeded", "paused")
    listening.exchange.becomes(lambda status: status["paused"])
    listening.worker.says('"command": "pause"')
    assert listening.tell("pause", nonsense=1)[0] == "failed"
    assert listening.tell("resume") == ("succeeded", "goes on")
    listening.exchange.becomes(lambda status: not status["paused"])
    assert listening.tell("switch-mode", mode="live") == ("succeeded", "mode live, told")
    assert listening.exchange.becomes(lambda status: status["mode"] == "live")["connectionState"] == "active"
    assert listening.tell("add-symbol", symbol="C/D") == ("succeeded", "2 symbols are followed")
    listening.exchange.becomes(lambda status: status["symbolCount"] == 2)
    assert listening.tell("add-symbol", symbol="C/D") == ("failed", "C/D is followed already")
    assert listening.tell("remove-symbol", symbol="X/Y") == ("failed", "X/Y is not followed")
    assert listening.tell("remove-symbol", symbol="A/B")[0] == "succeeded"
    assert listening.tell("reload-settings", mode="demo", symbols=["E/F", "G/H", "I/J"])[0] == "succeeded"
    listening.worker.says('"E/F"')
    listening.exchange.becomes(lambda status: (status["mode"], status["symbolCount"]) == ("demo", 3))
    assert listening.tell("add-symbol", symbol="a b")[1].startswith("payload.symbol:")


def test_a_program_that_cannot_be_told_is_started_anew_in_the_new_mode(
    workers: Workers, exchange: Exchange, redis_server: RedisServer
) -> None:
    steered = Steered(workers.start(PYTHON, "-c", LISTENER, mode="paper", **READY), exchange, redis_server.url)
    assert steered.tell("switch-mode", mode="live") == ("succeeded", "mode live, the program was started anew")
    steered.worker.says("mode live symbols")
    exchange.becomes(lambda status: (status["mode"], status["connectionState"]) == ("live", "active"))
    failed, words = steered.tell("pause")
    assert (failed, words) == ("failed", "the program has no way to be told of pause: start its worker with --tell")
    steered.commander.close()


def test_a_program_is_told_by_signals_and_by_a_hook(
    workers: Workers, exchange: Exchange, redis_server: RedisServer
) -> None:
    program = (
        "import signal, time\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('usr1', flush=True))\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n"
    )
    heard = workers.folder / "heard"
    hook_file = workers.folder / "hook.py"
    hook_file.write_text("import sys\nopen(sys.argv[1], 'a').write(sys.argv[2])\nsys.exit(sys.argv[2] == 'resume')\n")
    hook = f"hook:{PYTHON} {hook_file}"
    tell = ["signal:pause=USR1", f"{hook} {heard} {{type}}"]
    steered = Steered(workers.start(PYTHON, "-c", program, tell=tell, **READY), exchange, redis_server.url)
    steered.worker.says("| up")
    assert steered.tell("pause") == ("succeeded", "paused")
    steered.worker.says("| usr1")
    assert steered.tell("switch-mode", mode="live") == ("succeeded", "mode live, told")
    assert heard.read_text() == "switch-mode"
    assert steered.tell("resume") == ("failed", "the hook ended with exit code 1: no output")
    steered.commander.close()


def test_a_stop_does_not_wait_for_a_hook_that_is_running(
    workers: Workers, exchange: Exchange, redis_server: RedisServer
) -> None:
    began = workers.folder / "began"
    hook_file = workers.folder / "hook.py"
    hook_file.write_text(f"import subprocess\nopen({str(began)!r}, 'a').write('x')\nsubprocess.run(['sleep', '15'])\n")
    program = [PYTHON, "-c", "import time; time.sleep(600)"]
    steered = Steered(workers.start(*program, tell=[f"hook:{PYTHON} {hook_file}"], **READY), exchange, redis_server.url)
    slow = steered.commander.send("add-symbol", symbol="A/B")
    eventually(began.exists)
    stop = steered.commander.send("stop")
    assert steered.commander.ended(stop)[0] == "succeeded"
    progress, text = steered.commander.ended(slow)
    assert (progress, "overtook it" in text) == ("failed", True)
    steered.commander.close()


def test_a_claim_names_who_answers_and_a_release_nobody(bare: Steered) -> None:
    assert bare.tell("claim", email="jonas@example.org", displayName="Jonas Weber")[0] == "succeeded"
    status = bare.exchange.becomes(lambda status: status["adminEmail"])
    assert (status["adminEmail"], status["adminDisplayName"]) == ("jonas@example.org", "Jonas Weber")
    assert bare.tell("release")[0] == "succeeded"
    bare.exchange.becomes(lambda status: status["adminEmail"] is None)


def test_a_command_that_is_sent_twice_is_carried_out_once(bare: Steered) -> None:
    correlation = bare.commander.send("stop")
    assert bare.commander.ended(correlation)[0] == "succeeded"
    bare.commander.send("stop", correlation)
    bare.exchange.client.xadd(  # and once more by somebody who does not look
        f"{{commands:{bare.instance_id}}}", {"correlationId": str(correlation), "type": "start", "payload": "{}",
                                             "timestamp": "1", "issuedBy": "x"},
    )  # fmt: skip
    assert bare.tell("start")[0] == "succeeded"
    assert bare.exchange.path().count("stopping") == 1
    assert bare.commander.report(correlation).progress == "succeeded"  # type: ignore[union-attr]


def test_stop_overtakes_what_waits(listening: Steered) -> None:
    listening.worker.signal(signal.SIGSTOP)
    sent = [listening.commander.send("add-symbol", symbol=f"S{number}") for number in range(5)]
    stop = listening.commander.send("stop")
    listening.worker.signal(signal.SIGCONT)
    assert listening.commander.ended(stop)[0] == "succeeded"
    stopped_at = listening.commander.report(stop).acknowledgedAt  # type: ignore[union-attr]
    for correlation in sent:
        listening.commander.ended(correlation)
    later = [listening.commander.report(one).acknowledgedAt >= stopped_at for one in sent]  # type: ignore[union-attr]
    assert all(later[1:]), "the first one may have been on its way when the worker was stopped"


def test_a_command_that_nobody_took_in_time_expires_by_redis_clock(bare: Steered) -> None:
    """Its own timestamp, written by a clock that is wrong by ten minutes, decides nothing."""
    fields: dict[Any, Any] = {"type": "stop", "payload": "{}", "issuedBy": "x"}
    key = f"{{commands:{bare.instance_id}}}"
    fresh, old = uuid4(), uuid4()
    now = int(time.time() * 1000)
    bare.exchange.client.xadd(
        key, {**fields, "correlationId": str(old), "timestamp": str(now)}, id=f"{now - 600_000}-0"
    )
    bare.exchange.client.xadd(
        key, {**fields, "correlationId": str(fresh), "timestamp": str(now - 600_000)}, id=f"{now}-0"
    )
    assert bare.commander.ended(old)[0] == "expired"
    assert bare.commander.ended(fresh)[0] == "succeeded"


def test_a_command_that_was_given_up_is_never_carried_out(bare: Steered, redis_server: RedisServer) -> None:
    bare.worker.signal(signal.SIGSTOP)
    correlation = bare.commander.send("stop")
    with sync_client(redis_server.url) as client:
        report = close_command(client, bare.instance_id, correlation, "expired", "nobody took it")
    assert report
    assert report.progress == "expired"
    bare.worker.signal(signal.SIGCONT)
    assert bare.tell("claim", email="a@example.org")[0] == "succeeded"
    assert bare.exchange.path()[-1] == "active"
    assert bare.commander.report(correlation).progress == "expired"  # type: ignore[union-attr]


def test_nothing_runs_twice_when_the_instance_is_killed_after_it_acknowledged(
    workers: Workers, exchange: Exchange, redis_server: RedisServer
) -> None:
    counted = workers.folder / "counted"
    hook = f'hook:{PYTHON} -c \'import sys, time; open(sys.argv[1], "a").write("x"); time.sleep(6)\' {counted}'
    options: dict[str, Any] = {"tell": [hook], **READY}
    steered = Steered(workers.start(PYTHON, "-c", LISTENER, **options), exchange, redis_server.url)
    correlation = steered.commander.send("pause")
    eventually(counted.exists)
    eventually(lambda: counted.read_text() == "x")
    steered.worker.signal(signal.SIGKILL)
    steered.worker.wait()
    exchange.client.delete(exchange.key)
    again = Steered(workers.start(PYTHON, "-c", LISTENER, **options), exchange, redis_server.url)
    assert again.tell("claim", email="a@example.org")[0] == "succeeded"
    assert counted.read_text() == "x"
    assert steered.commander.report(correlation).progress == "acknowledged"  # type: ignore[union-attr]
    with sync_client(redis_server.url) as client:
        closed = close_command(
            client, steered.instance_id, correlation, "failed", "the instance ended before it reported"
        )
    assert closed
    assert closed.progress == "failed"
    for one in (steered, again):
        one.commander.close()


def test_a_handover_is_a_command_too(workers: Workers, exchange: Exchange, redis_server: RedisServer) -> None:
    owner = Steered(workers.start(), exchange, redis_server.url)
    workers.start(standby=True, hostname="host-b")
    eventually(lambda: exchange.client.hlen(f"{{{exchange.key}}}:standbys") == 1)
    standby = next(str(key, "ascii") for key in dict(exchange.client.hgetall(f"{{{exchange.key}}}:standbys")))  # type: ignore[arg-type]
    assert owner.tell("handover", to="nobody") == ("failed", "nobody is no standby that is alive")
    assert owner.tell("handover", to=standby)[0] == "succeeded"
    exchange.becomes(lambda status: status["instanceId"] == standby)
    assert owner.worker.wait() == ExitCode.STOPPED
    owner.commander.close()


def test_an_idle_instance_is_assigned_an_exchange_and_starts(
    workers: Workers, exchange: Exchange, redis_server: RedisServer
) -> None:
    worker = workers.start(module="tests.instance.idle_process", exchange_id=0, exchange_name="")
    with sync_client(redis_server.url) as client:
        eventually(lambda: len(read_idle(client)) == 1)
        [view] = read_idle(client)
        commander = Commander(redis_server.url, view.status.instanceId)
        assert commander.tell("stop")[0] == "failed"
        assigned = {"exchangeId": EXCHANGE_ID, "exchangeName": EXCHANGE, "mode": "paper", "symbols": ["A/B"]}
        assert commander.tell("start", **assigned) == ("succeeded", f"starts as the instance of {EXCHANGE}")
        status = exchange.reaches("active")
        assert status["mode"] == "paper"
        eventually(lambda: read_idle(client) == [])
        assert not client.exists("exchange:0:status")
    assert worker.stop() == ExitCode.STOPPED
    commander.close()


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("loudly",), "'loudly': expected stdin, hook:PROGRAM ARGS, or signal:pause=USR1"),
        (("signal:pause=LOUD",), "signal: 'pause=LOUD' is no TYPE=SIGNAL"),
        (("hook:tell {colour}",), "hook: {colour} is none of type, payload"),
    ],
)
def test_a_way_of_telling_that_means_nothing_is_refused(texts: tuple[str, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("{", r"\{").replace("}", r"\}")):
        Telling.parse(texts)


def test_payloads_are_json_of_a_schema() -> None:
    schema = json.loads((Path(__file__).parents[2] / "docs" / "schemas" / "InstanceCommand.json").read_text())
    assert schema["properties"]["correlationId"]["format"] == "uuid"
