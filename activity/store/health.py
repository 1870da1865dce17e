"""How Redis itself is: what decides whether leases and streams are safe in it, and how long each stream is.

Everything is read with INFO, TIME, TYPE, XINFO and XRANGE, of a cluster with CLUSTER INFO and NODES too: a managed
Redis refuses CONFIG.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis
from redis.exceptions import ResponseError

from activity.store.client import SyncClient, SyncCluster, redis_errors
from activity.store.pipelines import read_many_now
from activity.store.stream import START, after
from activity.wire.entries import EntryId
from activity.wire.keys import ownership_key, status_key, stream_key

#: Round trips of which the middle one counts: the first also connects.
_ROUND_TRIPS: Final = 7


@dataclass(frozen=True, slots=True)
class RedisHealth:
    """One look. Latency in milliseconds; `ahead_ms` is Redis' clock minus this machine's, known to ± latency / 2.

    `node` is host:port of a cluster's node, empty for one server. `cluster_node`: it belongs to a cluster.
    """

    node: str
    replica: bool
    version: str
    latency_ms: float
    ahead_ms: float
    append_only: bool
    append_only_written: bool
    eviction_policy: str
    used_bytes: int
    limit_bytes: int
    cluster_node: bool


@dataclass(frozen=True, slots=True)
class ClusterHealth:
    """A cluster as one of its nodes sees it: `failed` nodes, and primaries that are `alone`, as host:port@bus."""

    seen_by: str
    state: str
    slots: int
    failed: list[str]
    alone: list[str]


@dataclass(frozen=True, slots=True)
class StreamHealth:
    """One exchange's stream. `behind` is the first entry behind a cursor, None for none; other ids are then 0-0."""

    length: int
    oldest: EntryId
    newest: EntryId
    behind: EntryId | None


def read_redis_health(client: SyncClient) -> list[RedisHealth]:
    """Ask the server, or every node of a cluster, primaries first. Raises StoreUnavailable where one is away."""
    with redis_errors():
        if not isinstance(client, SyncCluster):
            return [_health(client, "", replica=False)]
        client.refresh()
        primaries = [_health(node, name, replica=False) for name, node in client.clients()]
        return primaries + [_health(node, name, replica=True) for name, node in client.clients(replicas=True)]


def read_cluster_health(client: SyncClient) -> ClusterHealth | None:
    """What its nodes say of the cluster as a whole, None for one server. Raises StoreUnavailable."""
    if not isinstance(client, SyncCluster):
        return None
    with redis_errors():
        name, node = client.clients()[0]
        one_node: Any = node
        facts = one_node.execute_command("CLUSTER INFO")
        nodes = one_node.execute_command("CLUSTER NODES")
    failed = sorted(address for address, one in nodes.items() if "fail" in one["flags"].split(","))
    standing = {address: one for address, one in nodes.items() if address not in failed}
    followed = {one["master_id"] for one in standing.values()}
    alone = sorted(
        address
        for address, one in standing.items()
        if "master" in one["flags"].split(",") and one["slots"] and one["node_id"] not in followed
    )
    return ClusterHealth(name, str(facts["cluster_state"]), int(facts["cluster_slots_ok"]), failed, alone)


def _health(client: "redis.Redis", node: str, *, replica: bool) -> RedisHealth:
    trips, clocks = [], []
    for _ in range(_ROUND_TRIPS):
        wall, began = time.time(), time.monotonic()
        reply: Any = client.time()
        took = time.monotonic() - began
        trips.append(took)
        clocks.append((reply[0] + reply[1] / 1e6) - (wall + took / 2))
    facts: Any = {**client.info("server"), **client.info("persistence"), **client.info("memory")}
    return RedisHealth(
        node=node,
        replica=replica,
        version=str(facts["redis_version"]),
        latency_ms=statistics.median(trips) * 1000,
        ahead_ms=statistics.median(clocks) * 1000,
        append_only=bool(int(facts.get("aof_enabled", 0))),
        append_only_written=facts.get("aof_last_write_status", "ok") == "ok",
        eviction_policy=str(facts.get("maxmemory_policy", "unknown")),
        used_bytes=int(facts.get("used_memory", 0)),
        limit_bytes=int(facts.get("maxmemory", 0)),
        cluster_node=facts.get("redis_mode") == "cluster",
    )


@dataclass(frozen=True, slots=True)
class DamagedKey:
    """A key that holds something else than it should; both by Redis' names of types."""

    key: str
    type: str
    wanted: str


def read_damaged_keys(client: SyncClient, exchanges: Sequence[tuple[int, str]]) -> dict[int, list[DamagedKey]]:
    """Of these (id, name), by id, those with a key of another type: nobody can use it. Raises StoreUnavailable."""
    keys = [
        (exchange_id, key, wanted)
        for exchange_id, name in exchanges
        for key, wanted in (
            (status_key(exchange_id), "string"),
            (ownership_key(exchange_id), "hash"),
            (stream_key(name), "stream"),
        )
    ]
    damaged: dict[int, list[DamagedKey]] = {}
    replies = read_many_now(client, [("TYPE", key) for _, key, _ in keys])
    for (exchange_id, key, wanted), reply in zip(keys, replies, strict=True):
        found = reply.decode("ascii") if isinstance(reply, bytes) else str(reply)
        if not isinstance(reply, Exception) and found not in ("none", wanted):
            damaged.setdefault(exchange_id, []).append(DamagedKey(key, found, wanted))
    return damaged


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
