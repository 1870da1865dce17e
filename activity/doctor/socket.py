"""The WebSocket path as a browser goes it: through the proxy, with the page's own origin.

Spoken with the standard library alone: the product needs no WebSocket client otherwise.
"""

import base64
import hashlib
import json
import secrets
import socket
import ssl
import struct
import time
from typing import Final
from urllib.parse import urlsplit

from activity.doctor.lines import Line, error, ok

#: Seconds for connecting, and for each answer.
TIMEOUT_SECONDS: Final = 10.0
_NAME: Final = "WebSocket path"
_MAGIC: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_SIGNED_OUT: Final = 4401
#: Bytes of one frame that are believed; ours have 64 KB.
_LARGEST: Final = 1 << 20


class _Broken(Exception):
    """The path does not work; the words say where, `remedy` what to do."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.remedy = remedy


def examine_socket(url: str, token: str = "") -> Line:
    """Open /ws/network/ at a site's URL (https://host). With a bearer token the first frame must arrive.

    Without one, the refusal must arrive as close code 4401 behind the upgrade, which proves the path as well.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        port = 0
    if parts.scheme not in ("http", "https") or not parts.hostname or not port:
        return error(_NAME, f"{url!r} is no URL of a site", "Give --url https://HOST, as people open it.")
    began = time.monotonic()
    try:
        with _connected(parts.scheme == "https", parts.hostname, port) as stream:
            _upgrade(stream, f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", parts.path.rstrip("/"), token)
            found = _converse(stream, expects_frames=bool(token))
    except _Broken as broken:
        return error(_NAME, f"{url}: {broken}", broken.remedy)
    except (OSError, EOFError) as trouble:  # ssl.SSLError and time-outs are OSErrors
        text = str(trouble) or type(trouble).__name__
        return error(
            _NAME,
            f"{url}: the connection broke: {text}",
            "Start the web process and the proxy before it; give the proxy a read time-out of at least 60 s.",
        )
    return ok(_NAME, f"{url}: {found} after {(time.monotonic() - began) * 1000:.0f} ms")


def _connected(secure: bool, host: str, port: int) -> socket.socket:  # noqa: FBT001
    plain = socket.create_connection((host, port), TIMEOUT_SECONDS)
    if not secure:
        return plain
    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def _upgrade(stream: socket.socket, origin: str, prefix: str, token: str) -> None:
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    lines = [
        f"GET {prefix}/ws/network/ HTTP/1.1",
        f"Host: {origin.partition('://')[2]}",
        *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
        f"Sec-WebSocket-Key: {key}",
        f"Origin: {origin}",
        *([f"Authorization: Bearer {token}"] if token else []),
    ]
    stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    head = b""
    while not head.endswith(b"\r\n\r\n"):  # byte by byte: what follows the head are frames
        head += _exactly(stream, 1)
        if len(head) > 65_536:
            raise _Broken("the answer's head has no end", "Look at what answers at this URL.")
    first, *fields = head.decode("latin-1").split("\r\n")
    status = first.split(" ")[1] if " " in first else first
    headers = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    if status == "403":
        raise _Broken(
            f"the server refuses the origin {origin} (403)", f"Set PERSEUS_ORIGINS={origin} for the web process."
        )
    if status != "101":
        raise _Broken(
            f"answered {first[:80]!r} instead of 101 Switching Protocols",
            "Let the proxy pass /ws/ on with HTTP/1.1 and the headers Upgrade and Connection, to the web process.",
        )
    expected = base64.b64encode(hashlib.sha1((key + _MAGIC).encode()).digest()).decode()  # noqa: S324 - RFC 6455
    if headers.get("sec-websocket-accept") != expected:
        raise _Broken(
            "the upgrade was not answered by a WebSocket server", "Let the proxy pass /ws/ to the web process."
        )


def _converse(stream: socket.socket, *, expects_frames: bool) -> str:
    if expects_frames:
        _send_text(stream, json.dumps({"type": "subscribe", "after": {}}))
    while True:
        kind, payload = _frame(stream)
        if kind == 8:
            code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
            if code == _SIGNED_OUT and not expects_frames:
                return "opens, and a refusal arrives with its close code 4401"
            if code == _SIGNED_OUT:
                raise _Broken("opens, but the token is refused (4401)", "Make a token that is good: manage.py token.")
            raise _Broken(f"opens, but closes with {code}", "Let the proxy pass close frames on; see the web's log.")
        if kind == 1 and expects_frames:
            told = json.loads(payload)
            if isinstance(told, dict) and told.get("type") in ("status", "entries", "gap", "store"):
                return f"opens, and the first frame ({told['type']}) arrives"


def _send_text(stream: socket.socket, text: str) -> None:
    payload = text.encode()
    mask = secrets.token_bytes(4)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    stream.sendall(struct.pack("!BB", 0x81, 0x80 | len(payload)) + mask + masked)  # shorter than 126 bytes


def _frame(stream: socket.socket) -> tuple[int, bytes]:
    """(opcode, payload) of one frame of the server, which is never masked."""
    first, second = _exactly(stream, 2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", _exactly(stream, 2))
    elif length == 127:
        (length,) = struct.unpack("!Q", _exactly(stream, 8))
    if length > _LARGEST:
        raise _Broken("a frame is larger than any of ours", "Look at what answers at this URL.")
    return first & 0x0F, _exactly(stream, length)


def _exactly(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = stream.recv(count - len(data))
        if not piece:
            raise EOFError("it was closed without a close frame (browsers call it 1006)")
        data += piece
    return data
