"""What daphne's sockets refuse or do slowly, and what a feed needs.

* autobahn lets an application close with 1000 or 3000-4999 only and raises on the rest, so a socket can say neither
  "internal error" (1011) nor "service restart" (1012), although RFC 6455 and IANA mean them for servers.
* ``--websocket-max-message-size`` is meant for what a client sends (64 KB here), but autobahn holds what we send to it
  as well: an entry of 70 KB would end the socket. What we send is bounded by the feed itself.
* A message to a thousand sockets is encoded and framed once and not a thousand times, and goes to the kernel at once:
  by way of Twisted's reactor it would cost a turn of the loop and three system calls per socket.

* A feed can write without a coroutine per message: scope["extensions"][WRITE_TEXT] is a call that sends a text at once.
* It can hear so, too: scope["extensions"][HEAR_TEXT] is a call that names who hears each text first, as it comes. What
  it does not take goes the usual way, through autobahn, a queue and a task: 100 us, for thousands of acknowledgements.

Other servers do the first two as they are.
"""

import time
from typing import Any, Final

from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import tcp, unix

from activity.feed.viewer import HEAR_TEXT, WRITE_TEXT, Hear

#: What a server may say by its own choice, beside what autobahn passes.
SERVER_CODES: Final = frozenset({1011, 1012})
#: Transports that are a bare socket. Over TLS, and anywhere else, Twisted writes.
_BARE: Final = (tcp.Server, unix.Server)
_TEXT: Final = 0x81
_MASKED: Final = 0x80
#: Bytes of an empty frame of a client: two, and its mask.
_SMALLEST: Final = 6
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127


def frame_of(payload: bytes) -> bytes:
    """A whole WebSocket text frame (RFC 6455): from a server, final, not masked."""
    size = len(payload)
    if size < _LENGTH_16:
        return bytes((_TEXT, size)) + payload
    if size < 1 << 16:
        return bytes((_TEXT, _LENGTH_16)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT, _LENGTH_64)) + size.to_bytes(8, "big") + payload


class LastFrame:
    """The frame of the newest text. Viewers in lockstep send one and the same object, one after the other."""

    def __init__(self) -> None:
        self._text = ""
        self._frame = frame_of(b"")

    def of(self, text: str) -> bytes:
        """The frame, encoded anew only for another text."""
        if text is not self._text:
            self._text, self._frame = text, frame_of(text.encode())
        return self._frame


def write_at_once(protocol: Any, frame: bytes) -> None:
    """Hand a frame to the kernel, and to Twisted what the kernel does not take. Order is kept: a buffer goes first."""
    transport = protocol.transport
    if protocol.send_queue or type(transport) not in _BARE or transport.TLS:
        protocol.sendData(frame)
        return
    waiting = transport.dataBuffer or transport._tempDataBuffer  # noqa: SLF001 (Twisted has no public word for it)
    if not waiting and transport.connected and not transport.disconnecting:
        try:
            sent = transport.socket.send(frame)
        except OSError:
            sent = 0  # full, or gone: Twisted finds out which, and tells autobahn
        if sent == len(frame):
            return
        frame = frame[sent:]
    transport.write(frame)


def text_of(data: bytes) -> bytes | None:
    """The text, where this is one whole frame of a text, masked as RFC 6455 asks of clients, and nothing else."""
    if len(data) < _SMALLEST or data[0] != _TEXT:
        return None
    size, begin = data[1] ^ _MASKED, 2
    if size == _LENGTH_16:
        size, begin = int.from_bytes(data[2:4], "big"), 4
    elif size > _LENGTH_16:
        return None  # not masked, or of 64 KB and more
    if len(data) != begin + 4 + size:
        return None
    mask = data[begin : begin + 4] * (size // 4 + 1)
    text = int.from_bytes(data[begin + 4 :], "big") ^ int.from_bytes(mask[:size], "big")
    return text.to_bytes(size, "big")


def heard(protocol: Any, data: bytes) -> bool:
    """Whether what came was a text that the protocol's application took at once. False: then it comes the usual way."""
    hear = getattr(protocol, "hear_text", None)
    if hear is None or protocol.muted or protocol.state != protocol.STATE_OPEN:
        return False
    if protocol.data or protocol.current_frame is not None or protocol.inside_message:
        return False  # it goes on with what autobahn has begun
    text = text_of(data)
    if text is None or not hear(text):
        return False
    protocol.last_ping = time.time()  # as daphne does with every message,
    if protocol.autoPingTimeoutCall:  # and autobahn: whoever says something need not answer a ping as well
        protocol._cancelAutoPingTimeoutCall()  # noqa: SLF001
    return True


def let_daphne_send_them() -> None:
    """Make daphne's sockets close with those codes, and send and hear messages as said above."""
    last_frame = LastFrame()
    usual_close, usual_send = WebSocketProtocol.serverClose, WebSocketProtocol.serverSend
    usual_create = Server.create_application

    def server_close(self: Any, code: int | None = None) -> None:
        if code in SERVER_CODES:
            self.sendCloseFrame(code=int(code))
        else:
            usual_close(self, code)

    def server_send(self: Any, content: Any, binary: bool = False) -> None:  # noqa: FBT001, FBT002 (daphne's signature)
        if not binary and self.state == self.STATE_OPEN and self._perMessageCompress is None:
            write_at_once(self, last_frame.of(content))
            return
        limit, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            usual_send(self, content, binary)
        finally:
            self.maxMessagePayloadSize = limit

    def data_received(self: Any, data: bytes) -> None:
        if not heard(self, data):
            self._dataReceived(data)  # dataReceived itself makes a coloured line first, for a log that nobody keeps

    def create_application(self: Any, protocol: Any, scope: dict[str, Any]) -> Any:
        if isinstance(protocol, WebSocketProtocol):

            def write_text(text: str) -> bool:
                if protocol.state != protocol.STATE_OPEN or protocol._perMessageCompress is not None:  # noqa: SLF001
                    return False
                write_at_once(protocol, last_frame.of(text))
                return True

            def hear_text(hear: Hear | None) -> None:
                protocol.hear_text = hear

            scope.setdefault("extensions", {}).update({WRITE_TEXT: write_text, HEAR_TEXT: hear_text})
        return usual_create(self, protocol, scope)

    Server.create_application = create_application
    WebSocketProtocol.serverClose = server_close
    WebSocketProtocol.serverSend = server_send
    WebSocketProtocol.dataReceived = data_received
