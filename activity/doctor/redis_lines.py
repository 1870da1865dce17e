"""What the doctor says of Redis: one server, or every node of a cluster."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from activity.doctor.lines import Line, error, ok, warning
from activity.store.client import OLDEST_REDIS, StoreUnavailable, SyncClient
from activity.store.health import ClusterHealth, RedisHealth, read_cluster_health, read_redis_health

#: A page reads every status twice a second and a lease client waits 3 s at the most.
SLOW_MILLISECONDS: Final = 50.0
TOO_SLOW_MILLISECONDS: Final = 500.0
#: Clocks of machines that are kept by NTP differ by milliseconds. Timestamps in entries are of the instance's machine.
SKEW_MILLISECONDS: Final = 1000.0
TOO_SKEWED_MILLISECONDS: Final = 10_000.0
FULL: Final = 0.9
#: Slots of every Redis Cluster.
_SLOTS: Final = 16_384


def redis_lines(client: SyncClient, name: str) -> Iterator[Line]:
    """What there is to say of the Redis of this name; of a cluster, of every node."""
    try:
        nodes = read_redis_health(client)
        cluster = read_cluster_health(client)
    except StoreUnavailable as trouble:
        yield error(
            "Redis", f"{name} does not answer: {trouble}", "Start Redis, or set REDIS_URL to the one that runs."
        )
        return
    if cluster is not None:
        yield from _cluster(cluster, name)
    elif nodes[0].cluster_node:
        text = f"{name} is a node of a Redis Cluster, and is used as one server: most exchanges cannot be reached"
        yield error("Redis Cluster", text, "Set REDIS_URL to redis+cluster://HOST:PORT,HOST:PORT.")
    for health in nodes:
        for line in _server(health, health.node or name):
            kind = "replica" if health.replica else "primary"
            yield replace(line, name=f"{line.name} ({kind} {health.node})") if health.node else line


def _cluster(cluster: ClusterHealth, name: str) -> Iterator[Line]:
    if cluster.state != "ok":
        yield error(
            "Redis Cluster",
            f"{name}: state {cluster.state}, {cluster.slots:,} of {_SLOTS:,} slots are served",
            "Start the primaries that are down, or promote their replicas (`redis-cli --cluster check HOST:PORT`).",
        )
    else:
        yield ok("Redis Cluster", f"{name}: state ok, as {cluster.seen_by} sees it")
    if cluster.failed:
        yield error(
            "Redis Cluster nodes",
            f"down: {', '.join(cluster.failed)}",
            "Start them again: until then their shard may be without a replica.",
        )
    if cluster.alone:
        yield warning(
            "Redis Cluster replicas",
            f"primaries without any: {', '.join(cluster.alone)}",
            "Add a replica to each: without one, its exchanges stand still when it fails.",
        )


def _server(health: RedisHealth, name: str) -> Iterator[Line]:
    oldest = ".".join(map(str, OLDEST_REDIS))
    if tuple(int(part) for part in health.version.split(".")[:2]) < OLDEST_REDIS:
        yield error("Redis version", f"{health.version} at {name}", f"Upgrade it: at least {oldest} is needed.")
    else:
        yield ok("Redis version", f"{health.version} at {name}")
    yield _latency(health)
    yield _persistence(health)
    yield from _eviction(health)
    yield skew("Redis' clock", health.ahead_ms, "the machine of Redis")


def _latency(health: RedisHealth) -> Line:
    found = f"{health.latency_ms:.1f} ms for a round trip"
    if health.latency_ms < SLOW_MILLISECONDS:
        return ok("Redis latency", found)
    tell = warning if health.latency_ms < TOO_SLOW_MILLISECONDS else error
    return tell("Redis latency", found, "Bring Redis nearer, or look for slow commands with SLOWLOG GET.")


def _persistence(health: RedisHealth) -> Line:
    if not health.append_only:
        return warning(
            "Redis append-only file",
            "off: what was written since the last snapshot is gone after a crash",
            "Set `appendonly yes` (appendfsync everysec), unless a replica is what keeps your data.",
        )
    if not health.append_only_written:
        return error(
            "Redis append-only file",
            "on, but its last write failed",
            "Look into Redis' log: most likely its disk is full or read-only.",
        )
    return ok("Redis append-only file", "on")


def _eviction(health: RedisHealth) -> Iterator[Line]:
    policy = health.eviction_policy
    if policy != "noeviction":
        what = "leases, which have a TTL," if policy.startswith("volatile") else "leases and streams"
        yield error(
            "Redis eviction policy",
            f"{policy}: when memory is short, Redis deletes {what} and living owners count as dead",
            "Set `maxmemory-policy noeviction`.",
        )
    else:
        yield ok("Redis eviction policy", policy)
    used = f"{health.used_bytes / 2**20:.0f} MB used"
    if not health.limit_bytes:
        yield ok("Redis memory", f"{used}, no limit")
    elif health.used_bytes > FULL * health.limit_bytes:
        text = f"{used} of {health.limit_bytes / 2**20:.0f} MB: when it is full, Redis refuses heartbeats and entries"
        yield error("Redis memory", text, "Raise `maxmemory`, or give Redis a larger machine.")
    else:
        yield ok("Redis memory", f"{used} of {health.limit_bytes / 2**20:.0f} MB")


def skew(name: str, ahead_ms: float, where: str) -> Line:
    """A clock that is ahead of this machine's by so many milliseconds, or behind it."""
    word = "ahead of" if ahead_ms >= 0 else "behind"
    found = f"{abs(ahead_ms):.0f} ms {word} this machine's"
    if abs(ahead_ms) < SKEW_MILLISECONDS:
        return ok(name, found)
    tell = warning if abs(ahead_ms) < TOO_SKEWED_MILLISECONDS else error
    return tell(name, found, f"Let NTP keep the time on this machine and on {where} (timedatectl set-ntp true).")
