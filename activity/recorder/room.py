"""Memory for what was read and is not stored yet: one bound for all followers of a process together.

Each exchange that is behind has a batch and one read ahead, 15-20 MB each, and all of them queue for one thread: with
100 exchanges that was 3 GB, with 1,000 it was 30. So whoever reads takes room first, and gives it back when the batch
is stored or let go of. What takes room never waits for more of it, only for the database: nobody can hold up everybody.
"""

import asyncio
import heapq
from collections.abc import Sequence
from itertools import count
from types import TracebackType
from typing import Final, Self

from activity.wire.entries import RawEntry

#: What Python keeps for each name and value and for each entry besides their bytes, on 64 bits.
_PIECE_BYTES: Final = 48
_ENTRY_BYTES: Final = 300
#: Times that the bytes themselves are held: as read, as `raw`, and in what is sent to Postgres.
_TIMES: Final = 3


def bytes_held(entries: Sequence[RawEntry], size: int) -> int:
    """What these take until they are stored, of `size` bytes in all: 2.3 KB for one of 300 bytes and 11 fields."""
    pieces = sum(len(entry.pairs) for entry in entries)
    return _TIMES * size + _PIECE_BYTES * pieces + _ENTRY_BYTES * len(entries)


class Room:
    """So many bytes. Who follows live goes before who catches up; among equals it goes by turn."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.used = 0
        self._turns = count()
        #: (catches up, turn, bytes, granted); those that were cancelled are left out when they come up.
        self._waiting: list[tuple[bool, int, int, asyncio.Future[None]]] = []

    async def take(self, wanted: int, *, live: bool) -> "Share":
        """Wait until there is so much. More than all of it counts as all of it."""
        wanted = min(wanted, self._size)
        self._forget_cancelled()
        if self._fits(wanted) and (not self._waiting or (live and self._waiting[0][0])):
            self.used += wanted
            return Share(self, wanted)
        granted = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (not live, next(self._turns), wanted, granted))
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():  # granted and cancelled at one moment
                self.used -= wanted
            self._serve()
            raise
        return Share(self, wanted)

    def grow(self, wanted: int) -> bool:
        """Take more at once, or not at all: who has some must not wait for more. Live ones that wait go first."""
        self._forget_cancelled()
        if not self._fits(wanted) or (self._waiting and not self._waiting[0][0]):
            return False
        self.used += wanted
        return True

    def change(self, by: int) -> None:
        """So much more is held than was thought, or less. Never waits: what was read is there."""
        self.used += by
        if by < 0:
            self._serve()

    def _fits(self, wanted: int) -> bool:
        return not self.used or self.used + wanted <= self._size

    def _forget_cancelled(self) -> None:
        while self._waiting and self._waiting[0][3].done():
            heapq.heappop(self._waiting)

    def _serve(self) -> None:
        while True:
            self._forget_cancelled()
            if not self._waiting or not self._fits(self._waiting[0][2]):
                return
            _, _, wanted, granted = heapq.heappop(self._waiting)
            self.used += wanted
            granted.set_result(None)


class Share:
    """What one batch takes of the room. Given back at the end of its `with`, once, however it ends."""

    def __init__(self, room: Room, size: int) -> None:
        self._room = room
        self._size = size

    def grow(self, wanted: int) -> bool:
        """Whether there was so much more."""
        if not self._room.grow(wanted):
            return False
        self._size += wanted
        return True

    def set(self, size: int) -> None:
        """So much it is indeed."""
        by, self._size = size - self._size, size
        self._room.change(by)

    def give_back(self) -> None:
        """Nothing of it is held any more. May be repeated."""
        self.set(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.give_back()
