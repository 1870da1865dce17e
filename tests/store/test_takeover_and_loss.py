"""Takeovers, deaths, handovers and standbys: the scripts against every Redis that we promise to run on."""

import json
from collections.abc import AsyncIterator

import pytest

from activity.store.client import AsyncClient, lease_client, sync_client
from activity.store.ownership import (
    Asked,
    Busy,
    Claimed,
    Conflict,
    Delayed,
    Handed,
    Held,
    Legacy,
    Lost,
    NoStandby,
    NotLost,
    Ownership,
    Stolen,
    Taken,
    Vacant,
    identify,
    read_ownership,
    read_ownership_now,
)
from activity.store.standby import beat_standby, read_standbys, remove_standby
from activity.wire.clock import now_timestamp
from activity.wire.keys import standbys_key, standbys_until_key, status_key
from activity.wire.standby import StandbyStatus
from activity.wire.status import InstanceStatus
from tests.servers import RedisServer
from tests.store.test_ownership import claimed, status_of
from tests.waiting import eventually

OLDER = {"exchangeId": 7, "exchangeName": "kraken", "hostname": "old", "registeredAt": "2026-01-01T00:00:00.000Z"}


@pytest.fixture
async def client(every_redis: RedisServer) -> AsyncIterator[AsyncClient]:
    opened = lease_client(every_redis.url)
    yield opened
    await opened.aclose()


@pytest.fixture
def ownership(client: AsyncClient) -> Ownership:
    return Ownership(client, 7)


def standby_of(instance: str, **fields: object) -> StandbyStatus:
    now = now_timestamp()
    values: dict[str, object] = {
        "exchangeId": 7,
        "exchangeName": "kraken",
        "instanceId": instance,
        "hostname": "host-b",
        "pid": 2,
        "version": "1",
        "registeredAt": now,
        "lastHeartbeat": now,
        "heartbeatSeconds": 15,
        **fields,
    }
    return StandbyStatus.model_validate(values)


async def token_of(ownership: Ownership, status: InstanceStatus) -> str:
    return await ownership.identify(status.model_dump_json().encode())


async def test_a_takeover_keeps_the_ttl_and_delays_the_work_until_it_has_run_out(
    ownership: Ownership, every_redis: RedisServer
) -> None:
    first = await claimed(ownership)
    with every_redis.client() as redis:
        redis.pexpire(status_key(7), 20_000)
        taken = await ownership.takeover(status_of("b"), ttl_seconds=45, shown=await token_of(ownership, first))
        assert isinstance(taken, Taken)
        assert taken.enforceable
        assert 19_000 < taken.delay_ms <= 20_000
        assert 0 < redis.pttl(status_key(7)) <= 20_000
        assert redis.get(status_key(7)) == taken.payload
    second = status_of("b").model_copy(update={"epoch": taken.epoch})
    assert isinstance(await ownership.heartbeat(first, ttl_seconds=45), Stolen)
    assert await ownership.heartbeat(second, ttl_seconds=45) == Held()
    record = await ownership.record()
    assert (record.owner, record.prev, record.state) == ("b", "a", "held")
    assert record.delay_until_ms > 0
    assert isinstance(await ownership.release(first), Stolen)
    assert (await ownership.record()).delay_until_ms == 0, "the old owner has said that it stopped"
    assert (await ownership.record()).state == "held"


async def test_while_a_displaced_owner_may_work_nobody_claims_what_its_successor_released(ownership: Ownership) -> None:
    first = await claimed(ownership)
    taken = await ownership.takeover(status_of("b"), ttl_seconds=45, shown=await token_of(ownership, first))
    assert isinstance(taken, Taken)
    await ownership.release(status_of("b").model_copy(update={"epoch": taken.epoch}))
    answer = await ownership.claim(status_of("c"), ttl_seconds=45)
    assert isinstance(answer, Delayed)
    assert (answer.owner, 0 < answer.wait_ms <= 45_000) == ("a", True)
    await ownership.release(first)
    assert isinstance(await ownership.claim(status_of("c"), ttl_seconds=45), Claimed)


async def test_a_takeover_of_a_holder_that_changed_names_the_present_one(ownership: Ownership) -> None:
    assert await ownership.takeover(status_of("b"), ttl_seconds=45, shown="a@1") == Vacant()
    first = await claimed(ownership)
    answer = await ownership.takeover(status_of("b"), ttl_seconds=45, shown=f"a@{first.epoch - 1}")
    assert isinstance(answer, Conflict)
    assert answer.holder == first.model_dump_json().encode()
    assert answer.token == f"a@{first.epoch}"


async def test_an_older_writer_is_recognised_by_what_stays_the_same_and_not_enforced(
    ownership: Ownership, every_redis: RedisServer
) -> None:
    with every_redis.client() as redis, sync_client(every_redis.url) as pages:
        shown = identify(pages, 7, json.dumps(OLDER).encode())
        beaten = json.dumps({**OLDER, "lastHeartbeat": "later", "symbolCount": 9, "ipAddress": "203.0.113.7"})
        redis.set(status_key(7), json.dumps({**OLDER, "registeredAt": "2026-02-02T00:00:00.000Z"}), ex=45)
        assert isinstance(await ownership.takeover(status_of("b"), ttl_seconds=45, shown=shown), Conflict)
        redis.set(status_key(7), beaten, ex=45)
        taken = await ownership.takeover(status_of("b"), ttl_seconds=45, shown=shown)
        assert isinstance(taken, Taken)
        assert not taken.enforceable


@pytest.mark.parametrize("value", [b"null", b"[]", b"[1,2", b"\xff", b"[" * 5000, b'{"instanceId":"x","epoch":1e300}'])
async def test_whatever_stands_in_the_key_can_be_taken_over(
    ownership: Ownership, every_redis: RedisServer, value: bytes
) -> None:
    with every_redis.client() as redis:
        redis.set(status_key(7), value)
        shown = await ownership.identify(value)
        taken = await ownership.takeover(status_of("b"), ttl_seconds=45, shown=shown)
        assert isinstance(taken, Taken)
        assert not taken.enforceable
        assert 0 < redis.pttl(status_key(7)) <= 45_000, "a key without a TTL gets one"
        assert taken.epoch < 1 << 53


async def test_a_death_is_declared_once_and_only_when_the_time_has_run_out(
    ownership: Ownership, every_redis: RedisServer
) -> None:
    status = status_of("a")
    answer = await ownership.claim(status, ttl_seconds=1)
    assert isinstance(answer, Claimed)
    assert await ownership.declare_lost(answer.epoch) == NotLost("alive")
    assert await ownership.declare_lost(answer.epoch - 1) == NotLost("alive")
    with every_redis.client() as redis:
        eventually(lambda: not redis.exists(status_key(7)))
    assert await ownership.declare_lost(answer.epoch - 1) == NotLost("changed")
    lost = await ownership.declare_lost(answer.epoch)
    assert isinstance(lost, Lost)
    assert (lost.owner, lost.payload, lost.late_ms >= 0) == ("a", answer.payload, True)
    assert await ownership.declare_lost(answer.epoch) == NotLost("over")
    (record,) = await read_ownership(ownership._client, [7])
    assert (record.state, record.epoch, record.beat_ms) == ("lost_pending", answer.epoch, lost.beat_ms)
    assert await ownership.mark_lost_logged(answer.epoch)
    assert not await ownership.mark_lost_logged(answer.epoch)
    assert (await ownership.record()).state == "lost_logged"


async def test_a_key_that_was_deleted_is_no_death_as_long_as_its_owner_may_come_back(
    ownership: Ownership, every_redis: RedisServer
) -> None:
    status = await claimed(ownership)
    with every_redis.client() as redis:
        redis.delete(status_key(7))
    answer = await ownership.declare_lost(status.epoch)
    assert isinstance(answer, NotLost)
    assert (answer.reason, 0 < answer.wait_ms <= 45_000) == ("early", True)
    assert isinstance(await ownership.claim(status_of("b"), ttl_seconds=45), Delayed)
    assert isinstance(await ownership.claim(status_of("b"), ttl_seconds=45, gone="a"), Claimed)


async def test_a_death_that_was_succeeded_before_anybody_saw_it_still_waits_to_be_written_down(
    ownership: Ownership, every_redis: RedisServer
) -> None:
    first = await claimed(ownership)
    answer = await ownership.claim(status_of("b"), ttl_seconds=1, replace=first.model_dump_json().encode())
    assert isinstance(answer, Claimed)
    with every_redis.client() as redis:
        eventually(lambda: not redis.exists(status_key(7)))
    assert isinstance(await ownership.declare_lost(answer.epoch), Lost)
    third = await claimed(ownership, "c")
    with sync_client(every_redis.url) as pages:
        (record,) = read_ownership_now(pages, [7])
    assert [(dead.epoch, dead.owner) for dead in record.unreported] == [(first.epoch, "a"), (answer.epoch, "b")]
    assert record.unreported[1].payload == answer.payload
    for dead in record.unreported:
        assert await ownership.mark_lost_logged(dead.epoch)
    assert (await ownership.record()).unreported == ()
    assert (await ownership.record()).state == "held"
    await ownership.release(third)
    await claimed(ownership, "d")
    assert (await ownership.record()).unreported == (), "a release is no death"


async def test_deaths_that_nobody_writes_down_are_kept_up_to_a_number_and_then_counted(
    ownership: Ownership, every_redis: RedisServer
) -> None:
    seen = (await claimed(ownership, "i0")).model_dump_json().encode()
    for number in range(1, 130):
        answer = await ownership.claim(status_of(f"i{number}"), ttl_seconds=45, replace=seen)
        assert isinstance(answer, Claimed)
        seen = answer.payload
    record = await ownership.record()
    assert 95 <= len(record.unreported) <= 110
    assert len(record.unreported) + record.lost_uncounted == 129
    counted = await ownership.declare_uncounted()
    assert counted is not None
    assert counted.number == record.lost_uncounted
    answer = await ownership.claim(status_of("one more"), ttl_seconds=45, replace=seen)
    assert isinstance(answer, Claimed)
    assert (await ownership.record()).lost_uncounted == counted.number + 1
    assert await ownership.declare_uncounted() == counted, "what is being written down stays what it is"
    assert not await ownership.mark_uncounted_told(counted.taken_ms - 1)
    assert await ownership.mark_uncounted_told(counted.taken_ms)
    assert not await ownership.mark_uncounted_told(counted.taken_ms)
    rest = await ownership.declare_uncounted()
    assert rest is not None
    assert rest.number == 1
    assert await ownership.mark_uncounted_told(rest.taken_ms)
    assert await ownership.declare_uncounted() is None


async def test_an_owner_that_lost_the_key_to_an_older_writer_and_ended_in_order_is_no_death(
    ownership: Ownership, every_redis: RedisServer
) -> None:
    status = await claimed(ownership)
    with every_redis.client() as redis:
        redis.set(status_key(7), json.dumps(OLDER), ex=45)
        assert isinstance(await ownership.release(status), Legacy)
        redis.delete(status_key(7))
    assert await ownership.declare_lost(status.epoch) == NotLost("over")


async def test_a_handover_is_heard_with_the_next_heartbeat_and_lets_only_that_standby_claim(
    ownership: Ownership, client: AsyncClient
) -> None:
    assert await ownership.request_handover("s", within_ms=60_000) == Vacant()
    status = await claimed(ownership)
    assert await ownership.request_handover("s", within_ms=60_000) == NoStandby()
    await beat_standby(client, standby_of("s"))
    assert await ownership.request_handover("s", within_ms=60_000) == Asked(status.epoch)
    assert await ownership.heartbeat(status, ttl_seconds=45) == Held("s")
    assert await ownership.release(status, hand_to="s", within_ms=60_000) == Held()
    answer = await ownership.claim(status_of("other"), ttl_seconds=45)
    assert isinstance(answer, Handed)
    assert (answer.to, 0 < answer.wait_ms <= 60_000) == ("s", True)
    assert isinstance(await ownership.claim(status_of("s"), ttl_seconds=45), Claimed)
    assert isinstance(await ownership.claim(status_of("other"), ttl_seconds=45), Busy)


async def test_a_handover_to_a_standby_that_has_gone_is_not_heard(ownership: Ownership, client: AsyncClient) -> None:
    status = await claimed(ownership)
    await beat_standby(client, standby_of("s"))
    assert await ownership.request_handover("s", within_ms=60_000) == Asked(status.epoch)
    await remove_standby(client, 7, "s")
    assert await ownership.heartbeat(status, ttl_seconds=45) == Held()


async def test_an_older_writer_cannot_be_asked_to_hand_over(ownership: Ownership, every_redis: RedisServer) -> None:
    with every_redis.client() as redis:
        redis.set(status_key(7), json.dumps(OLDER), ex=45)
    assert isinstance(await ownership.request_handover("s", within_ms=60_000), Legacy)


async def test_standbys_are_shown_the_longest_waiting_first_until_they_fall_silent(
    client: AsyncClient, every_redis: RedisServer
) -> None:
    await beat_standby(client, standby_of("late", registeredAt="2026-01-02T00:00:00.000Z"))
    await beat_standby(client, standby_of("early", registeredAt="2026-01-01T00:00:00.000Z"))
    await beat_standby(client, standby_of("silent", heartbeatSeconds=1))
    with sync_client(every_redis.url) as pages, every_redis.client() as redis:
        redis.hset(standbys_key(7), "broken", "{")
        redis.zadd(standbys_until_key(7), {"broken": 9e15})
        assert {view.status.instanceId for view in read_standbys(pages, 7)} == {"late", "early", "silent"}
        eventually(lambda: len(read_standbys(pages, 7)) == 2)
        assert await beat_standby(client, standby_of("late", registeredAt="2026-01-02T00:00:00.000Z")) == 3
        assert not redis.hexists(standbys_key(7), "silent"), "who fell silent is forgotten"
        views = read_standbys(pages, 7)
        assert [view.status.instanceId for view in views] == ["early", "late"]
        assert all(0 < view.left_ms <= 45_000 and 0 <= view.age_ms < 20_000 for view in views)
        assert redis.pttl(standbys_key(7)) > 45_000
        assert redis.pttl(standbys_until_key(7)) > 45_000
        assert read_standbys(pages, 8) == []
