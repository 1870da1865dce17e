"""Two things that daphne's sockets refuse, and that a feed needs.

* autobahn lets an application close with 1000 or 3000-4999 only and raises on the rest, so a socket can say neither
  "internal error" (1011) nor "service restart" (1012), although RFC 6455 and IANA mean them for servers.
* ``--websocket-max-message-size`` is meant for what a client sends (64 KB here), but autobahn holds what we send to it
  as well: an entry of 70 KB would end the socket. What we send is bounded by the feed itself.

Other servers do both as they are.
"""

from typing import Any, Final

from daphne.ws_protocol import WebSocketProtocol

#: What a server may say by its own choice, beside what autobahn passes.
SERVER_CODES: Final = frozenset({1011, 1012})


def let_daphne_send_them() -> None:
    """Make daphne's sockets close with those codes, and send messages of any size."""
    usual_close, usual_send = WebSocketProtocol.serverClose, WebSocketProtocol.serverSend

    def server_close(self: Any, code: int | None = None) -> None:
        if code in SERVER_CODES:
            self.sendCloseFrame(code=int(code))
        else:
            usual_close(self, code)

    def server_send(self: Any, content: Any, binary: bool = False) -> None:  # noqa: FBT001, FBT002 (daphne's signature)
        limit, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            usual_send(self, content, binary)
        finally:
            self.maxMessagePayloadSize = limit

    WebSocketProtocol.serverClose = server_close
    WebSocketProtocol.serverSend = server_send
