"""Reads about many keys: one round trip to one server, on a cluster one to each node. No command spans two keys."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import redis

from activity.store.client import AsyncClient, AsyncCluster, SyncClient, SyncCluster, redis_errors
from activity.store.cluster import CLUSTER_ERRORS, REDIRECTIONS

#: A command and its words; the first of them is the key.
Command = tuple[Any, ...]

#: Replies that are about the connection or the cluster, and not about one key.
_ABOUT_THE_STORE: Final = (redis.ConnectionError, redis.TimeoutError, OSError, *CLUSTER_ERRORS, *REDIRECTIONS)


async def read_many(client: AsyncClient, commands: Sequence[Command]) -> list[Any]:
    """The replies in the order of the commands; an error about one key stands in its place. Raises StoreUnavailable.

    Never what was read from some nodes only: a node that is away makes the whole answer StoreUnavailable.
    """
    if not commands:
        return []
    with redis_errors():
        pipeline: Any = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        if not isinstance(client, AsyncCluster):
            replies: list[Any] = await pipeline.execute(raise_on_error=False)
            return replies
        try:
            async with asyncio.timeout(client.limit):
                replies = await pipeline.execute(raise_on_error=False)
            _raise_about_the_store(replies)
        except BaseException:  # cancelled as well: what it was about to learn is not known
            client.refresh_later()
            raise
    return replies


def read_many_now(client: SyncClient, commands: Sequence[Command]) -> list[Any]:
    """`read_many` for threads."""
    if not commands:
        return []
    with redis_errors():
        if not isinstance(client, SyncCluster):
            return _through(client, commands)
        try:
            return _by_node(client, commands)
        except _ABOUT_THE_STORE:
            with suppress(redis.RedisError, *CLUSTER_ERRORS, OSError):  # the error of the reading is what is told
                client.refresh()
            raise


def _through(client: "redis.Redis", commands: Sequence[Command]) -> list[Any]:
    pipeline: Any = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    replies: list[Any] = pipeline.execute(raise_on_error=False)
    return replies


def _by_node(client: SyncCluster, commands: Sequence[Command]) -> list[Any]:
    """By hand: redis-py's own would repeat each command of a node that is gone, one after the other."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    nodes: dict[str, redis.Redis] = {}
    for place, command in enumerate(commands):
        name, node = client.client_of(command[1])
        nodes[name] = node
        places[name].append(place)
    replies: list[Any] = [None] * len(commands)
    for name, mine in places.items():
        found = _through(nodes[name], [commands[place] for place in mine])
        for place, reply in zip(mine, found, strict=True):
            moved = isinstance(reply, REDIRECTIONS)
            replies[place] = client.execute_command(*commands[place]) if moved else reply
    _raise_about_the_store(replies)
    return replies


def _raise_about_the_store(replies: Sequence[Any]) -> None:
    for reply in replies:
        if isinstance(reply, _ABOUT_THE_STORE):
            raise reply


def read_together_now(client: SyncClient, key: str, commands: Sequence[Command]) -> list[Any]:
    """The replies of several commands about one key, all of one moment. Raises StoreUnavailable."""
    with redis_errors():
        if not isinstance(client, SyncCluster):
            return _at_one_moment(client, commands)
        try:
            return _at_one_moment(client.client_of(key)[1], commands)
        except (*_ABOUT_THE_STORE, redis.exceptions.ExecAbortError):
            with suppress(redis.RedisError, *CLUSTER_ERRORS, OSError):  # the error of the reading is what is told
                client.refresh()
            raise


def _at_one_moment(client: "redis.Redis", commands: Sequence[Command]) -> list[Any]:
    pipeline: Any = client.pipeline(transaction=True)
    for command in commands:
        pipeline.execute_command(*command)
    replies: list[Any] = pipeline.execute()
    return replies


def whole(replies: list[Any]) -> list[Any]:
    """The replies, if there is no error among them. Raises StoreUnavailable."""
    with redis_errors():
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
    return replies
