"""The sd_notify protocol, the receiving side: a datagram socket whose address the program finds in NOTIFY_SOCKET."""

import array
import asyncio
import os
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from activity.instance.host import HostError, runtime_folder

#: A Unix socket's path has at most this many bytes on Linux.
SOCKET_PATH_LIMIT: Final = 107
#: Longer messages are cut by the kernel and refused; systemd's own limit is 4 KB.
MESSAGE_BYTES: Final = 64 * 1024
#: File descriptors that one message may bring; more are dropped by the kernel.
_DESCRIPTORS: Final = 64


@dataclass(frozen=True, slots=True)
class Message:
    """One datagram: its assignments in order, and what of it could not be understood."""

    assignments: tuple[tuple[str, str], ...]
    problems: tuple[str, ...] = ()


def parse(datagram: bytes, *, cut: bool = False) -> Message:
    """Read one datagram: lines of NAME=VALUE. Never raises."""
    if cut:
        return Message((), (f"a message of more than {MESSAGE_BYTES} bytes",))
    assignments, problems = [], []
    for line in datagram.split(b"\n"):
        if not line:
            continue
        try:
            name, mark, value = line.decode("utf-8").partition("=")
        except UnicodeDecodeError:
            problems.append(f"not UTF-8: {line[:60]!r}")
            continue
        if mark and name:
            assignments.append((name, value))
        else:
            problems.append(f"no NAME=VALUE: {line[:60]!r}")
    return Message(tuple(assignments), tuple(problems))


class NotifySocket:
    """Bound in a private folder of its own. `close` removes both."""

    def __init__(self) -> None:
        """Raises HostError where no socket can be made."""
        # A program of root's may change its user before it speaks (mosquitto, postgres): then it must reach the socket
        # as it reaches systemd's own, which everybody may write to. Nobody else's folder is opened to others.
        shared = os.geteuid() == 0
        self.folder = Path(tempfile.mkdtemp(prefix="perseus-n-", dir=None if shared else runtime_folder()))
        if shared:
            self.folder.chmod(0o711)
        self.path = self.folder / "notify"
        if len(os.fsencode(self.path)) > SOCKET_PATH_LIMIT:
            shutil.rmtree(self.folder)
            raise HostError(f"{self.path} is too long for a socket: set TMPDIR to a shorter folder")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._socket.bind(str(self.path))
        if shared:
            self.path.chmod(0o777)

    def receive_now(self) -> Message | None:
        """The next message that has arrived, None where none has. Nothing is queued here: the kernel holds it."""
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(
                MESSAGE_BYTES, socket.CMSG_SPACE(_DESCRIPTORS * array.array("i").itemsize)
            )
        except BlockingIOError:
            return None
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                _close_all(content)
        return parse(data, cut=bool(flags & socket.MSG_TRUNC))

    async def receive(self) -> Message:
        """Wait for the next message."""
        loop = asyncio.get_running_loop()
        while (message := self.receive_now()) is None:
            readable = asyncio.Event()
            loop.add_reader(self._socket, readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(self._socket)
        return message

    def close(self) -> None:
        """Remove the socket and its folder."""
        self._socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _close_all(content: bytes) -> None:
    """Close what a message brought. For BARRIER=1 that is the answer: all messages before it have been read."""
    descriptors = array.array("i")
    descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    for descriptor in descriptors:
        os.close(descriptor)
