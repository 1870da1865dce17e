"""Claims, heartbeats, stalls, takeovers, releases, expiries, deaths and older writers in any order, against real Redis.

The model knows, per instance, the epoch that it was given and whether it still believes in it. What must hold whatever
happens: no two owners pass the guard, epochs only rise, and a release never deletes a successor.
"""

import asyncio
import json
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from activity.store.client import AsyncClient, lease_client
from activity.store.ownership import (
    Claimed,
    Delayed,
    Handed,
    Held,
    Legacy,
    Lost,
    Missing,
    Ownership,
    Stolen,
    Taken,
    Vacant,
)
from activity.wire.keys import ownership_key, status_key
from activity.wire.status import InstanceStatus
from tests.servers import RedisServer
from tests.store.test_ownership import status_of

T = TypeVar("T")
KEY, HASH = status_key(7), ownership_key(7)


class Machine(RuleBasedStateMachine):
    """Instances do what they like; `loop`, `client` and `server` are set by the test."""

    loop: asyncio.AbstractEventLoop
    client: AsyncClient
    server: RedisServer

    instances = Bundle("instances")

    def __init__(self) -> None:
        super().__init__()
        self.redis = self.server.client()
        self.redis.flushall()
        self.ownership = Ownership(self.client, 7)
        self.highest = 0
        self.made = 0
        self.declared: set[int] = set()
        #: Every status that was ever written under an epoch: also of instances that have long lost it.
        self.tenures: list[InstanceStatus] = []

    def teardown(self) -> None:
        self.redis.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def gave(self, status: InstanceStatus, epoch: int, payload: bytes) -> None:
        assert epoch > self.highest, "an epoch must rise above all before it"
        assert self.redis.get(KEY) == payload
        self.highest = epoch
        self.tenures.append(status.model_copy(update={"epoch": epoch}))

    def present(self) -> dict[str, Any] | None:
        value: Any = self.redis.get(KEY)
        return None if value is None else json.loads(value)

    def owner(self) -> tuple[str, int] | None:
        """Whom the key names, None where nobody or an older writer."""
        found = self.present()
        return (found["instanceId"], found["epoch"]) if found and "instanceId" in found else None

    @rule(target=instances)
    def start(self) -> str:
        self.made += 1
        return f"i{self.made}"

    @rule(who=instances, floor=st.integers(0, 10**6))
    def claim(self, who: str, floor: int) -> None:
        before = self.redis.get(KEY)
        status = status_of(who)
        answer = self.do(self.ownership.claim(status, ttl_seconds=45, epoch_floor=floor))
        if isinstance(answer, Claimed):
            assert before is None, "a claim must not replace a holder that it was not shown"
            self.gave(status, answer.epoch, answer.payload)
        else:
            assert self.redis.get(KEY) == before
            assert before is not None or isinstance(answer, Handed | Delayed)

    @rule(who=instances, stale=st.booleans())
    def replace(self, who: str, stale: bool) -> None:
        """A restart on one host: the holder as seen, or as it was before."""
        before: Any = self.redis.get(KEY)
        shown = b"something older" if stale or before is None else before
        status = status_of(who)
        answer = self.do(self.ownership.claim(status, ttl_seconds=45, replace=shown))
        if isinstance(answer, Claimed):
            assert before is None or not stale
            self.gave(status, answer.epoch, answer.payload)

    @rule(who=instances, stale=st.booleans())
    def take_over(self, who: str, stale: bool) -> None:
        before: Any = self.redis.get(KEY)
        left = self.redis.pttl(KEY)
        shown = "older@0" if stale else self.do(self.ownership.identify(before or b""))
        status = status_of(who)
        answer = self.do(self.ownership.takeover(status, ttl_seconds=45, shown=shown))
        if isinstance(answer, Taken):
            assert not stale
            assert 0 < self.redis.pttl(KEY) <= (left if left > 0 else 45_000), "the old TTL is kept"
            assert answer.enforceable == (b"instanceId" in before)
            self.gave(status, answer.epoch, answer.payload)
        elif isinstance(answer, Vacant):
            assert before is None
        else:
            assert self.redis.get(KEY) == before

    def tenure(self, data: Any) -> InstanceStatus | None:
        return data.draw(st.sampled_from(self.tenures)) if self.tenures else None

    @rule(data=st.data(), update=st.booleans(), count=st.integers(0, 99))
    def write(self, data: Any, update: bool, count: int) -> None:
        """A heartbeat or an update of any tenure there ever was, however long it had stalled."""
        status = self.tenure(data)
        if status is None:
            return
        before: Any = self.redis.get(KEY)
        owner = self.owner()
        status = status.model_copy(update={"symbolCount": count})
        call = self.ownership.update if update else self.ownership.heartbeat
        answer = self.do(call(status, ttl_seconds=45))
        if isinstance(answer, Held):
            assert owner == (status.instanceId, status.epoch)
            assert status.epoch == self.highest, "only the newest epoch passes the guard"
            assert self.redis.pttl(KEY) > 0
        else:
            assert self.redis.get(KEY) == before, "who does not pass the guard writes nothing"
            expected = Missing if before is None else (Legacy if owner is None else Stolen)
            assert isinstance(answer, expected)

    @rule(data=st.data(), hand_to=st.one_of(st.just(""), instances))
    def release(self, data: Any, hand_to: str) -> None:
        status = self.tenure(data)
        if status is None:
            return
        before: Any = self.redis.get(KEY)
        owner = self.owner()
        answer = self.do(self.ownership.release(status, hand_to=hand_to, within_ms=60_000))
        if isinstance(answer, Held):
            assert owner == (status.instanceId, status.epoch) == (status.instanceId, self.highest)
            assert self.redis.get(KEY) is None
            if hand_to:
                late = self.do(self.ownership.claim(status_of("somebody else"), ttl_seconds=45))
                assert isinstance(late, Handed)
                assert late.to == hand_to
        else:
            assert self.redis.get(KEY) == before, "a release must not delete a successor"

    @rule()
    def expire(self) -> None:
        """The TTL of whoever holds it runs out, and with it every time that O remembers."""
        self.redis.delete(KEY)
        for name in ("until", "not_before", "handover_until"):
            if self.redis.hexists(HASH, name):
                self.redis.hset(HASH, name, 1)

    @rule()
    def delete(self) -> None:
        """An older writer, or somebody by hand, deletes the key before its time."""
        held: Any = self.redis.hget(HASH, "state") == b"held"
        there = self.owner() is not None
        self.redis.delete(KEY)
        if held and there:
            answer = self.do(self.ownership.claim(status_of("somebody else"), ttl_seconds=45))
            assert isinstance(answer, Delayed), "its owner may still be at work"

    @rule(fields=st.fixed_dictionaries({"hostname": st.sampled_from(["old-a", "old-b"])}))
    def older_writer(self, fields: dict[str, str]) -> None:
        self.redis.set(KEY, json.dumps({"exchangeId": 7, **fields}), ex=45)

    @rule()
    def lose_hash(self) -> None:
        """O is lost while S stands: the claim that S tells of is still good."""
        self.redis.delete(HASH)

    @rule(data=st.data())
    def declare_lost(self, data: Any) -> None:
        (record,) = [self.do(self.ownership.record())]
        epoch = data.draw(st.sampled_from([record.epoch, *(status.epoch for status in self.tenures)]))
        there = self.redis.exists(KEY)
        answer = self.do(self.ownership.declare_lost(epoch))
        if isinstance(answer, Lost):
            assert not there
            assert (epoch, record.state) == (record.epoch, "held")
            assert epoch not in self.declared, "a death is declared once"
            self.declared.add(epoch)
            if data.draw(st.booleans()):
                assert self.do(self.ownership.mark_lost_logged(epoch))

    @invariant()
    def at_most_one_owner_passes_the_guard(self) -> None:
        before: Any = self.redis.dump(KEY)
        passing = [
            status.epoch
            for status in self.tenures
            if isinstance(self.do(self.ownership.update(status, ttl_seconds=45)), Held)
        ]
        assert len(passing) <= 1, passing
        if before is None:
            assert not passing


@pytest.fixture
def machine(every_redis: RedisServer) -> Iterator[type[Machine]]:
    loop = asyncio.new_event_loop()
    client = lease_client(every_redis.url)
    yield type("Bound", (Machine,), {"loop": loop, "client": client, "server": every_redis})
    loop.run_until_complete(client.aclose())
    loop.close()


def test_never_two_owners_that_pass_the_guard_whatever_happens_in_whatever_order(machine: type[Machine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
