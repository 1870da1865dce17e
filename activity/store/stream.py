"""One exchange's activity stream, from the event loop: append, and read on from a cursor."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from redis.exceptions import ResponseError

from activity.store.client import BLOCK_MILLISECONDS, TIMEOUT_SECONDS, AsyncClient, StoreUnavailable, redis_errors
from activity.wire.entries import RETENTION_DAYS, EntryId, RawEntry
from activity.wire.keys import stream_key

RETENTION_MILLISECONDS: Final = RETENTION_DAYS * 24 * 60 * 60 * 1000

START: Final = EntryId(0, 0)
_LARGEST_SEQUENCE: Final = (1 << 64) - 1


async def append(client: AsyncClient, exchange_name: str, fields: Mapping[str, str]) -> EntryId:
    """Append one entry and trim what is older than 90 days, in the same XADD: retention needs no job.

    Raises StoreUnavailable. There is no retry here: after a lost reply the entry may stand in the stream already.
    """
    oldest = int(time.time() * 1000) - RETENTION_MILLISECONDS
    with redis_errors():
        pairs: Any = dict(fields)
        entry_id: Any = await client.xadd(stream_key(exchange_name), pairs, minid=oldest, approximate=True)
    return EntryId.parse(entry_id.decode("ascii"))


def after(entry_id: EntryId) -> str:
    """The smallest id above an id, as XRANGE's inclusive start (Redis 6.2 and later also know ``(id``)."""
    milliseconds, sequence = entry_id
    return f"{milliseconds}-{sequence + 1}" if sequence < _LARGEST_SEQUENCE else f"{milliseconds + 1}-0"


def read_id(text: bytes) -> EntryId:
    """What Redis itself says needs no proof: of what the archive reads that took a tenth of the time."""
    milliseconds, _, sequence = text.partition(b"-")
    return EntryId(int(milliseconds), int(sequence))


def raw_entries(rows: list[Any]) -> list[RawEntry]:
    """The rows of an XREAD or XRANGE reply."""
    return [RawEntry(read_id(row[0]), row[1]) for row in rows]


async def wait_for_entries(
    client: AsyncClient, exchange_name: str, cursor: EntryId, count: int, block_ms: int = BLOCK_MILLISECONDS
) -> list[RawEntry]:
    """Wait up to `block_ms` for entries after the cursor; an empty list when none came. Needs a blocking client.

    The cursor is always a real id and never ``$``: a command that is sent again must not skip what came between.
    """
    with redis_errors():
        async with asyncio.timeout(block_ms / 1000 + TIMEOUT_SECONDS):
            reply: Any = await client.xread({stream_key(exchange_name): str(cursor)}, count=count, block=block_ms)
    return raw_entries(reply[0][1]) if reply else []


async def last_generated_id(client: AsyncClient, exchange_name: str) -> EntryId:
    """The newest id that the stream has ever given out; 0-0 where there is no stream. Raises StoreUnavailable."""
    with redis_errors():
        try:
            info: Any = await client.xinfo_stream(stream_key(exchange_name))
        except ResponseError as error:
            if "no such key" in str(error).lower():
                return START
            raise
    return EntryId.parse(info["last-generated-id"].decode("ascii"))


__all__ = [
    "START",
    "StoreUnavailable",
    "after",
    "append",
    "last_generated_id",
    "raw_entries",
    "read_id",
    "wait_for_entries",
]
