"""One run of a program: spawned in a process group of its own, its output read, its end awaited."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from activity.instance import launch
from activity.instance.console import LOG
from activity.instance.host import process_start

#: A line of output is read up to this many bytes; a longer one is split.
LINE_BYTES: Final = 64 * 1024
#: Lines of output that are kept for the error entry of an unexpected end.
KEPT_LINES: Final = 20
#: After the program's end, what it left behind in its group and in its output gets this long.
LEFTOVER_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.05
#: Perseus' own secrets, what manage.py sets for itself, and another service manager's wishes for the worker.
NOT_INHERITED: Final = (
    *("PERSEUS_SECRET_KEY", "PERSEUS_SECRET_KEY_FALLBACKS", "PERSEUS_ADMIN_PASSWORD", "DJANGO_SETTINGS_MODULE"),
    *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"),
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: an exit code, or minus the number of a signal; None where it was not our child."""

    code: int | None

    def __str__(self) -> str:
        if self.code is None:
            return "an unknown exit code (its main process was not the one that was started)"
        return f"exit code {self.code}" if self.code >= 0 else f"signal {signal_name(-self.code)}"


def signal_name(number: int) -> str:
    """SIGSEGV and the like."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


class Program:
    """A running program. `ended` is done when its main process has ended; `close` leaves nothing of it behind."""

    def __init__(self, process: subprocess.Popen[bytes], output: int, control: int) -> None:
        self._process = process
        self._output = output
        self._control = control
        self._main_pid: tuple[int, str] | None = None
        self._watched: set[int] = set()
        self._guarded = True
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)  # nobody waits for one that does not read
        os.set_blocking(control, False)  # a guard that does not read must not hold up the heartbeat
        self.closed = False
        self.tail: deque[str] = deque(maxlen=KEPT_LINES)
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._watch(process.pid, self._child_ended)

    @classmethod
    def spawn(
        cls,
        command: Sequence[str],
        environment: dict[str, str],
        *,
        lock: int,
        guard_grace: float,
        folder: Path,
        told_by_stdin: bool = False,
    ) -> Self:
        """Start `command` with `environment` on top of ours.

        `lock` is the descriptor of the exchange's lock and `folder` the notify socket's: the guard shares the one and
        removes the other when this worker is gone; it ends the program within `guard_grace` seconds.
        """
        read_end, write_end = os.pipe()
        control_read, control = os.pipe()
        options = {
            "control": control_read,
            "lock": lock,
            "worker": os.getpid(),
            "grace": guard_grace,
            "folder": str(folder),
            "set": environment,
            "unset": NOT_INHERITED,
        }
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", launch.__file__, json.dumps(options), *command],
                stdin=subprocess.PIPE if told_by_stdin else subprocess.DEVNULL,
                stdout=write_end,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(control_read, lock),
            )
        except BaseException:
            os.close(read_end)
            os.close(control)
            raise
        finally:
            os.close(write_end)
            os.close(control_read)
        return cls(process, read_end, control)

    @property
    def pid(self) -> int:
        """The process that was started; also its group."""
        return self._process.pid

    @property
    def main_pid(self) -> int:
        """The process that matters: the one named by MAINPID, else the one that was started."""
        return self._main_pid[0] if self._main_pid else self.pid

    def set_main_pid(self, pid: int) -> bool:
        """Follow the process that the program named. False where there is no such process."""
        start = process_start(pid)
        if start is None:
            return False
        if pid == self.pid:
            self._main_pid = None
        else:
            self._main_pid = (pid, start)
            self._tell_guard(f"main {pid} {start}\n")
        return True

    def signal(self, number: int) -> None:
        """To the whole group, and to the main process where that has left the group."""
        targets = [-self.pid]
        if self._main_pid and process_start(self._main_pid[0]) == self._main_pid[1]:
            targets.append(self._main_pid[0])
        for target in targets:
            try:
                os.kill(target, number)
            except (ProcessLookupError, PermissionError):
                continue  # it has ended, or has become another user's

    def tell(self, line: str) -> None:
        """One line to its standard input. Raises OSError where it does not read (64 KB wait) or has closed it."""
        assert self._process.stdin is not None  # spawned to be told so
        data = line.encode() + b"\n"
        written = os.write(self._process.stdin.fileno(), data)
        if written < len(data):
            raise BlockingIOError("its standard input is full")

    def terminate(self) -> None:
        """Ask it to end. SIGCONT as well: a process that is stopped would not hear the SIGTERM."""
        self._tell_guard("stopping\n")
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)

    def lease(self, lease_until: float, gone_by: float) -> None:
        """Tell the guard how long the lease runs, so that it ends the program where this process no longer can.

        It leaves us a quarter of the time between the two to do it ourselves.
        """
        self._tell_guard(f"lease {lease_until + (gone_by - lease_until) / 4:.3f} {gone_by:.3f}\n")

    def kill(self) -> None:
        """End it."""
        self.signal(signal.SIGKILL)

    def abort(self) -> None:
        """SIGABRT to the main process, as for a missed watchdog: it may leave a core."""
        try:
            os.kill(self.main_pid, signal.SIGABRT)
        except (ProcessLookupError, PermissionError):
            return  # it has ended meanwhile

    async def lines(self) -> AsyncIterator[str]:
        """The output, line by line, both streams in the order in which they were written; ends with the output."""
        loop = asyncio.get_running_loop()
        # The reader's limit makes the program wait on its own output when we are slow: nothing is queued without end.
        reader = asyncio.StreamReader(limit=LINE_BYTES)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(self._output, "rb", 0)
        )
        self._output = -1
        text = b""
        try:
            while chunk := await reader.read(LINE_BYTES):
                *whole, text = (text + chunk).split(b"\n")
                for line in whole:
                    for part in parts(line):
                        yield part
                if len(text) >= LINE_BYTES:
                    *full, text = cut(text)
                    for piece in full:
                        yield as_text(piece)
            if text:
                yield as_text(text)
        finally:
            transport.close()

    async def close(self) -> None:
        """Leave nothing behind: end the program if it has not ended, kill its group, let the guard go."""
        loop = asyncio.get_running_loop()
        if not self.ended.done():
            self.signal(signal.SIGKILL)
            await asyncio.wait([self.ended], timeout=LEFTOVER_SECONDS)
        for _ in range(int(LEFTOVER_SECONDS / _LOOK_SECONDS)):
            if not launch.members(self.pid):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            self.signal(signal.SIGKILL)
        self.closed = True
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._tell_guard("done\n")
        os.close(self._control)
        for descriptor in self._watched:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        self._watched.clear()
        if self._output >= 0:
            os.close(self._output)

    def _tell_guard(self, line: str) -> None:
        if not self._guarded:
            return
        try:
            os.write(self._control, line.encode("ascii"))
        except (BrokenPipeError, BlockingIOError):  # killed, or stopped for so long that the pipe is full
            self._guarded = False
            LOG.warning("The guard of the program is gone: if this worker is killed now, its program goes on")

    def _watch(self, pid: int, ended: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        descriptor = os.pidfd_open(pid)
        self._watched.add(descriptor)

        def readable() -> None:
            loop.remove_reader(descriptor)
            self._watched.discard(descriptor)
            os.close(descriptor)
            ended()

        loop.add_reader(descriptor, readable)

    def _child_ended(self) -> None:
        code = self._process.wait()
        if self._main_pid and process_start(self._main_pid[0]) == self._main_pid[1]:
            # A program that forked itself into the background: the process that it named goes on.
            self._watch(self._main_pid[0], lambda: self._settle(Ended(None)))
        else:
            self._settle(Ended(code))

    def _settle(self, ended: Ended) -> None:
        if not self.ended.done():
            self.ended.set_result(ended)


def cut(line: bytes) -> list[bytes]:
    """Pieces of at most 64 KB, the last one possibly empty, never cut inside a UTF-8 character."""
    pieces = []
    while len(line) >= LINE_BYTES:
        end = LINE_BYTES
        while LINE_BYTES - 4 < end < len(line) and line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[:end])
        line = line[end:]
    return [*pieces, line]


def as_text(line: bytes) -> str:
    """A line for people: bytes that are not UTF-8 become U+FFFD."""
    return line.rstrip(b"\r").decode("utf-8", errors="replace")


def parts(line: bytes) -> list[str]:
    """A whole line, or its pieces where it is too long."""
    return [as_text(piece) for piece in cut(line) if piece] or [""]
