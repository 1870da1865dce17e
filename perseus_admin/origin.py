"""Cross-site WebSockets: a browser sends our cookie along, so the page that opens a socket must be one of ours.

Compared are scheme, host and port. Channels' own validator compares host names only, lets any scheme and port pass, and
raises on a malformed port.
"""

import logging
from typing import Any, Final
from urllib.parse import urlsplit

from channels.generic.websocket import AsyncWebsocketConsumer

log = logging.getLogger(__name__)

_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_TLS: Final = {"http": False, "ws": False, "https": True, "wss": True}

Origin = tuple[bool, str, int]


def parse_origin(text: str) -> Origin | None:
    """(over TLS, host, port), None for what is no origin, ``null`` included."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # a malformed port or IPv6 address
        return None
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    return _TLS[parts.scheme], parts.hostname.lower(), port or _PORTS[parts.scheme]


class SameOrigin:
    """ASGI middleware for sockets: refuses those that a page of another origin opens.

    Allowed are the origin that the request itself was sent to, and the configured ones (behind a proxy that ends TLS
    the request does not show https). A program sends no Origin header and no cookie of a victim; it passes.
    """

    def __init__(self, app: Any, *, allowed: tuple[str, ...]) -> None:
        self._app = app
        self._allowed = {parse_origin(origin) for origin in allowed}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the socket on, or refuse it."""
        headers = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", [])}
        sent = headers.get(b"origin")
        if sent is not None:
            origin = parse_origin(sent)
            own = parse_origin(f"{scope.get('scheme', 'ws')}://{headers.get(b'host', '')}")
            if origin is None or origin not in {own, *self._allowed}:
                log.warning("a socket of origin %.200r was refused: set PERSEUS_ORIGINS if it is ours", sent)
                await _Refused()(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Refused(AsyncWebsocketConsumer):
    """Closes before accepting: another site learns nothing, not even a close code."""

    async def connect(self) -> None:
        await self.close()
