"""What a watcher of deaths looks at: every exchange's status and ownership, and which Redis it is that answers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from activity.store.answers import OwnershipRecord, read_record
from activity.store.client import AsyncClient, AsyncCluster, KeyUnreadable, redis_errors
from activity.store.pipelines import Command, read_many, whole
from activity.wire.entries import EntryId, StreamEntry, read_entry
from activity.wire.keys import ownership_key, reset_key, status_key, stream_key

#: Exchanges looked at in one round trip.
_PIPELINE: Final = 500
#: Entries read in one step while an earlier notice is searched for.
_STEP: Final = 500
#: Milliseconds for which what the watchers agreed on about one reset is kept: longer than any of them waits.
_AGREED_MILLISECONDS: Final = 300_000


@dataclass(frozen=True, slots=True)
class Server:
    """Which Redis answers, and its clock in milliseconds since 1970."""

    run_id: str
    replication_id: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class Sight:
    """One exchange: the status' value (None: gone), the milliseconds that it has left (None: no TTL), the hash.

    `problem` says which of its keys cannot be read, and why; then the others say nothing of it.
    """

    value: bytes | None
    ttl_ms: int | None
    record: OwnershipRecord
    problem: str = ""


async def read_servers(client: AsyncClient, exchange_ids: Sequence[int]) -> dict[int, Server]:
    """Who answers for each exchange: one server, on a cluster the primary of its shard. Raises StoreUnavailable."""
    if not exchange_ids:
        return {}
    with redis_errors():
        if isinstance(client, AsyncCluster):
            return await _read_primaries(client, exchange_ids)
        pipeline: Any = client.pipeline(transaction=False)
        server, replication, clock = await pipeline.info("server").info("replication").time().execute()
    return dict.fromkeys(exchange_ids, _server(server, replication, clock))


async def _read_primaries(client: AsyncCluster, exchange_ids: Sequence[int]) -> dict[int, Server]:
    try:
        async with asyncio.timeout(client.limit):
            await client.initialize()
            nodes = {i: client.get_node_from_key(status_key(i)) for i in exchange_ids}
            servers: dict[Any, Server] = {}
            for node in {node.name: node for node in nodes.values() if node}.values():
                server: Any = await node.execute_command("INFO", "server")
                replication: Any = await node.execute_command("INFO", "replication")
                servers[node] = _server(server, replication, await node.execute_command("TIME"))
    except BaseException:  # cancelled as well: what it was about to learn is not known
        client.refresh_later()
        raise
    return {i: servers[node] for i, node in nodes.items()}


def _server(server: Any, replication: Any, clock: Any) -> Server:
    return Server(
        str(server["run_id"]), str(replication["master_replid"]), int(clock[0]) * 1000 + int(clock[1]) // 1000
    )


async def look(client: AsyncClient, exchange_ids: Sequence[int]) -> list[Sight]:
    """Each exchange as it is now, in the given order. Raises StoreUnavailable; a damaged key is its exchange's own."""
    sights: list[Sight] = []
    for start in range(0, len(exchange_ids), _PIPELINE):
        part = exchange_ids[start : start + _PIPELINE]
        commands: list[Command] = []
        for exchange_id in part:
            key = status_key(exchange_id)
            commands += [("GET", key), ("PTTL", key), ("HGETALL", ownership_key(exchange_id))]
        found = await read_many(client, commands)
        for place, exchange_id in enumerate(part):
            few = slice(3 * place, 3 * place + 3)
            sights.append(_sight(exchange_id, commands[few], found[few]))
    return sights


def _sight(exchange_id: int, commands: Sequence[Command], replies: list[Any]) -> Sight:
    for command, reply in zip(commands, replies, strict=True):
        try:
            whole([reply])
        except KeyUnreadable as error:
            return Sight(None, None, OwnershipRecord(exchange_id), f"{command[1]}: {error}")
    value, ttl, fields = replies
    alive = value is not None and ttl != -2  # -2: it ran out between the two commands
    return Sight(value if alive else None, ttl if alive and ttl >= 0 else None, read_record(exchange_id, fields))


async def agree_on_reset(client: AsyncClient, run_id: str, proposal: bytes) -> bytes:
    """What all watchers say of this server's reset: the first proposal within 5 minutes. Raises StoreUnavailable."""
    key = reset_key(run_id)
    with redis_errors():
        await client.set(key, proposal, nx=True, px=_AGREED_MILLISECONDS)
        agreed: Any = await client.get(key)
    return agreed or proposal


async def read_agreed_reset(client: AsyncClient, run_id: str) -> bytes | None:
    """What was agreed on, None where nothing was lately. Raises StoreUnavailable."""
    with redis_errors():
        agreed: Any = await client.get(reset_key(run_id))
    return bytes(agreed) if agreed is not None else None


async def note_reset_told(client: AsyncClient, run_id: str, agreed: bytes) -> None:
    """Keep with what was agreed on that it is written down, as long as it is kept at all. Raises StoreUnavailable."""
    with redis_errors():
        await client.set(reset_key(run_id), agreed, xx=True, keepttl=True)


async def find_event(
    client: AsyncClient, exchange_name: str, event_id: str, after: EntryId
) -> tuple[EntryId | None, EntryId]:
    """The entry with this eventId after an id, if there is one, and the last id looked at. Raises StoreUnavailable.

    Looks in small steps from here, where `append_once` looks inside a script that holds up everybody: what has been
    looked at need not be looked at there again.
    """
    wanted = event_id.encode()
    while True:
        with redis_errors():
            rows: Any = await client.xrange(stream_key(exchange_name), min=f"({after}", count=_STEP)
        for entry_id, pairs in rows:
            after = EntryId.parse(entry_id.decode("ascii"))
            if any(pairs[at] == b"eventId" and pairs[at + 1] == wanted for at in range(0, len(pairs) - 1, 2)):
                return after, after
        if len(rows) < _STEP:
            return None, after


async def newest_state(client: AsyncClient, exchange_name: str) -> StreamEntry | None:
    """The newest of the last 100 entries that tells a state. Raises StoreUnavailable."""
    with redis_errors():
        rows: Any = await client.xrevrange(stream_key(exchange_name), count=100)
    return next((entry for row in rows if (entry := read_entry(row[0], row[1])).state), None)
