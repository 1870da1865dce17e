"""Becomes the program, and leaves a guard behind that ends the program when its worker is gone.

Run by its path, not as a module: ``python -I -S launch.py OPTIONS PROGRAM ARGS…``. Only the standard library.

A worker that is killed with SIGKILL cannot stop its program, nor can one that is stopped or stuck past its lease, and a
program without an owner must not go on. The kernel's parent-death signal reaches the first process alone; behind `npm
start` or a shell the bot itself would go on. So a small process stays outside the program's process group and waits on
a pipe that only the worker holds open, and on which the worker says how long the lease runs. It also shares the lock of
the exchange: on this host no new worker starts before the old program has ended.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 0.05
_LEASE_LOOK_SECONDS = 0.2


def _stat(pid: int) -> list[str]:
    """What /proc tells of a living process, from its state on; of one that is gone, as many empty fields."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return [""] * 20
    return [""] * 20 if fields[0] in "ZX" else fields


def members(group: int) -> list[int]:
    """The living processes of a process group."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if _stat(pid)[2] == str(group)]


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # gone meanwhile, or a process that changed its user and is out of our reach


class Guard:
    """Waits until the worker says that all is done, or is gone, or its lease ends. Then ends what it has left.

    The worker writes lines: ``done``; ``main PID START``, a process that the program named as its main one; ``lease
    TERM KILL``, by which moments of CLOCK_BOOTTIME the program has to be asked to end and has to be gone, unless a
    later line says otherwise; ``stopping``, when the worker itself has asked the program to end.
    """

    def __init__(self, control: int, group: int, grace: float) -> None:
        self._control = control
        self._group = group
        self._grace = grace
        self._named: dict[int, str] = {}
        self._term_at = self._kill_at = float("inf")
        self._asked = False

    def run(self) -> None:
        """Until there is nothing left to guard."""
        text = b""
        while True:
            # A short look and not the whole time: select's clock stands still while the machine is suspended.
            if select.select([self._control], [], [], _LEASE_LOOK_SECONDS)[0]:
                chunk = os.read(self._control, 4096)
                if not chunk:
                    self._end()
                    return
                *lines, text = (text + chunk).split(b"\n")
                if not all(self._heed(*line.decode("ascii").split()) for line in lines):
                    return
            self._enforce(_boottime())

    def _heed(self, word: str, *values: str) -> bool:
        if word == "main":
            self._named[int(values[0])] = values[1]
        elif word == "lease":
            self._term_at, self._kill_at = float(values[0]), float(values[1])
        elif word == "stopping":
            self._asked = True
        return word != "done"

    def _left(self) -> list[int]:
        others = [pid for pid, start in self._named.items() if start == _stat(pid)[19]]  # a pid may be in use again
        return [*members(self._group), *others]

    def _send(self, number: int, *, spare: int = 0) -> None:
        for member in self._left():
            if member != spare:
                _signal(member, number)

    def _enforce(self, now: float) -> None:
        """The lease has ended and the worker has not done its part: it is stopped, stuck, or starved."""
        if now >= self._kill_at:
            self._send(signal.SIGKILL)
        elif now >= self._term_at and not self._asked:
            self._asked = True  # once: a second SIGTERM is "hurry" to some programs
            self._send(signal.SIGTERM)
            self._send(signal.SIGCONT)

    def _end(self) -> None:
        deadline = min(_boottime() + self._grace, self._kill_at)
        if not self._asked:
            self._send(signal.SIGTERM, spare=self._group)  # the first process had its SIGTERM from the kernel
        while _boottime() < deadline and self._left():
            time.sleep(_LOOK_SECONDS)
        self._send(signal.SIGKILL)


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _leave_guard(options: dict[str, Any]) -> None:
    group = os.getpid()
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)  # the guard is nobody's child but init's: the program meets no process that it does not know
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.chdir("/")
    try:
        Guard(options["control"], group, options["grace"]).run()
        shutil.rmtree(options["folder"], ignore_errors=True)
    finally:
        os._exit(0)


def main() -> None:
    """Leave the guard, tie our life to the worker's, become the program."""
    options, program = json.loads(sys.argv[1]), sys.argv[2:]
    _leave_guard(options)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != options["worker"]:
        sys.exit("the worker ended before its program started")
    os.close(options["control"])
    os.close(options["lock"])
    for name in options["unset"]:
        os.environ.pop(name, None)
    os.environ.update(options["set"])
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these, and an ignored signal stays so
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(program[0], program)  # noqa: S606 (no shell is wanted)
    except OSError as error:
        print(f"{program[0]} cannot be run: {error.strerror}", file=sys.stderr)
        os._exit(127)


if __name__ == "__main__":
    main()
