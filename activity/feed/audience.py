"""Viewers that see the same exchanges: what they share is held once for all of them, and not once for each.

At 1,000 exchanges and 1,000 viewers a note per viewer and exchange would be a million of them, for streams that are
nearly all quiet. So a viewer notes only where it lags; everywhere else it stands where the exchange's reader stands.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from activity.wire.entries import EntryId


class Batch(NamedTuple):
    """One entries frame: its text, the id of its last entry, and the bytes that count against a viewer's window."""

    text: str
    last: EntryId
    size: int


class Reader(Protocol):
    """What a mark says of the tail that left it."""

    exchange: str
    generation: int

    @property
    def last(self) -> EntryId:
        """The newest id that was read."""


class Mark(NamedTuple):
    """Where a reader stood before its first news that a viewer has not looked at yet."""

    reader: "Reader"
    last: EntryId
    generation: int


#: Takes frames that follow a mark, as many as it may send at once; the id up to which its viewer needs no waking then.
Take = Callable[[Mark, Sequence[Batch]], EntryId]


class Bell:
    """One viewer's wake-up. Holds at most one mark per exchange, the oldest: nothing queues here."""

    __slots__ = ("event", "marks", "take")

    def __init__(self, take: Take | None = None) -> None:
        """`take`: how to hand frames to a viewer without waking its task, where its server can write at once."""
        self.event: Final = asyncio.Event()
        self.marks: dict[str, Mark] = {}
        self.take = take


class Audience:
    """The viewers of one set of exchanges (name to id)."""

    __slots__ = ("exchanges", "members")

    def __init__(self, exchanges: Mapping[str, int]) -> None:
        self.exchanges: Final = exchanges
        self.members: set[Bell] = set()

    def announce(self, reader: Reader) -> None:
        """Call before a reader moves: where it stands is where its viewers stand who do not lag."""
        mark = Mark(reader, reader.last, reader.generation)
        exchange = reader.exchange
        for bell in self.members:
            if exchange not in bell.marks:
                bell.marks[exchange] = mark

    def deliver(self, mark: Mark, frames: Sequence[Batch]) -> None:
        """Frames that follow where a reader stood, to each viewer that can take them; the others are marked and woken.

        Waking a task costs 30 us more than a call does, and at 1,000 viewers that was most of what an entry cost.
        """
        exchange, upto = mark.reader.exchange, mark.reader.last
        for bell in self.members:
            reached = bell.take(mark, frames) if bell.take is not None else mark.last
            if reached == upto:
                continue
            if exchange not in bell.marks:
                bell.marks[exchange] = mark if reached == mark.last else mark._replace(last=reached)
            bell.event.set()

    def ring(self) -> None:
        """Wake every viewer that is not awake already."""
        for bell in self.members:
            bell.event.set()


class Audiences:
    """The audiences of one process, each made by its first viewer and gone with its last."""

    def __init__(self) -> None:
        self._by_exchanges: dict[frozenset[tuple[str, int]], Audience] = {}
        #: Rises with every audience that comes or goes.
        self.version = 0

    def __iter__(self) -> Iterator[Audience]:
        return iter(self._by_exchanges.values())

    def join(self, exchanges: Mapping[str, int], bell: Bell) -> Audience:
        """Be one of those who see these exchanges."""
        key = frozenset(exchanges.items())
        audience = self._by_exchanges.get(key)
        if audience is None:
            audience = self._by_exchanges[key] = Audience(dict(exchanges))
            self.version += 1
        audience.members.add(bell)
        return audience

    def leave(self, audience: Audience, bell: Bell) -> bool:
        """The viewer goes. True where it was the last one."""
        audience.members.discard(bell)
        if audience.members:
            return False
        self._by_exchanges.pop(frozenset(audience.exchanges.items()), None)
        self.version += 1
        return True
