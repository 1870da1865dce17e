"""Append an entry exactly once, although its call may have to be repeated.

After a lost reply nobody knows whether an XADD was carried out, and its bytes may even arrive after the repetition (a
closed socket still delivers what it had queued). So the very first call already goes through the script that looks.
"""

import time
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

from activity.store.client import AsyncClient, redis_errors
from activity.store.stream import RETENTION_MILLISECONDS
from activity.wire.entries import EntryId
from activity.wire.keys import stream_key

_APPEND_ONCE: Final = (resources.files("activity.store") / "lua" / "append_once.lua").read_text("utf-8")


async def append_once(
    client: AsyncClient, exchange_name: str, fields: Mapping[str, str], *, event_id: str, after: EntryId
) -> EntryId:
    """Append one entry with the further field ``eventId``, or find it where an earlier call has written it.

    `event_id` is unique for ever. `after` is an id that the stream had given out before the first call for this entry;
    the closer it is, the less is looked through. Trims what is older than 90 days. Raises StoreUnavailable; then the
    same call may be repeated.
    """
    pairs = [text for pair in {**fields, "eventId": event_id}.items() for text in pair]
    oldest = int(time.time() * 1000) - RETENTION_MILLISECONDS
    with redis_errors():
        reply: Any = await client.eval(_APPEND_ONCE, 1, stream_key(exchange_name), event_id, str(after), oldest, *pairs)
    return EntryId.parse(reply.decode("ascii"))
