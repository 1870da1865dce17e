"""Programs under a worker: what they say, how they end, and that nothing of them outlives their worker."""

import signal
from pathlib import Path

import pytest

from activity.instance.exits import ExitCode
from tests.instance.workers import PYTHON, Exchange, Workers, processes_with
from tests.waiting import eventually

#: A program of our own that speaks sd_notify: `say("READY=1")`.
PRELUDE = """
import os, signal, socket, sys, time
def say(*lines):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto("\\n".join(lines).encode(), os.environ["NOTIFY_SOCKET"])
"""
FULL_WAY = ["starting", "warming", "active", "stopping", "stopped"]


def program(text: str) -> tuple[str, ...]:
    return (PYTHON, "-c", PRELUDE + text)


def test_an_unexpected_exit_is_an_error_with_the_code_and_the_last_lines(workers: Workers, exchange: Exchange) -> None:
    worker = workers.start(*program("say('READY=1'); time.sleep(1)\nfor i in range(30): print('line', i)\nsys.exit(3)"))
    assert worker.wait() == ExitCode.PROGRAM_FAILED
    (error,) = exchange.errors()
    assert "ended unexpectedly with exit code 3" in error
    assert error.splitlines()[1:] == [f"line {i}" for i in range(10, 30)]
    assert exchange.path() == FULL_WAY
    assert exchange.is_gone()


def test_an_exit_with_0_that_nobody_asked_for_is_unexpected_too(workers: Workers, exchange: Exchange) -> None:
    worker = workers.start(*program("say('READY=1'); time.sleep(0.5)"))
    assert worker.wait() == ExitCode.PROGRAM_FAILED
    assert "ended unexpectedly with exit code 0" in exchange.errors()[0]


def test_a_death_by_signal_while_warming_is_an_error_and_leads_back_to_idle(
    workers: Workers, exchange: Exchange
) -> None:
    worker = workers.start(*program("os.kill(os.getpid(), signal.SIGSEGV)"))
    assert worker.wait() == ExitCode.PROGRAM_FAILED
    (entry,) = exchange.entries("error")
    assert "signal SIGSEGV" in entry["error"]
    assert entry["state"] == "warming"
    assert exchange.path() == ["starting", "warming", "idle"]
    assert exchange.is_gone()


def test_a_program_that_gives_up_roots_rights_can_still_say_that_it_is_ready(
    workers: Workers, exchange: Exchange
) -> None:
    workers.folder.chmod(0o711)  # as /tmp is: others may pass
    drop = "os.geteuid() or (os.setgid(65534), os.setuid(65534))\n"
    worker = workers.start(*program(drop + "say('READY=1'); time.sleep(60)"))
    exchange.reaches("active")
    assert worker.stop() == ExitCode.STOPPED


def test_a_program_that_says_stopping_and_ends_with_0_has_ended_in_order(workers: Workers, exchange: Exchange) -> None:
    worker = workers.start(*program("say('READY=1'); time.sleep(0.5); say('STOPPING=1'); time.sleep(0.2)"))
    assert worker.wait() == ExitCode.STOPPED
    assert exchange.path() == FULL_WAY
    assert exchange.errors() == []


def test_a_program_is_started_again_after_a_failure_while_its_instance_stays_registered(
    workers: Workers, exchange: Exchange, tmp_path: Path
) -> None:
    flag = tmp_path / "second"
    text = f"""
from pathlib import Path
say('READY=1')
time.sleep(0.5)
if not Path({str(flag)!r}).exists():
    Path({str(flag)!r}).touch()
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(600)
"""
    worker = workers.start(*program(text), restart=True)
    eventually(lambda: exchange.path() == [*FULL_WAY, "idle", "starting", "warming", "active"])
    ids = {entry["instanceId"] for entry in exchange.entries()}
    assert len(ids) == 1
    assert "signal SIGKILL" in exchange.errors()[0]
    assert worker.stop() == ExitCode.STOPPED


def test_a_stop_while_a_restart_is_waited_for_releases_from_idle(workers: Workers, exchange: Exchange) -> None:
    worker = workers.start(*program("sys.exit(1)"), restart=True)
    eventually(lambda: len(exchange.errors()) >= 2)
    worker.says("Starting the program again in 1")
    assert worker.stop() == ExitCode.STOPPED
    assert exchange.is_gone()


def test_ready_after_makes_a_program_active_that_says_nothing(workers: Workers, exchange: Exchange) -> None:
    worker = workers.start(*program("time.sleep(600)"), ready_after=0.5)
    exchange.reaches("active")
    assert worker.stop() == ExitCode.STOPPED
    assert exchange.path() == FULL_WAY
    assert exchange.errors() == []


def test_a_program_that_is_not_ready_in_time_has_failed_and_extending_the_time_helps(
    workers: Workers, exchange: Exchange
) -> None:
    text = "say('EXTEND_TIMEOUT_USEC=3000000'); time.sleep(2); say('READY=1'); time.sleep(600)"
    worker = workers.start(*program(text), start_timeout=1)
    exchange.reaches("active")
    assert worker.stop() == ExitCode.STOPPED
    worker = workers.start(*program("time.sleep(600)"), start_timeout=1)
    assert worker.wait() == ExitCode.PROGRAM_FAILED
    assert "was not ready" in exchange.errors()[-1]


def test_what_a_program_says_over_its_socket_is_shown_or_counted_and_nonsense_is_ignored(
    workers: Workers, exchange: Exchange
) -> None:
    text = """
say('STATUS=loading Bearer abcdefghijkl', 'X_SYMBOL_COUNT=42', 'ERRNO=2')
say('nonsense')
say('X_SYMBOL_COUNT=-1')
say('MAINPID=4000000')
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    s.sendto(b'\\xff=1', os.environ['NOTIFY_SOCKET'])
say('READY=1')
say('RELOADING=1')
time.sleep(600)
"""
    worker = workers.start(*program(text))
    exchange.reaches("active")
    exchange.becomes(lambda status: status["symbolCount"] == 42)
    worker.says("reloads its configuration")
    assert "Program status: loading Bearer [redacted]" in worker.output
    assert "errno 2" in worker.output
    for nonsense in ("no NAME=VALUE", "X_SYMBOL_COUNT=-1, which is ignored", "not UTF-8", "there is no such process"):
        assert nonsense in worker.output
    assert worker.stop() == ExitCode.STOPPED


def test_the_barrier_of_systemd_notify_is_answered(workers: Workers, exchange: Exchange) -> None:
    # systemd-notify sends BARRIER=1 with a descriptor and waits up to 5 s until the receiver has closed it.
    script = "systemd-notify --ready --status=fine && echo answered; sleep 600"
    worker = workers.start("sh", "-c", script)
    exchange.reaches("active")
    worker.says("| answered", within=4)
    assert worker.stop() == ExitCode.STOPPED


def test_a_missed_watchdog_is_an_error_and_a_failure(workers: Workers, exchange: Exchange) -> None:
    text = "say('READY=1')\nfor _ in range(5): time.sleep(0.3); say('WATCHDOG=1')\ntime.sleep(600)"
    worker = workers.start(*program(text), watchdog=1.5)
    assert worker.wait() == ExitCode.PROGRAM_FAILED
    (error,) = exchange.errors()
    assert "missed its watchdog" in error
    assert "signal SIGABRT" in error
    assert exchange.path() == FULL_WAY


def test_a_program_may_report_that_it_is_stuck(workers: Workers, exchange: Exchange) -> None:
    worker = workers.start(*program("say('READY=1'); time.sleep(0.5); say('WATCHDOG=trigger'); time.sleep(600)"))
    assert worker.wait() == ExitCode.PROGRAM_FAILED
    assert "WATCHDOG=trigger" in exchange.errors()[0]


def test_a_program_that_ignores_sigterm_is_killed_after_the_grace_and_that_is_said(
    workers: Workers, exchange: Exchange
) -> None:
    worker = workers.start(
        *program("signal.signal(signal.SIGTERM, signal.SIG_IGN); say('READY=1'); time.sleep(600)"), stop_grace=1
    )
    exchange.reaches("active")
    assert worker.stop() == ExitCode.STOPPED
    assert "did not end within its grace and was killed" in exchange.errors()[0]
    assert exchange.path() == FULL_WAY
    assert exchange.is_gone()


def test_a_second_signal_kills_at_once(workers: Workers, exchange: Exchange) -> None:
    worker = workers.start(
        *program("signal.signal(signal.SIGTERM, signal.SIG_IGN); say('READY=1'); time.sleep(600)"), stop_grace=600
    )
    exchange.reaches("active")
    worker.signal(signal.SIGINT)
    worker.says("SIGINT: stopping")
    worker.signal(signal.SIGINT)
    assert worker.wait() == ExitCode.STOPPED
    assert exchange.path() == FULL_WAY


@pytest.mark.parametrize("shell", [False, True])
def test_a_program_dies_with_its_worker_even_behind_a_shell(
    workers: Workers, exchange: Exchange, *, shell: bool
) -> None:
    bot = program("say('READY=1'); time.sleep(600)")
    if shell:
        # Without exec the bot is a grandchild, as behind `npm start`: no parent-death signal reaches it.
        bot = ("sh", "-c", '"$0" "$@"; true', *bot)
    worker = workers.start(*bot)
    exchange.reaches("active")
    assert len(processes_with(str(workers.folder))) > 1
    worker.signal(signal.SIGKILL)
    worker.wait()
    eventually(lambda: processes_with(str(workers.folder)) == [])


def test_the_program_of_a_killed_worker_may_end_in_order_and_its_successor_waits_for_that(
    workers: Workers, exchange: Exchange, tmp_path: Path
) -> None:
    may_end = tmp_path / "may-end"
    text = f"""
def end(*_):
    while not os.path.exists({str(may_end)!r}): time.sleep(0.05)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
say('READY=1')
while True: time.sleep(1)
"""
    first = workers.start(*program(text), heartbeat_seconds=10)
    before = exchange.reaches("active")
    first.signal(signal.SIGKILL)
    first.wait()
    second = workers.start(heartbeat_seconds=10)
    second.says("The program of the previous worker of kraken is still ending")
    assert (exchange.status or {})["instanceId"] == before["instanceId"]
    may_end.touch()
    second.says("Registered kraken")
    assert second.stop() == ExitCode.STOPPED


def test_a_program_inherits_no_descriptor_but_its_own_three(workers: Workers, exchange: Exchange) -> None:
    # By fstat: whoever lists /proc/…/fd, a shell or Python, has descriptors of its own open meanwhile.
    text = """
import os
def is_open(descriptor):
    try: return bool(os.fstat(descriptor))
    except OSError: return False
print([descriptor for descriptor in range(1024) if is_open(descriptor)])
"""
    worker = workers.start(PYTHON, "-c", text)
    assert worker.wait() == ExitCode.PROGRAM_FAILED
    assert "| [0, 1, 2]\n" in worker.output


def test_what_a_program_leaves_behind_ends_with_it(workers: Workers, exchange: Exchange) -> None:
    worker = workers.start("sh", "-c", "sleep 600 & exit 4")
    assert worker.wait() == ExitCode.PROGRAM_FAILED
    assert processes_with(str(workers.folder)) == []
    assert "exit code 4" in exchange.errors()[0]


def test_a_main_process_of_its_own_session_is_followed_and_ended(workers: Workers, exchange: Exchange) -> None:
    text = """
if os.fork() == 0:
    os.setsid()
    say(f'MAINPID={os.getpid()}', 'READY=1')
    time.sleep(600)
time.sleep(1)
"""
    worker = workers.start(*program(text))
    exchange.reaches("active")
    launched = int(worker.output.partition("Program started, pid ")[2].partition(":")[0])
    eventually(lambda: not Path(f"/proc/{launched}").exists())
    assert worker.stop() == ExitCode.STOPPED
    assert processes_with(str(workers.folder)) == []


def test_lines_of_any_bytes_and_any_length_become_entries(workers: Workers, exchange: Exchange) -> None:
    text = """
out = sys.stdout.buffer
out.write(b'ERROR ' + 'ä'.encode() * 40000 + b'\\n')
out.write(b'ERROR \\xff\\x00<script>\\n')
out.write(b'ERROR redis://user:sesame@host/0\\r\\n')
out.flush()
say('READY=1')
time.sleep(600)
"""
    worker = workers.start(*program(text), error_pattern="^ERROR")
    exchange.reaches("active")
    first, second, third = exchange.eventually_errors(3)
    assert first == "ERROR " + "ä" * 32765
    assert second == "ERROR \ufffd\u2400<script>"
    assert third == "ERROR redis://user:[redacted]@host/0"
    exchange.becomes(lambda status: status["lastError"] == third)
    assert exchange.state() == "active", "an error never changes the state"
    assert "sesame" not in worker.output
    assert worker.stop() == ExitCode.STOPPED


def test_the_demo_program_speaks_to_its_worker(workers: Workers, exchange: Exchange) -> None:
    worker = workers.start(
        *(PYTHON, "-m", "activity.instance.demo", "errors"), mode="demo", error_pattern="^ERROR", symbols=["BTC/USD"]
    )
    status = exchange.reaches("active")
    assert status["mode"] == "demo"
    exchange.eventually_errors(within=30)
    assert worker.stop() == ExitCode.STOPPED
    assert exchange.path() == FULL_WAY
