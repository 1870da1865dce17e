"""Clients of a Redis Cluster, made to behave as the single-server ones do: same answers, same limits, same errors.

What redis-py 8.1 does otherwise, and what is done about it here:

* A command follows up to 16 redirections, each with a socket timeout of its own: a total limit ends it.
* A lost connection marks the topology for a refresh, but with no retries a pipeline never refreshes it, and a command
  that was ended from outside does not mark it: both are done here. The next call then asks a node that lives.
* Every fifth MOVED closes all connections, other exchanges' blocking reads among them: a MOVED corrects its slot alone.
* The key of an XREAD is asked of the server, before each one: it is read from the command.

Nothing is repeated by the asynchronous clients except where a node says MOVED, ASK or TRYAGAIN, that is, did not do it.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import redis.asyncio
import redis.asyncio.cluster
import redis.cluster
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ClusterError,
    CrossSlotTransactionError,
    InvalidPipelineStack,
    RedisClusterException,
    SlotNotCoveredError,
    TryAgainError,
)
from redis.retry import Retry

from activity.store.urls import ClusterAddress

#: What redis-py raises about a cluster. Only some of it is a RedisError.
CLUSTER_ERRORS: Final = (
    RedisClusterException,
    SlotNotCoveredError,
    ClusterError,
    CrossSlotTransactionError,
    InvalidPipelineStack,
)
#: Replies that say that a node did not do it: the topology is another one than this client knows, or is changing.
REDIRECTIONS: Final = (AskError, ClusterDownError, TryAgainError)  # MovedError is an AskError
Callback = Callable[..., Any]
#: Seconds to connect to a node. Less than for one server: two that are gone may be tried before a third answers.
CONNECT_SECONDS: Final = 1.0


def _options(address: ClusterAddress, timeout: float) -> dict[str, Any]:
    return {
        "username": address.username,
        "password": address.password,
        "ssl": address.tls,
        "socket_timeout": timeout,
        "socket_connect_timeout": CONNECT_SECONDS,
        "protocol": 2,
        "reinitialize_steps": 0,
    }


class AsyncCluster(redis.asyncio.RedisCluster):
    """One client of all nodes. `limit` is how many seconds one call may take, redirections and refresh included."""

    def __init__(
        self,
        address: ClusterAddress,
        *,
        timeout: float,
        limit: float,
        connection_class: type[Connection],
        most_connections: int,
    ) -> None:
        """`timeout` in seconds is the sockets' own; `connection_class` must fit the address' TLS."""
        super().__init__(
            startup_nodes=[redis.asyncio.cluster.ClusterNode(host, port) for host, port in address.nodes],
            retry=AsyncRetry(NoBackoff(), 0),
            max_connections=most_connections,
            **_options(address, timeout),
        )
        self.limit = limit
        # The constructor names the class itself, and hands these options to every node that it finds later.
        self.connection_kwargs["connection_class"] = connection_class
        self.nodes_manager.connection_kwargs["connection_class"] = connection_class
        for node in self.nodes_manager.startup_nodes.values():
            node.connection_class = connection_class

    def refresh_later(self) -> None:
        """Ask for the topology before the next call."""
        self._initialize = True

    async def aclose(self) -> None:
        """Close all connections; the parent's leaves them open where a refresh of the topology is due."""
        await super().aclose()
        await self.nodes_manager.aclose()
        await self.nodes_manager.aclose("startup_nodes")

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """As the parent's, within the limit. Raises TimeoutError beyond it."""
        try:
            async with asyncio.timeout(self.limit):
                return await super().execute_command(*args, **kwargs)
        except (TimeoutError, *CLUSTER_ERRORS):
            self.refresh_later()
            raise

    async def _determine_slot(self, command: str, *args: Any) -> int:
        if command == "XREAD":
            words = [word.upper() if isinstance(word, (bytes, str)) else word for word in args]
            place = words.index(b"STREAMS") if b"STREAMS" in words else words.index("STREAMS")
            encoder: Any = self.encoder
            return int(key_slot(encoder.encode(args[place + 1])))
        found: int = await super()._determine_slot(command, *args)
        return found


class SyncCluster(redis.cluster.RedisCluster):
    """For threads. Connects with its first call, as a client of one server does: a cluster may be away at the start."""

    def __init__(self, address: ClusterAddress, *, timeout: float, raw: Mapping[str, Callback]) -> None:
        """`timeout` in seconds is the sockets' own; `raw` are commands and what becomes of their replies."""
        self._address = address
        self._timeout = timeout
        self._raw = raw
        self._connecting = threading.RLock()  # connecting itself sends commands
        self._connected = False

    def connect(self) -> None:
        """Ask for the nodes, unless that is done. Raises what redis-py raises."""
        with self._connecting:
            if self._connected:
                return
            self._connected = True
            try:
                nodes: Any = redis.cluster.ClusterNode
                super().__init__(
                    startup_nodes=[nodes(host, port) for host, port in self._address.nodes],
                    retry=Retry(NoBackoff(), 1),
                    **_options(self._address, self._timeout),
                )
            except BaseException:
                self._connected = False
                raise

    def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """As the parent's."""
        self.connect()
        parent: Any = super()
        return parent.execute_command(*args, **kwargs)

    def close(self) -> None:
        """Close all connections."""
        if self._connected:
            super().close()

    def client_of(self, key: str) -> tuple[str, "redis.Redis"]:
        """The name of the primary that holds a key, and a client of it alone."""
        self.connect()
        self_: Any = self
        node = self_.get_node_from_key(key)
        return node.name, self.get_redis_connection(node)

    def clients(self, *, replicas: bool = False) -> "list[tuple[str, redis.Redis]]":
        """(host:port, client of it alone) of each primary, or of each replica."""
        self.connect()
        self_: Any = self
        nodes = self_.get_replicas() if replicas else self_.get_primaries()
        return [(node.name, self.get_redis_connection(node)) for node in sorted(nodes, key=lambda node: node.name)]

    def refresh(self) -> None:
        """Ask for the topology again. Raises what redis-py raises."""
        self.connect()
        self.nodes_manager.initialize()

    def get_redis_connection(self, node: Any) -> "redis.Redis":
        """The node's own client."""
        client: redis.Redis = super().get_redis_connection(node)
        for command, callback in self._raw.items():
            client.set_response_callback(command, callback)
        return client
