"""One owner per exchange: the scripts against every Redis that we promise to run on."""

import json
from collections.abc import AsyncIterator

import pytest

from activity.store.client import lease_client
from activity.store.ownership import Busy, Claimed, Held, Legacy, Missing, Ownership, Stolen
from activity.wire.clock import now_timestamp
from activity.wire.keys import ownership_key, status_key
from activity.wire.status import ConnectionState, InstanceStatus
from tests.servers import RedisServer


def status_of(instance: str, *, exchange_id: int = 7) -> InstanceStatus:
    now = now_timestamp()
    return InstanceStatus(
        exchangeId=exchange_id,
        exchangeName="kraken",
        hostname="host-a",
        connectionState=ConnectionState.IDLE,
        lastHeartbeat=now,
        lastStateChange=now,
        registeredAt=now,
        instanceId=instance,
        pid=1,
        version="1",
        heartbeatSeconds=15,
        epoch=0,
    )


@pytest.fixture
async def ownership(every_redis: RedisServer) -> AsyncIterator[Ownership]:
    client = lease_client(every_redis.url)
    yield Ownership(client, 7)
    await client.aclose()


async def claimed(ownership: Ownership, instance: str = "a") -> InstanceStatus:
    status = status_of(instance)
    answer = await ownership.claim(status, ttl_seconds=45)
    assert isinstance(answer, Claimed)
    return status.model_copy(update={"epoch": answer.epoch})


async def test_a_free_exchange_is_claimed_with_a_ttl_and_an_epoch(
    ownership: Ownership, every_redis: RedisServer
) -> None:
    status = await claimed(ownership)
    with every_redis.client() as client:
        written = json.loads(client.get(status_key(7)) or b"")
        assert written == json.loads(status.model_dump_json())
        assert 0 < client.pttl(status_key(7)) <= 45_000
        assert client.hgetall(ownership_key(7))[b"epoch"] == str(status.epoch).encode()
        assert client.ttl(ownership_key(7)) == -1


async def test_a_held_exchange_names_its_holder_and_the_time_left(ownership: Ownership) -> None:
    status = await claimed(ownership)
    answer = await ownership.claim(status_of("b"), ttl_seconds=45)
    assert isinstance(answer, Busy)
    assert json.loads(answer.holder)["instanceId"] == status.instanceId
    assert 0 < answer.ttl_ms <= 45_000


async def test_a_holder_that_was_seen_is_replaced_only_while_it_is_exactly_that(ownership: Ownership) -> None:
    first = await claimed(ownership)
    seen = first.model_dump_json().encode()
    beaten = first.model_copy(update={"symbolCount": 3})
    assert await ownership.heartbeat(beaten, ttl_seconds=45) == Held()
    assert isinstance(await ownership.claim(status_of("b"), ttl_seconds=45, replace=seen), Busy)
    now_seen = beaten.model_dump_json().encode()
    assert isinstance(await ownership.claim(status_of("b"), ttl_seconds=45, replace=now_seen), Claimed)


async def test_the_epoch_rises_with_every_owner_even_past_a_lost_hash(
    ownership: Ownership, every_redis: RedisServer
) -> None:
    first = await claimed(ownership)
    await ownership.release(first)
    second = await claimed(ownership, "b")
    assert second.epoch > first.epoch
    await ownership.release(second)
    with every_redis.client() as client:
        client.delete(ownership_key(7))
    answer = await ownership.claim(status_of("c"), ttl_seconds=45, epoch_floor=second.epoch + 1_000_000)
    assert isinstance(answer, Claimed)
    assert answer.epoch == second.epoch + 1_000_001


async def test_a_heartbeat_brings_the_ttl_back_and_an_update_keeps_it(
    ownership: Ownership, every_redis: RedisServer
) -> None:
    status = await claimed(ownership)
    with every_redis.client() as client:
        client.pexpire(status_key(7), 10_000)
        assert await ownership.update(status, ttl_seconds=45) == Held()
        assert client.pttl(status_key(7)) <= 10_000
        assert await ownership.heartbeat(status, ttl_seconds=45) == Held()
        assert client.pttl(status_key(7)) > 10_000


async def test_an_update_repairs_a_ttl_that_somebody_removed(ownership: Ownership, every_redis: RedisServer) -> None:
    status = await claimed(ownership)
    with every_redis.client() as client:
        client.persist(status_key(7))
        assert await ownership.update(status, ttl_seconds=45) == Held()
        assert client.pttl(status_key(7)) > 0


async def test_a_heartbeat_never_creates_the_key(ownership: Ownership, every_redis: RedisServer) -> None:
    status = await claimed(ownership)
    with every_redis.client() as client:
        client.delete(status_key(7))
        assert await ownership.heartbeat(status, ttl_seconds=45) == Missing()
        assert await ownership.update(status, ttl_seconds=45) == Missing()
        assert not client.exists(status_key(7))


async def test_an_older_epoch_can_neither_beat_nor_release(ownership: Ownership, every_redis: RedisServer) -> None:
    first = await claimed(ownership)
    seen = first.model_dump_json().encode()
    successor = await ownership.claim(status_of("b"), ttl_seconds=45, replace=seen)
    assert isinstance(successor, Claimed)
    for answer in (
        await ownership.heartbeat(first, ttl_seconds=45),
        await ownership.update(first, ttl_seconds=45),
        await ownership.release(first),
    ):
        assert answer == Stolen(successor.payload)
    with every_redis.client() as client:
        assert client.get(status_key(7)) == successor.payload


async def test_a_newer_epoch_in_the_hash_ends_an_older_owner(ownership: Ownership, every_redis: RedisServer) -> None:
    status = await claimed(ownership)
    with every_redis.client() as client:
        client.hset(ownership_key(7), "epoch", status.epoch + 1)
    assert isinstance(await ownership.heartbeat(status, ttl_seconds=45), Stolen)


@pytest.mark.parametrize(
    "foreign",
    [
        b'{"exchangeId":7,"hostname":"other"}',
        b"null",
        b"[]",
        b"[1,2",
        b'"text"',
        b"\xff\xfe",
        b"[" * 5000,
        b'{"instanceId":7}',
    ],
)
async def test_whatever_stands_in_the_key_breaks_no_script(
    ownership: Ownership, every_redis: RedisServer, foreign: bytes
) -> None:
    status = await claimed(ownership)
    with every_redis.client() as client:
        client.set(status_key(7), foreign)
        assert await ownership.heartbeat(status, ttl_seconds=45) == Legacy(foreign)
        assert await ownership.release(status) == Legacy(foreign)
        assert client.get(status_key(7)) == foreign
    assert isinstance(await ownership.claim(status_of("b"), ttl_seconds=45), Busy)
    assert isinstance(await ownership.claim(status_of("b"), ttl_seconds=45, replace=foreign), Claimed)


def test_both_keys_of_an_exchange_share_a_cluster_slot() -> None:
    from redis.crc import key_slot

    assert all(key_slot(status_key(i).encode()) == key_slot(ownership_key(i).encode()) for i in (1, 7, 12345))
