"""Becomes the program, and leaves a guard behind that ends the program when its worker is gone.

Run by its path, not as a module: ``python -I -S launch.py OPTIONS PROGRAM ARGS…``. Only the standard library.

A worker that is killed with SIGKILL cannot stop its program, and a program without a worker is owned by nobody. The
kernel's parent-death signal reaches the first process alone; behind `npm start` or a shell the bot itself would go on.
So a small process stays outside the program's process group and waits on a pipe that only the worker holds open. It
also shares the lock of the exchange: on this host no new worker starts before the old program has ended.
"""

import ctypes
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 0.05


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


def guard(control: int, group: int, grace: float, folder: str) -> None:
    """Wait until the worker says that all is done, or is gone. Then end what it has left."""
    named: dict[int, str] = {}
    text = b""
    while chunk := os.read(control, 4096):
        text += chunk
        *lines, text = text.split(b"\n")
        for line in lines:
            if line == b"done":
                return
            pid, _, start = line.decode("ascii").partition(":")
            named[int(pid)] = start  # a process that the program named as its main one

    def others() -> list[int]:
        return [pid for pid, start in named.items() if start == _stat(pid)[19]]  # a pid may be in use again

    deadline = time.monotonic() + grace
    for member in [*members(group), *others()]:
        if member != group:  # the first process had SIGTERM from the kernel; a second one is "hurry" to some programs
            _signal(member, signal.SIGTERM)
    while time.monotonic() < deadline and (members(group) or others()):
        time.sleep(_LOOK_SECONDS)
    for member in [*members(group), *others()]:
        _signal(member, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


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
        guard(options["control"], group, options["grace"], options["folder"])
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
