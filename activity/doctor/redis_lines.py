"""What the doctor says of Redis: one server, or every node of a cluster."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from django.utils.translation import gettext as _

from activity.doctor.lines import Line, error, ok, warning
from activity.store.client import OLDEST_REDIS, StoreUnavailable, SyncClient
from activity.store.health import ClusterHealth, RedisHealth, read_cluster_health, read_redis_health
from activity.words import number as shown
from activity.words import spoken

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
            "Redis",
            _("%(name)s does not answer: %(problem)s") % {"name": name, "problem": spoken(trouble)},
            _("Start Redis, or set REDIS_URL to the one that runs."),
        )
        return
    if cluster is not None:
        yield from _cluster(cluster, name)
    elif nodes[0].cluster_node:
        text = _("%(name)s is a node of a Redis Cluster, and is used as one server: most exchanges cannot be reached")
        yield error("Redis Cluster", text % {"name": name}, _("Set REDIS_URL to redis+cluster://HOST:PORT,HOST:PORT."))
    for health in nodes:
        for line in _server(health, health.node or name):
            kind = _("replica") if health.replica else _("primary")
            yield replace(line, name=f"{line.name} ({kind} {health.node})") if health.node else line


def _cluster(cluster: ClusterHealth, name: str) -> Iterator[Line]:
    if cluster.state != "ok":
        yield error(
            "Redis Cluster",
            _("%(name)s: state %(state)s, %(served)s of %(all)s slots are served")
            % {"name": name, "state": cluster.state, "served": shown(cluster.slots), "all": shown(_SLOTS)},
            _("Start the primaries that are down, or promote their replicas (`redis-cli --cluster check HOST:PORT`)."),
        )
    else:
        found = _("%(name)s: state ok, as %(node)s sees it") % {"name": name, "node": cluster.seen_by}
        yield ok("Redis Cluster", found)
    if cluster.failed:
        yield error(
            _("Redis Cluster nodes"),
            _("down: %(nodes)s") % {"nodes": ", ".join(cluster.failed)},
            _("Start them again: until then their shard may be without a replica."),
        )
    if cluster.alone:
        yield warning(
            _("Redis Cluster replicas"),
            _("primaries without any: %(nodes)s") % {"nodes": ", ".join(cluster.alone)},
            _("Add a replica to each: without one, its exchanges stand still when it fails."),
        )


def _server(health: RedisHealth, name: str) -> Iterator[Line]:
    found = _("%(version)s at %(name)s") % {"version": health.version, "name": name}
    if tuple(int(part) for part in health.version.split(".")[:2]) < OLDEST_REDIS:
        oldest = ".".join(map(str, OLDEST_REDIS))
        yield error(_("Redis version"), found, _("Upgrade it: at least %(oldest)s is needed.") % {"oldest": oldest})
    else:
        yield ok(_("Redis version"), found)
    yield _latency(health)
    yield _persistence(health)
    yield from _eviction(health)
    ntp = _("Let NTP keep the time on this machine and on the machine of Redis (timedatectl set-ntp true).")
    yield skew(_("Redis' clock"), health.ahead_ms, ntp)


def _latency(health: RedisHealth) -> Line:
    found = _("%(ms)s ms for a round trip") % {"ms": shown(health.latency_ms, 1)}
    if health.latency_ms < SLOW_MILLISECONDS:
        return ok(_("Redis latency"), found)
    tell = warning if health.latency_ms < TOO_SLOW_MILLISECONDS else error
    return tell(_("Redis latency"), found, _("Bring Redis nearer, or look for slow commands with SLOWLOG GET."))


def _persistence(health: RedisHealth) -> Line:
    if not health.append_only:
        return warning(
            _("Redis append-only file"),
            _("off: what was written since the last snapshot is gone after a crash"),
            _("Set `appendonly yes` (appendfsync everysec), unless a replica is what keeps your data."),
        )
    if not health.append_only_written:
        return error(
            _("Redis append-only file"),
            _("on, but its last write failed"),
            _("Look into Redis' log: most likely its disk is full or read-only."),
        )
    return ok(_("Redis append-only file"), _("on"))


def _eviction(health: RedisHealth) -> Iterator[Line]:
    policy = health.eviction_policy
    if policy != "noeviction":
        if policy.startswith("volatile"):
            text = _(
                "%(policy)s: when memory is short, Redis deletes leases, which have a TTL, and living owners count as "
                "dead"
            )
        else:
            text = _(
                "%(policy)s: when memory is short, Redis deletes leases and streams and living owners count as dead"
            )
        yield error(_("Redis eviction policy"), text % {"policy": policy}, _("Set `maxmemory-policy noeviction`."))
    else:
        yield ok(_("Redis eviction policy"), policy)
    told = {"used": f"{health.used_bytes / 2**20:.0f}", "limit": f"{health.limit_bytes / 2**20:.0f}"}
    if not health.limit_bytes:
        yield ok(_("Redis memory"), _("%(used)s MB used, no limit") % told)
    elif health.used_bytes > FULL * health.limit_bytes:
        text = _("%(used)s MB used of %(limit)s MB: when it is full, Redis refuses heartbeats and entries") % told
        yield error(_("Redis memory"), text, _("Raise `maxmemory`, or give Redis a larger machine."))
    else:
        yield ok(_("Redis memory"), _("%(used)s MB used of %(limit)s MB") % told)


def skew(name: str, ahead_ms: float, remedy: str) -> Line:
    """A clock that is ahead of this machine's by so many milliseconds, or behind it."""
    found = _("%(ms)s ms ahead of this machine's") if ahead_ms >= 0 else _("%(ms)s ms behind this machine's")
    found %= {"ms": f"{abs(ahead_ms):.0f}"}
    if abs(ahead_ms) < SKEW_MILLISECONDS:
        return ok(name, found)
    tell = warning if abs(ahead_ms) < TOO_SKEWED_MILLISECONDS else error
    return tell(name, found, remedy)
