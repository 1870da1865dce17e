"""The WebSocket feed: rights, frames in, frames out. What to send is decided in `feed/`."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError
from pydantic import ValidationError

from activity.access import wall_exchanges
from activity.feed.hub import TailFailed
from activity.feed.service import feed
from activity.feed.viewer import HEAR_TEXT, WRITE_TEXT, Stalled, Viewer
from activity.identity import Credentials
from activity.models import WallLink
from activity.receipts import receipts
from activity.rights import LOOK_UP_SECONDS, RECHECK_SECONDS, TRUST_SECONDS, RightsUnknown, Sight, rights
from activity.wire.entries import EntryId
from activity.wire.frames import CLIENT_FRAME, Ack, CloseCode, Closing, Subscribe
from perseus_admin.config import settings

log = logging.getLogger(__name__)

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
    """One socket. The task that feeds it ends with it, and its end ends the socket; so does a withdrawn right."""

    async def dispatch(self, message: Any) -> None:
        """What a client sends touches no database: closing old connections first is a thread's turn per frame."""
        if message["type"] == "websocket.receive":
            await self.websocket_receive(message)
        else:
            await super().dispatch(message)

    async def connect(self) -> None:
        """Accept first, then refuse: a refusal before the accept reaches browsers as 1006."""
        self._viewer: Viewer | None = None
        self.holder = ("user", 0)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._credentials = Credentials.of_scope(self.scope)
        self._visible: Mapping[str, int] = {}
        self._admitted = False
        await self.accept()
        try:
            self._visible = await self._look()
        except Refused as refused:
            await self._close(refused)
            return
        except RightsUnknown as error:
            await self._close(Refused(INTERNAL_ERROR, f"{error}; resume"))
            return
        if not feed(settings().redis).admit(self, SOCKETS_PER_USER):
            reason = f"{SOCKETS_PER_USER} sockets of this {self.holder[0]} are open"
            await self._close(Refused(CloseCode.TOO_MANY_SOCKETS, reason))
            return
        self._admitted = True
        self._follow()
        self._timer = asyncio.get_running_loop().call_later(SUBSCRIBE_SECONDS, self._check_subscribed)

    async def disconnect(self, code: int) -> None:
        """The socket is gone: stop what feeds it."""
        if self._admitted:
            self._timer.cancel()
            self._unfollow()
            feed(settings().redis).dismiss(self)
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        # What knows each other in a ring is freed by the collector alone, and it looks at old things next to never.
        self._viewer = None
        self._tasks.clear()
        extensions: Mapping[str, Any] = self.scope.get("extensions") or {}
        if HEAR_TEXT in extensions:
            extensions[HEAR_TEXT](None)

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
        if not self._admitted or "end" in self._tasks:
            return  # refused; the close is on its way
        match frame:
            case Ack(last=last) if self._viewer is not None:
                self._acknowledge(self._viewer, _cursors("last", last), frame.statuses)
            case Ack():
                raise Refused(CloseCode.MALFORMED, "ack: subscribe first")
            case Subscribe() if self._viewer is not None:
                raise Refused(CloseCode.MALFORMED, "subscribe: only once per connection")
            case Subscribe(after=after):
                self._subscribe(_cursors("after", after), statuses_together=frame.statuses)

    def _acknowledge(self, viewer: Viewer, last: Mapping[str, EntryId], statuses: int) -> None:
        try:
            viewer.acknowledge(last, statuses)
        except ValueError as error:
            raise Refused(CloseCode.MALFORMED, f"ack: {error}") from None

    def _subscribe(self, after: Mapping[str, EntryId], *, statuses_together: bool) -> None:
        named = self._exchange_name()
        if named is not None and (foreign := set(after) - {named}):
            raise Refused(CloseCode.MALFORMED, f"after: {min(foreign)[:60]!r} is not the exchange of this socket")
        service = feed(settings().redis)
        extensions: Mapping[str, Any] = self.scope.get("extensions") or {}
        viewer = Viewer(
            *(service.hub, service.board, self._send_text, after),
            statuses_together=statuses_together,
            write=extensions.get(WRITE_TEXT),
        )
        viewer.show(self._visible)
        self._viewer = viewer
        if HEAR_TEXT in extensions:
            extensions[HEAR_TEXT](self._hear)
        self._start("feed", viewer.run())

    def _hear(self, text: bytes) -> bool:
        """Take an acknowledgement as it comes. What is none, or not in order, comes once more by way of `receive`."""
        try:
            frame = CLIENT_FRAME.validate_json(text)
            if not isinstance(frame, Ack):
                return False
            self._handle(frame)
        except (ValidationError, Refused):
            return False
        return True

    async def _send_text(self, text: str) -> None:
        await self.send(text_data=text)

    def _exchange_name(self) -> str | None:
        name: str | None = self.scope["url_route"]["kwargs"].get("name")
        return name

    async def _look(self) -> Mapping[str, int]:
        """What this socket may show, name to id, and whose it is. Raises Refused, RightsUnknown."""
        sight = await rights().ask(self._credentials)
        visible = self._seen_with(sight)
        self.holder = ("user", sight.user_id if sight else 0)
        return visible

    def _follow(self) -> None:
        """Hear of every change of it, and of commands."""
        rights().follow(self._credentials, self)
        receipts().follow(self)

    def _unfollow(self) -> None:
        rights().leave(self._credentials, self)
        receipts().leave(self)

    async def command_moved(self, exchange: str, text: str) -> None:
        """The progress of a command."""
        if exchange in self._visible and self._viewer is not None:
            await self._send_text(text)

    def rights_are(self, sight: Sight | None) -> None:
        """The rights as of the newest look: the feed follows them, or the socket ends."""
        try:
            visible = self._seen_with(sight)
        except Refused as refused:
            self._end(refused)
            return
        if visible is not self._visible:
            self._visible = visible
            if self._viewer is not None:
                self._viewer.show(visible)

    def rights_are_unknown(self) -> None:
        """Nobody could say for too long whether this socket may still be fed."""
        self._end(Refused(INTERNAL_ERROR, "rights cannot be looked up; resume"))

    def _seen_with(self, sight: Sight | None) -> Mapping[str, int]:
        """The exchanges (name to id) of this socket that its user may view now. Raises Refused."""
        if sight is None:
            raise Refused(CloseCode.SIGNED_OUT, "not signed in")
        name = self._exchange_name()
        if name is None:
            return sight.visible
        if name not in sight.active:
            raise Refused(CloseCode.UNKNOWN_EXCHANGE, f"unknown exchange; known: {', '.join(sight.visible) or 'none'}")
        if name not in sight.visible:
            raise Refused(CloseCode.FORBIDDEN, "no right to view this exchange")
        number = sight.visible[name]
        return self._visible if self._visible == {name: number} else {name: number}

    def _check_subscribed(self) -> None:
        if self._viewer is None:
            self._end(Refused(CloseCode.MALFORMED, "subscribe: expected as the first frame within 30 s"))

    def _end(self, refused: Refused) -> None:
        if "end" not in self._tasks:
            self._start("end", self._close(refused))

    def _start(self, name: str, work: Any) -> None:
        self._tasks[name] = asyncio.create_task(self._watch(name, work), name=f"socket {name}")

    async def _watch(self, name: str, work: Any) -> None:
        """Run one of the socket's tasks; whatever ends it ends the socket with a code that says why."""
        try:
            await work
        except asyncio.CancelledError:
            pass  # its socket is gone; kept as this task's end it would keep us, too: see feed/hub.py
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

    async def _look(self) -> Mapping[str, int]:
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                found = await _behind_link(self.scope["url_route"]["kwargs"]["token"])
        except (DatabaseError, TimeoutError) as error:
            raise RightsUnknown(f"the database is away: {error or 'no answer'}") from None
        if found is None:
            raise Refused(CloseCode.SIGNED_OUT, "this link was revoked, or never was one")
        self.holder = ("link", found[0])
        return found[1]

    def _follow(self) -> None:
        self._start("rights", self._look_again())

    def _unfollow(self) -> None:
        """Its task ends with the socket."""

    async def _look_again(self) -> None:
        """Screens are few: each asks for itself. Other exchanges than before: the page comes back with their tiles."""
        trusted_until = time.monotonic() + TRUST_SECONDS
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            try:
                visible = await self._look()
            except RightsUnknown as error:
                log.warning("the link of a wall cannot be looked up: %s", error)
                if time.monotonic() > trusted_until:
                    raise Refused(INTERNAL_ERROR, "the link cannot be looked up; resume") from None
                continue
            trusted_until = time.monotonic() + TRUST_SECONDS
            if visible != self._visible:
                raise Refused(CloseCode.RESTART, "other exchanges than before")


def _exchanges_behind(token: str) -> tuple[int, dict[str, int]] | None:
    """The link's id and what it shows, name to id; None for a link that was revoked or never was one."""
    link = WallLink.of_token(token)
    return None if link is None else (link.pk, dict(wall_exchanges(link).values_list("name", "id")))


#: In a thread of its own, as in rights.py.
_behind_link: Final = database_sync_to_async(_exchanges_behind, thread_sensitive=False)


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
