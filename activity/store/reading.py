"""Reading on in a stream, and knowing at the same moment whether anything between the cursor and the answer is gone.

One MULTI looks at the cursor's own entry, what follows it, the first entry and the newest id: an answer that is put
together from several moments would call whole what was trimmed between two of them. On a cluster it is one script,
which is sent on as a whole where its slot has moved.
"""

from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, Literal

from redis.exceptions import ResponseError

from activity.store.client import BLOCK_MILLISECONDS, AsyncClient, AsyncCluster, redis_errors
from activity.store.stream import START, after, raw_entries, read_id
from activity.wire.entries import EntryId, RawEntry
from activity.wire.keys import stream_key

_READ_ON: Final = (resources.files("activity.store") / "lua" / "read_on.lua").read_text("utf-8")


#: What became of the entries behind a cursor. whole: all of them are still there. trimmed: some may be gone.
#: recreated: the stream's ids begin anew below the cursor. lost: the cursor's own entry is gone, older ones stand: it
#: was deleted alone, or Redis fell back to a replica that never had it. Nothing that follows is missing.
Fate = Literal["whole", "trimmed", "recreated", "lost"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What stood behind a cursor at one moment. `newest` is the last id ever given out, 0-0 without a stream."""

    fate: Fate
    entries: list[RawEntry]
    first: EntryId | None
    newest: EntryId
    length: int

    @property
    def last(self) -> EntryId | None:
        """The last id of this answer."""
        return self.entries[-1].id if self.entries else None

    def remaining_after(self, cursor: EntryId) -> int:
        """About how many entries stand behind a cursor, by their share of the time that the stream spans."""
        if self.first is None or cursor >= self.newest:
            return 0
        if cursor < self.first:
            return self.length
        span = self.newest.milliseconds - self.first.milliseconds
        if span <= 0:
            return self.length
        return max(1, round(self.length * (self.newest.milliseconds - cursor.milliseconds) / span))


def follows(entry_id: EntryId | None, cursor: EntryId) -> bool:
    """Whether no id at all fits between the cursor and this one."""
    return entry_id is not None and str(entry_id) == after(cursor)


def _fate(cursor: EntryId, held: bool, first: EntryId | None, newest: EntryId) -> Fate:  # noqa: FBT001
    if held or cursor in (START, newest):
        return "whole"
    if cursor > newest:
        return "recreated"
    if first is not None and first < cursor:
        return "lost"
    return "whole" if follows(first, cursor) else "trimmed"


async def read_on(client: AsyncClient, exchange_name: str, cursor: EntryId, count: int) -> Reading:
    """Up to `count` entries after the cursor, oldest first, and what became of the others. Raises StoreUnavailable."""
    key = stream_key(exchange_name)
    if isinstance(client, AsyncCluster):
        return await _read_on_cluster(client, key, cursor, count)
    with redis_errors():
        pipeline = client.pipeline(transaction=True)
        pipeline.xrange(key, min=str(cursor), max=str(cursor), count=1)
        pipeline.xrange(key, min=after(cursor), count=count)
        pipeline.xrange(key, count=1)
        pipeline.xinfo_stream(key)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        for reply in replies[:3]:
            if isinstance(reply, Exception):
                raise reply
        held, rows, begin, info = replies
        if isinstance(info, ResponseError) and "no such key" in str(info).lower():
            newest, length = START, 0
        elif isinstance(info, Exception):
            raise info
        else:
            newest, length = read_id(info["last-generated-id"]), int(info["length"])
    first = read_id(begin[0][0]) if begin else None
    return Reading(_fate(cursor, bool(held), first, newest), raw_entries(rows), first, newest, length)


async def _read_on_cluster(client: AsyncCluster, key: str, cursor: EntryId, count: int) -> Reading:
    with redis_errors():
        reply: Any = await client.eval(_READ_ON, 1, key, str(cursor), after(cursor), str(count))
    held, rows, begin, last, length = reply
    first, newest = read_id(begin[0][0]) if begin else None, read_id(last) if last else START
    return Reading(_fate(cursor, bool(held), first, newest), raw_entries(rows), first, newest, int(length))


async def wait_beyond(client: AsyncClient, exchange_name: str, cursor: EntryId) -> bool:
    """Wait up to 4 s until something stands behind the cursor. Needs a blocking client. Raises StoreUnavailable."""
    with redis_errors():
        reply: Any = await client.xread({stream_key(exchange_name): str(cursor)}, count=1, block=BLOCK_MILLISECONDS)
    return bool(reply)
