"""Close codes 1011 and 1012 under daphne.

autobahn lets an application close with 1000 or 3000-4999 only and raises on the rest, so a socket of daphne can say
neither "internal error" (1011) nor "service restart" (1012), although RFC 6455 and IANA mean them for servers. Other
servers send them as they are.
"""

from typing import Any, Final

from daphne.ws_protocol import WebSocketProtocol

#: What a server may say by its own choice, beside what autobahn passes.
SERVER_CODES: Final = frozenset({1011, 1012})


def let_daphne_send_them() -> None:
    """Make daphne's sockets close with those codes; every other code goes the way it went."""
    usual = WebSocketProtocol.serverClose

    def server_close(self: Any, code: int | None = None) -> None:
        if code in SERVER_CODES:
            self.sendCloseFrame(code=int(code))
        else:
            usual(self, code)

    WebSocketProtocol.serverClose = server_close
