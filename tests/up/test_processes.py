"""The runner, in a process of its own: at its end it kills every child of its process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.up.running import ROOT
from tests.waiting import eventually

_BEGIN = """
import json, os, signal, sys, time
from pathlib import Path
from activity.management.output import Output
from activity.management.processes import Runner

def python(code):
    return [sys.executable, "-c", code]

def until(runner, child, seconds=20):
    deadline = time.monotonic() + seconds
    while child.returncode is None and time.monotonic() < deadline:
        runner.turn(0.1)
    assert child.returncode is not None

folder = Path(sys.argv[1])
with Runner(Output(sys.stdout, ["up", "child"])) as runner:
"""


def play(code: str, folder: Path) -> "subprocess.Popen[str]":
    """Start a process that runs `code` inside `with Runner(…) as runner`."""
    script = _BEGIN + "\n".join(f"    {line}" for line in code.strip().splitlines())
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def output_of(code: str, folder: Path) -> list[str]:
    with play(code, folder) as process:
        text, _ = process.communicate(timeout=60)
    assert process.returncode == 0, text
    return text.splitlines()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def written(path: Path) -> int:
    """The process id that a child has written there, as soon as it has."""
    return int(eventually(lambda: path.exists() and path.read_text().strip()))


def test_lines_come_whole_and_the_last_one_needs_no_end(tmp_path: Path) -> None:
    code = """
child = runner.start("child", python("print('one'); print(); print('two', end='')"), folder=folder)
until(runner, child)
"""
    assert output_of(code, tmp_path) == ["child | one", "child | ", "child | two"]


def test_a_line_without_an_end_is_cut_into_pieces(tmp_path: Path) -> None:
    code = """
child = runner.start("child", python("print('x' * 200_000)"), folder=folder)
until(runner, child)
"""
    lines = output_of(code, tmp_path)
    assert len(lines) > 3
    assert "".join(line.removeprefix("child | ") for line in lines) == "x" * 200_000


def test_held_lines_are_kept_and_not_shown(tmp_path: Path) -> None:
    code = """
child = runner.start("child", python("print('secret')"), folder=folder, hold_lines=True)
until(runner, child)
runner.say(json.dumps([list(child.held), child.returncode, child.ending]))
"""
    (line,) = output_of(code, tmp_path)
    assert json.loads(line.removeprefix("up    | ")) == [["secret"], 0, "ended with exit code 0"]


def test_an_environment_variable_is_handed_on(tmp_path: Path) -> None:
    code = """
child = runner.start("child", python("import os; print(os.environ['COLOUR'])"), folder=folder, COLOUR="blue")
until(runner, child)
"""
    assert output_of(code, tmp_path) == ["child | blue"]


STUBBORN = """
child = runner.start("child", python(
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "open('pid', 'w').write(str(os.getpid())); print('there', flush=True); time.sleep(600)"
), folder=folder)
while not (folder / "pid").exists():
    runner.turn(0.1)
"""


def test_a_child_that_ignores_sigterm_is_killed_and_that_is_said(tmp_path: Path) -> None:
    lines = output_of(f"{STUBBORN}runner.end([child], 0.5)\nuntil(runner, child)", tmp_path)
    assert lines == ["child | there", "up    | child does not end, killing it"]
    assert not is_alive(written(tmp_path / "pid"))


def test_a_second_signal_does_not_wait_for_anybody(tmp_path: Path) -> None:
    code = f"{STUBBORN}(folder / 'ending').touch()\nrunner.end([child], 600)"
    with play(code, tmp_path) as process:
        pid = written(tmp_path / "pid")
        eventually((tmp_path / "ending").exists)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        text, _ = process.communicate(timeout=30)
    assert "killing it" in text
    assert not is_alive(pid)


def test_whoever_still_runs_at_the_end_is_killed_down_to_the_orphans(tmp_path: Path) -> None:
    # The child starts a grandchild in a session of its own and ends: nobody but the kernel knows them as related.
    code = """
child = runner.start("child", python(
    "import subprocess, sys; subprocess.Popen([sys.executable, '-c', "
    "'import os, time; open(\\\\'pid\\\\', \\\\'w\\\\').write(str(os.getpid())); time.sleep(600)'], "
    "start_new_session=True)"
), folder=folder)
until(runner, child)
while not ((folder / "pid").exists() and (folder / "pid").read_text()):
    time.sleep(0.05)
"""
    output_of(code, tmp_path)
    assert not is_alive(written(tmp_path / "pid"))


def test_sigkill_of_the_runner_ends_its_children(tmp_path: Path) -> None:
    with play(f"{STUBBORN}\nwhile True:\n    runner.turn(1)", tmp_path) as process:
        pid = written(tmp_path / "pid")
        assert is_alive(pid)
        process.kill()
        process.wait(10)
    eventually(lambda: not is_alive(pid))


def test_a_reader_who_goes_away_ends_everything(tmp_path: Path) -> None:
    code = """
from activity.management.processes import Interrupted
child = runner.start("child", python(
    "import time\\nwhile True: print('tick', flush=True); time.sleep(0.05)"
), folder=folder)
try:
    while True:
        runner.turn(0.5)
        runner.check()
except Interrupted:
    (folder / "interrupted").touch()
"""
    with play(code, tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 0
    assert (tmp_path / "interrupted").exists()


def test_a_terminal_that_stands_still_does_not_stop_the_children(tmp_path: Path) -> None:
    code = """
child = runner.start("child", python(
    "for n in range(60_000): print('line', n)\\nopen('done', 'w').close()"
), folder=folder)
until(runner, child, 60)
"""
    with play(code, tmp_path) as process:
        # Nobody reads: without a backlog of its own the runner would hang in its first full pipe, and the child in its.
        eventually((tmp_path / "done").exists, within=60)
        process.communicate(timeout=30)


def test_a_stopped_reader_is_no_reason_to_hang_at_the_end(tmp_path: Path) -> None:
    code = "for n in range(20_000): runner.say('x' * 50)"
    read, write = os.pipe()
    script = _BEGIN + "    " + code
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=write) as process:
        os.close(write)
        assert process.wait(30) == 0
    os.close(read)
