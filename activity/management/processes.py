"""Several processes under one roof: started, listened to, ended in an order, and none of them left behind.

Written here because the usual runners (honcho was tried) end everything when one process ends, end all at once, restart
nothing, and put a process of their own between us and the program, so that a SIGKILL leaves the programs orphaned. One
thread and one selector: a parent-death signal belongs to the *thread* that forked, and it must be the one that stays.
"""

import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final, Self

from activity.management.output import Output, OutputClosed

#: A longer line is cut into pieces of this many bytes, so that a program without line ends costs no memory.
LINE_BYTES: Final = 32_768
#: Lines that are held back of one child at most; the oldest go first.
HELD_LINES: Final = 200
#: Seconds between SIGKILL and giving up on a process (one that hangs in the kernel cannot be ended by anybody).
KILL_SECONDS: Final = 2.0
#: Seconds that the last lines get to reach a reader who has stopped reading.
FAREWELL_SECONDS: Final = 0.5

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
# Looked up before any fork: the child of a fork must not load libraries.
_libc = ctypes.CDLL(None, use_errno=True)


class Interrupted(Exception):
    """The user wants everything to end: a signal came, or nobody reads our output any more."""


def _die_with(parent: int) -> Callable[[], None]:
    """What a child does between fork and exec, so that SIGKILL of its parent ends it too. Linux only."""

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above: no signal will come any more
            os._exit(1)

    return prepare


class Child:
    """One running process; `returncode` as in subprocess (negative: the signal that ended it), None while it runs."""

    def __init__(self, name: str, popen: "subprocess.Popen[bytes]", *, held: bool) -> None:
        self.name = name
        #: The latest lines of a child that was started with `hold_lines`; None where they are shown as they come.
        self.held: deque[str] | None = deque(maxlen=HELD_LINES) if held else None
        self.pid = popen.pid
        self.started = time.monotonic()
        self.popen = popen
        self.partial = b""

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        code: int | None = self.popen.returncode
        return code

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        code = self.returncode
        if code is None:
            return "still runs"
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens when it has ended."""
        # Not Popen.send_signal, which collects an ended process on the side. Until turn() does, its id is not reused.
        if self.returncode is None:
            os.kill(self.pid, number)


class Runner:
    """Use as `with`: whatever still runs at its end is killed."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.signals = 0
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, Child] = {}
        self._before: dict[int, Any] = {}
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._waits_to_write = False

    def __enter__(self) -> Self:
        if sys.platform == "linux":
            # Whoever loses its parent below us becomes our child, so that the end finds it.
            _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._woken)
        self._before[-1] = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            # nohup means it: a hang-up that is ignored stays ignored.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill_all()
        self._farewell()
        signal.set_wakeup_fd(self._before.pop(-1))
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self.signals += 1

    def _woken(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def check(self) -> None:
        """Raises Interrupted when everything is to end."""
        if self.signals:
            raise Interrupted

    def say(self, text: str, name: str = "up") -> None:
        """A line of our own."""
        self.output.line(name, text)

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        pass_fds: Iterable[int] = (),
        hold_lines: bool = False,
        **environment: str,
    ) -> Child:
        """Start a program in `folder`, with our environment and the given variables. Raises OSError."""
        popen = subprocess.Popen(
            command,
            cwd=folder,
            # Handed on, not read: what it means is config.py's business in the child.
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=tuple(pass_fds),
            # A session of its own: Ctrl-C reaches us alone, and we end everything in its order.
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()) if sys.platform == "linux" else None,
        )
        child = Child(name, popen, held=hold_lines)
        self._children[popen.pid] = child
        assert popen.stdout is not None  # PIPE above
        os.set_blocking(popen.stdout.fileno(), False)
        self._selector.register(popen.stdout, selectors.EVENT_READ, lambda: self._read(child))
        return child

    def turn(self, seconds: float) -> list[Child]:
        """Pass output on for at most so long; earlier when something happened. The children that ended meanwhile."""
        self._mind_output()
        for key, _ in self._selector.select(max(0.0, seconds)):
            key.data()
        return self._reap()

    def end(self, children: Iterable[Child], seconds: float) -> None:
        """SIGTERM, then SIGKILL to those that are still there after so many seconds, or at a second Ctrl-C."""
        running = [child for child in children if child.returncode is None]
        for child in running:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while any(child.returncode is None for child in running):
            left = deadline - time.monotonic()
            if left <= 0 or self.signals > 1:
                break
            self.turn(left)
        for child in running:
            if child.returncode is None:
                self.say(f"{child.name} does not end, killing it")
                child.signal(signal.SIGKILL)

    def kill_all(self) -> None:
        """SIGKILL to every process below us, whoever started it, and wait until the last is gone."""
        deadline = time.monotonic() + KILL_SECONDS
        while time.monotonic() < deadline:
            for pid in (*self._children, *_adopted()):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.turn(0.02)
            if not self._has_children():
                return

    # --- inside ---

    def _mind_output(self) -> None:
        while self.output.pending and not self.output.waits:
            self._flush()
        if self.output.pending != self._waits_to_write:
            if self.output.pending:
                self._selector.register(self.output, selectors.EVENT_WRITE, self._flush)
            else:
                self._selector.unregister(self.output)
            self._waits_to_write = self.output.pending

    def _flush(self) -> None:
        try:
            self.output.flush()
        except OutputClosed:
            self.signals = max(self.signals, 1)

    def _farewell(self) -> None:
        deadline = time.monotonic() + FAREWELL_SECONDS
        while self.output.pending and time.monotonic() < deadline:
            self.turn(0.05)

    def _read(self, child: Child) -> bool:
        """One piece of what the child says; False when there is nothing right now or nothing any more."""
        stream = child.popen.stdout
        if stream is None or stream.closed:
            return False
        try:
            data = os.read(stream.fileno(), LINE_BYTES)
        except BlockingIOError:
            return False
        *lines, child.partial = (child.partial + data).split(b"\n")
        if child.partial and (not data or len(child.partial) >= LINE_BYTES):
            lines.append(child.partial)
            child.partial = b""
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r")
            if child.held is None:
                self.output.line(child.name, text)
            else:
                child.held.append(text)
        if not data:
            self._selector.unregister(stream)
            stream.close()
        return bool(data)

    def _reap(self) -> list[Child]:
        ended: list[Child] = []
        while True:
            try:
                # Looked at first, not taken: Popen must collect its own, else it reports exit code 0.
                seen = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return ended
            if seen is None:
                return ended
            child = self._children.pop(seen.si_pid, None)
            if child is None:
                os.waitpid(seen.si_pid, 0)
                continue
            child.popen.wait()
            # Its last words: at most 2 MB, more than a pipe holds, since what it started may hold the pipe and talk on.
            for _ in range(64):
                if not self._read(child):
                    break
            ended.append(child)

    def _has_children(self) -> bool:
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True


def _adopted() -> list[int]:
    """Process ids of all our children by the kernel's own books; empty where there is no /proc."""
    ours = str(os.getpid())
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name in parentheses may hold anything, also ") ": what follows the last one is state and parent.
            if entry.read_text(errors="replace").rpartition(") ")[2].split()[1] == ours:
                found.append(int(entry.parent.name))
    return found
