"""The WebSocket feed: rights, frames in, frames out. What to send is decided in `feed/`."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from pydantic import ValidationError

from activity.access import can, visible_exchanges, wall_exchanges
from activity.feed.hub import TailFailed
from activity.feed.service import feed
from activity.feed.viewer import Stalled, Viewer
from activity.identity import Credentials, user_of
from activity.models import Exchange, WallLink
from activity.wire.entries import EntryId
from activity.wire.frames import CLIENT_FRAME, Ack, CloseCode, Closing, Subscribe
from perseus_admin.config import settings

log = logging.getLogger(__name__)

#: Seconds between two looks at a socket's session and rights. Signing out, a deactivated user and a withdrawn grant
#: end the socket within this, whichever process they happened in.
RECHECK_SECONDS: Final = 5.0
#: Sockets that one user, or one wall link, may have open on one web process: each may hold 256 KB for its client.
SOCKETS_PER_USER: Final = 50
#: Seconds that a client may take from opening the socket to its first frame.
SUBSCRIBE_SECONDS: Final = 30.0
#: Internal error (RFC 6455): the client resumes.
INTERNAL_ERROR: Final = 1011


class Refused(Exception):
    """The socket ends with a close code and a reason of at most 123 bytes."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:123].decode(errors="ignore")


class FeedConsumer(AsyncWebsocketConsumer):
    """One socket. Its two tasks, the feed and the recheck of rights, end with it; either one's end ends the socket."""

    async def dispatch(self, message: Any) -> None:
        """What a client sends touches no database: closing old connections first is a thread's turn per frame."""
        if message["type"] == "websocket.receive":
            await self.websocket_receive(message)
        else:
            await super().dispatch(message)

    async def connect(self) -> None:
        """Accept first, then refuse: a refusal before the accept reaches browsers as 1006."""
        self._viewer: Viewer | None = None
        self.holder = ""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._credentials = Credentials.of_scope(self.scope)
        await self.accept()
        try:
            self._visible = await self._look_up()
        except Refused as refused:
            await self._close(refused)
            return
        sockets = feed(settings().redis).sockets
        if sum(other.holder == self.holder for other in sockets) >= SOCKETS_PER_USER:
            reason = f"{SOCKETS_PER_USER} sockets of this {self.holder.partition(' ')[0]} are open"
            await self._close(Refused(CloseCode.TOO_MANY_SOCKETS, reason))
            return
        sockets.add(self)
        self._start("rights", self._recheck())

    async def disconnect(self, code: int) -> None:
        """The socket is gone: stop what feeds it."""
        feed(settings().redis).sockets.discard(self)
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """One frame of the client: subscribe first, acknowledgements after."""
        try:
            if text_data is None:
                raise Refused(CloseCode.MALFORMED, "binary frames are not part of the protocol")
            self._handle(_parse(text_data))
        except Refused as refused:
            await self._close(refused)

    async def restart(self) -> None:
        """The server goes down: the client comes back to its successor and resumes."""
        await self.close(code=CloseCode.RESTART)

    def _handle(self, frame: Subscribe | Ack) -> None:
        if "rights" not in self._tasks:
            return  # refused at the door; the close is on its way
        match frame:
            case Ack(last=last) if self._viewer is not None:
                self._acknowledge(self._viewer, _cursors("last", last))
            case Ack():
                raise Refused(CloseCode.MALFORMED, "ack: subscribe first")
            case Subscribe() if self._viewer is not None:
                raise Refused(CloseCode.MALFORMED, "subscribe: only once per connection")
            case Subscribe(after=after):
                self._subscribe(_cursors("after", after))

    def _acknowledge(self, viewer: Viewer, last: Mapping[str, EntryId]) -> None:
        try:
            viewer.acknowledge(last)
        except ValueError as error:
            raise Refused(CloseCode.MALFORMED, f"ack: {error}") from None

    def _subscribe(self, after: Mapping[str, EntryId]) -> None:
        named = self._exchange_name()
        if named is not None and (foreign := set(after) - {named}):
            raise Refused(CloseCode.MALFORMED, f"after: {min(foreign)[:60]!r} is not the exchange of this socket")
        service = feed(settings().redis)
        viewer = Viewer(service.hub, service.board, self._send_text, after)
        viewer.show(self._visible)
        self._viewer = viewer
        self._start("feed", viewer.run())

    async def _send_text(self, text: str) -> None:
        await self.send(text_data=text)

    def _exchange_name(self) -> str | None:
        name: str | None = self.scope["url_route"]["kwargs"].get("name")
        return name

    @database_sync_to_async
    def _look_up(self) -> dict[str, int]:
        """The exchanges (name to id) of this socket that its user may view now. Raises Refused."""
        user = user_of(self._credentials)
        if user is None:
            raise Refused(CloseCode.SIGNED_OUT, "not signed in")
        self.holder = f"user {user.pk}"
        name = self._exchange_name()
        if name is None:
            return dict(visible_exchanges(user).values_list("name", "id"))
        exchange = Exchange.objects.filter(name=name, active=True).first()
        if exchange is None:
            known = ", ".join(visible_exchanges(user).values_list("name", flat=True))
            raise Refused(CloseCode.UNKNOWN_EXCHANGE, f"unknown exchange; known: {known or 'none'}")
        if not can(user, exchange, "view"):
            raise Refused(CloseCode.FORBIDDEN, "no right to view this exchange")
        return {exchange.name: exchange.pk}

    async def _recheck(self) -> None:
        opened = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            visible = await self._look_up()
            if visible != self._visible:
                self._visible = visible
                self._changed(visible)
            if self._viewer is None and asyncio.get_running_loop().time() - opened > SUBSCRIBE_SECONDS:
                raise Refused(CloseCode.MALFORMED, "subscribe: expected as the first frame within 30 s")

    def _changed(self, visible: Mapping[str, int]) -> None:
        """Other exchanges than before: a right was given or withdrawn."""
        if self._viewer is not None:
            self._viewer.show(visible)

    def _start(self, name: str, work: Any) -> None:
        self._tasks[name] = asyncio.create_task(self._watch(name, work), name=f"socket {name}")

    async def _watch(self, name: str, work: Any) -> None:
        """Run one of the socket's tasks; whatever ends it ends the socket with a code that says why."""
        try:
            await work
        except Refused as refused:
            await self._close(refused)
        except Stalled:
            await self._close(Refused(CloseCode.STALLED, "nothing acknowledged for 60 s"))
        except TailFailed as failed:
            await self._close(Refused(INTERNAL_ERROR, f"the reader of {failed} failed; resume"))
        except Exception:
            log.exception("the %s of a socket failed", name)
            await self._close(Refused(INTERNAL_ERROR, "internal error; resume"))

    async def _close(self, refused: Refused) -> None:
        current = asyncio.current_task()
        for task in self._tasks.values():
            if task is not current:
                task.cancel()
        await self._send_text(Closing(code=refused.code, reason=refused.reason).model_dump_json())
        await self.close(code=refused.code, reason=refused.reason)


class WallConsumer(FeedConsumer):
    """The socket of a screen on a wall. Its link alone says what it may show; who is signed in there does not count."""

    @database_sync_to_async
    def _look_up(self) -> dict[str, int]:
        """The exchanges (name to id) that the link shows now. Raises Refused."""
        link = WallLink.of_token(self.scope["url_route"]["kwargs"]["token"])
        if link is None:
            raise Refused(CloseCode.SIGNED_OUT, "this link was revoked, or never was one")
        self.holder = f"link {link.pk}"
        return dict(wall_exchanges(link).values_list("name", "id"))

    def _changed(self, visible: Mapping[str, int]) -> None:
        """The page lacks tiles, or has too many: it comes back, and loads itself anew as it does after every loss."""
        raise Refused(CloseCode.RESTART, "other exchanges than before")


def _parse(text: str) -> Subscribe | Ack:
    try:
        return CLIENT_FRAME.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "frame"
        raise Refused(CloseCode.MALFORMED, f"{where}: {first['msg']}") from None


def _cursors(field: str, texts: Mapping[str, str]) -> dict[str, EntryId]:
    try:
        return {exchange: EntryId.parse(text) for exchange, text in texts.items()}
    except ValueError as error:
        raise Refused(CloseCode.MALFORMED, f"{field}: {error}") from None
