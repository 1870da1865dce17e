"""Where a stream begins and ends, which tells whether anything may be missing between it and the archive."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from activity.store.client import SyncClient
from activity.store.pipelines import read_many_now
from activity.store.reading import follows
from activity.store.stream import START
from activity.wire.entries import EntryId
from activity.wire.keys import stream_key


@dataclass(frozen=True, slots=True)
class StreamEnds:
    """A stream's first entry, None while it holds none, and the last id that it gave out, 0-0 without a stream."""

    first: EntryId | None
    newest: EntryId

    def begin_behind(self, entry_id: EntryId) -> bool:
        """Whether the stream holds neither this id nor any below it."""
        return self.first is None or self.first > entry_id

    def lack_after(self, archived: EntryId) -> bool:
        """Whether entries may be missing between the newest that is archived and what the stream holds."""
        if self.first is None:
            # Trimmed to nothing after everything was archived, or gone with whatever had come since.
            return self.newest > archived or self.newest == START
        return self.first > archived and not follows(self.first, archived)


def read_stream_ends(client: SyncClient, names: Sequence[str]) -> dict[str, StreamEnds]:
    """First entry and newest id of each stream, in one round trip. What is no stream counts as none."""
    replies = read_many_now(client, [("XINFO STREAM", stream_key(name)) for name in names])
    return {name: _ends(reply) for name, reply in zip(names, replies, strict=True)}


def _ends(reply: Any) -> StreamEnds:
    if isinstance(reply, ResponseError):
        return StreamEnds(None, START)
    first = reply["first-entry"]
    begin = EntryId.parse(first[0].decode("ascii")) if first else None
    return StreamEnds(begin, EntryId.parse(reply["last-generated-id"].decode("ascii")))
