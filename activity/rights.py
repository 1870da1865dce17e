"""What the people behind open sockets may see now: one look-up per period and process, for all sockets together.

A socket's rights are looked at every 5 s, whichever process they were changed in. One look-up per socket took a thread
and four queries each time; here a thousand sockets take eight queries.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from weakref import WeakKeyDictionary, WeakSet

from channels.db import database_sync_to_async
from django.db import DatabaseError

from activity.access import active_exchanges, visible_to
from activity.identity import Credentials, users_of

log = logging.getLogger(__name__)

#: Seconds between two looks at the sessions and rights of all sockets. Signing out, a deactivated user and a withdrawn
#: grant end the socket within this and the time of a look-up.
RECHECK_SECONDS: Final = 5.0
#: Seconds that rights count after a look while the database is away; then the sockets end (1011) and resume.
TRUST_SECONDS: Final = 10.0
#: Seconds between two tries while it is away.
RETRY_SECONDS: Final = 1.0
#: Seconds that one look-up may take.
LOOK_UP_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class Sight:
    """What one user may see, and what there is. Equal sights of two users share their mappings (name to id)."""

    user_id: int
    visible: Mapping[str, int]
    active: Mapping[str, int]


class Listener(Protocol):
    """A socket as this module knows it."""

    def rights_are(self, sight: Sight | None) -> None:
        """The rights as of the newest look; None where the credentials are worth nothing any more."""

    def rights_are_unknown(self) -> None:
        """They could not be looked up for too long."""


class RightsUnknown(Exception):
    """The database cannot be asked now."""


def look_up(credentials: Collection[Credentials]) -> dict[Credentials, Sight]:
    """What each of these may see. Credentials that are worth nothing are left out. Asks the database."""
    users = users_of(credentials)
    active = active_exchanges()
    visible = visible_to({user.pk: user for user in users.values()}.values(), active)
    return {one: Sight(user.pk, visible[user.pk], active) for one, user in users.items()}


#: In a thread of its own: the one thread that Django's synchronous code shares may be busy with a page.
_look_up: Final = database_sync_to_async(look_up, thread_sensitive=False)


class Rights:
    """Of one event loop. Its task runs while there is a socket to look at."""

    def __init__(self) -> None:
        #: Weakly: a socket that its server forgot without a word is not kept alive by us.
        self._listeners: defaultdict[Credentials, WeakSet[Listener]] = defaultdict(WeakSet)
        #: Newcomers, who wait for the next look-up. At most one entry per open connection.
        self._asked: dict[Credentials, asyncio.Future[Sight | None]] = {}
        self._poke = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        #: The newest mappings: what is the same as before is the same object, so that viewers share an audience.
        self._mappings: dict[frozenset[tuple[str, int]], Mapping[str, int]] = {}

    async def ask(self, credentials: Credentials) -> Sight | None:
        """As of now. Those who ask while others are looked up share the next look-up. Raises RightsUnknown."""
        future = self._asked.get(credentials)
        if future is None:
            future = self._asked[credentials] = asyncio.get_running_loop().create_future()
            self._poke.set()
        self._run_on()
        return await asyncio.shield(future)

    def follow(self, credentials: Credentials, listener: Listener) -> None:
        """Tell the listener of every change from now on, until it leaves."""
        self._listeners[credentials].add(listener)
        self._run_on()

    def leave(self, credentials: Credentials, listener: Listener) -> None:
        """The socket is gone."""
        listeners = self._listeners.get(credentials)
        if listeners is not None:
            listeners.discard(listener)
            if not listeners:
                del self._listeners[credentials]

    def _run_on(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="rights of sockets")
            self._task.add_done_callback(self._ended)

    async def _run(self) -> None:
        looked_at = time.monotonic()
        next_at = looked_at + RECHECK_SECONDS
        while self._asked or self._listeners:
            await self._pause(next_at)
            self._poke.clear()
            asked, self._asked = self._asked, {}
            now = time.monotonic()
            everybody = now >= next_at
            wanted = {*asked, *self._listeners} if everybody else set(asked)
            try:
                async with asyncio.timeout(LOOK_UP_SECONDS):
                    found = await _look_up(wanted)
            except (DatabaseError, TimeoutError) as error:
                log.warning("the rights of %d sockets cannot be looked up: %s", len(wanted), error or "no answer")
                _fail(asked, RightsUnknown(f"the database is away: {error or 'no answer'}"))
                next_at = time.monotonic() + RETRY_SECONDS
                if next_at - looked_at > TRUST_SECONDS:
                    self._tell(self._listeners, lambda listener, _: listener.rights_are_unknown())
                continue
            except BaseException:
                _fail(asked, RightsUnknown("the look-up failed"))
                raise
            sights = {credentials: self._shared(found.get(credentials)) for credentials in wanted}
            for credentials, future in asked.items():
                if not future.done():
                    future.set_result(sights[credentials])
            if everybody:
                looked_at, next_at = now, now + RECHECK_SECONDS
                known = {id(mapping) for sight in sights.values() if sight for mapping in (sight.visible, sight.active)}
                self._mappings = {key: one for key, one in self._mappings.items() if id(one) in known}
                self._tell_all(sights)

    async def _pause(self, until: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self._poke.wait()
        except TimeoutError:
            return

    def _tell(self, whom: Collection[Credentials], say: Callable[[Listener, Credentials], None]) -> None:
        for credentials in list(whom):
            for listener in list(self._listeners.get(credentials, ())):
                say(listener, credentials)

    def _tell_all(self, sights: Mapping[Credentials, Sight | None]) -> None:
        self._tell(sights, lambda listener, credentials: listener.rights_are(sights[credentials]))

    def _shared(self, sight: Sight | None) -> Sight | None:
        if sight is None:
            return None
        return Sight(sight.user_id, self._same(sight.visible), self._same(sight.active))

    def _same(self, mapping: Mapping[str, int]) -> Mapping[str, int]:
        return self._mappings.setdefault(frozenset(mapping.items()), mapping)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("looking at the rights of sockets failed and starts anew", exc_info=error)
        asked, self._asked = self._asked, {}
        _fail(asked, RightsUnknown("the look-up failed"))
        # Nobody knows for how long nobody would look: they end, and resume.
        self._tell(self._listeners, lambda listener, _: listener.rights_are_unknown())


def _fail(asked: Mapping[Credentials, asyncio.Future[Sight | None]], error: RightsUnknown) -> None:
    for future in asked.values():
        if not future.done():
            future.set_exception(error)
            future.exception()  # whoever asked may be gone


_rights: WeakKeyDictionary[asyncio.AbstractEventLoop, Rights] = WeakKeyDictionary()


def rights() -> Rights:
    """Those of the running event loop."""
    return _rights.setdefault(asyncio.get_running_loop(), Rights())
