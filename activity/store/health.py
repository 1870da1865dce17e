"""How Redis itself is: what decides whether leases and streams are safe in it, and how long each stream is.

Everything is read with INFO, TIME, XLEN and XINFO: a managed Redis refuses CONFIG.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import ResponseError

from activity.store.client import SyncClient, redis_errors
from activity.store.stream import START, after
from activity.wire.entries import EntryId
from activity.wire.keys import stream_key

#: Round trips of which the middle one counts: the first also connects.
_ROUND_TRIPS: Final = 7


@dataclass(frozen=True, slots=True)
class RedisHealth:
    """One look. Latency in milliseconds; `ahead_ms` is Redis' clock minus this machine's, known to ± latency / 2."""

    version: str
    latency_ms: float
    ahead_ms: float
    append_only: bool
    append_only_written: bool
    eviction_policy: str
    used_bytes: int
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class StreamHealth:
    """One exchange's stream. `behind` is the first entry behind a cursor, None for none; other ids are then 0-0."""

    length: int
    oldest: EntryId
    newest: EntryId
    behind: EntryId | None


def read_redis_health(client: SyncClient) -> RedisHealth:
    """Ask the server. Raises StoreUnavailable."""
    trips, clocks = [], []
    with redis_errors():
        for _ in range(_ROUND_TRIPS):
            wall, began = time.time(), time.monotonic()
            seconds, microseconds = client.time()
            took = time.monotonic() - began
            trips.append(took)
            clocks.append((seconds + microseconds / 1e6) - (wall + took / 2))
        facts: Any = {**client.info("server"), **client.info("persistence"), **client.info("memory")}
    return RedisHealth(
        version=str(facts["redis_version"]),
        latency_ms=statistics.median(trips) * 1000,
        ahead_ms=statistics.median(clocks) * 1000,
        append_only=bool(int(facts.get("aof_enabled", 0))),
        append_only_written=facts.get("aof_last_write_status", "ok") == "ok",
        eviction_policy=str(facts.get("maxmemory_policy", "unknown")),
        used_bytes=int(facts.get("used_memory", 0)),
        limit_bytes=int(facts.get("maxmemory", 0)),
    )


def read_stream_health(client: SyncClient, streams: Sequence[tuple[str, EntryId]]) -> list[StreamHealth]:
    """Each (exchange's name, cursor). Raises StoreUnavailable."""
    return [_stream(client, name, cursor) for name, cursor in streams]


def _stream(client: SyncClient, name: str, cursor: EntryId) -> StreamHealth:
    key = stream_key(name)
    with redis_errors():
        try:
            facts: Any = client.xinfo_stream(key)
        except ResponseError as error:
            if "no such key" in str(error).lower():
                return StreamHealth(0, START, START, None)
            raise
        first: Any = client.xrange(key, count=1)
        behind: Any = client.xrange(key, min=after(cursor), count=1)
    return StreamHealth(
        length=int(facts["length"]),
        oldest=_id(first) or START,
        newest=EntryId.parse(facts["last-generated-id"].decode("ascii")),
        behind=_id(behind),
    )


def _id(rows: Any) -> EntryId | None:
    return EntryId.parse(rows[0][0].decode("ascii")) if rows else None
