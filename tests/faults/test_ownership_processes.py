"""What is done to workers: stopped, killed, stuck, doubled, taken over, handed over."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from activity.instance.exits import ExitCode
from activity.store.client import lease_client
from activity.store.ownership import Asked, Ownership, read_ownership_now
from activity.store.standby import read_standbys
from tests.faults.owners import HEARTBEAT_SECONDS, Owners, stopped
from tests.instance.workers import EXCHANGE_ID
from tests.waiting import eventually


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_stopped_owner_loses_its_program_before_its_successor_starts(owners: Owners, stubborn: bool) -> None:
    """Fault: SIGSTOP of an owner past its TTL, then SIGCONT.

    Holds: its program, even one that ignores SIGTERM, is dead before the successor's starts; the owner that wakes
    up writes nothing and ends with exit code 4.
    """
    first, before = owners.owner(stubborn=stubborn)
    owners.standby()
    with stopped(first):
        after = owners.successor_of(before)
        eventually(lambda: not owners.pids(before["instanceId"]))
    assert first.wait() == ExitCode.OWNERSHIP_LOST
    assert after["instanceId"] != before["instanceId"]
    assert (owners.exchange.status or {})["epoch"] == after["epoch"]
    owners.assert_one_at_a_time(processes=2)
    assert owners.epochs() == [before["epoch"], after["epoch"]], "an entry of the old epoch came after the new one"
    assert "Not written to the activity" in first.output


def test_an_owner_that_was_stopped_within_its_lease_goes_on(owners: Owners) -> None:
    """Fault: SIGSTOP of an owner for less than its lease.

    Holds: same epoch, same program, no death.
    """
    first, before = owners.owner(heartbeat_seconds=3)
    beat = before["lastHeartbeat"]
    with stopped(first):
        eventually(lambda: owners.exchange.client.pttl(owners.exchange.key) < 7_000)
    after = owners.exchange.becomes(lambda status: status["lastHeartbeat"] > beat)
    assert after["epoch"] == before["epoch"]
    assert first.stop() == ExitCode.STOPPED
    owners.assert_one_at_a_time(processes=1)


def test_a_killed_owner_is_succeeded_by_exactly_one_standby(owners: Owners) -> None:
    """Fault: SIGKILL of an owner with three standbys.

    Holds: exactly one takes over, under a higher epoch, after the old program is dead; the others go on waiting.
    """
    first, before = owners.owner()
    standbys = [owners.standby() for _ in range(3)]
    first.signal(signal.SIGKILL)
    after = owners.successor_of(before)
    owners.assert_one_at_a_time(processes=2)
    took_over = [worker for worker in standbys if "Registered kraken" in worker.output]
    assert len(took_over) == 1
    assert [worker.process.poll() for worker in standbys] == [None] * 3
    assert owners.epochs() == [before["epoch"], after["epoch"]]
    for worker in sorted(standbys, key=lambda worker: worker in took_over):
        assert worker.stop() == ExitCode.STOPPED
    assert owners.exchange.is_gone()
    assert deaths(owners) == [before["epoch"]], "the death waits to be written down"


def test_a_released_exchange_is_taken_by_one_standby(owners: Owners) -> None:
    """Fault: none, the owner stops in order.

    Holds: exactly one of two standbys takes over, and nobody has died.
    """
    first, before = owners.owner()
    for _ in range(2):
        owners.standby()
    assert first.stop() == ExitCode.STOPPED
    owners.successor_of(before)
    owners.assert_one_at_a_time(processes=2)
    assert deaths(owners) == []


def test_two_live_workers_of_one_host_are_never_both_owners(owners: Owners) -> None:
    """Fault: a second worker, and a standby, start on the host of a live owner that is then stopped past its TTL.

    Holds: neither starts its program as long as the owner's process exists.
    """
    first, before = owners.owner(hostname="host-x")
    second = owners.start(hostname="host-x")
    assert second.wait() == ExitCode.CONFLICT
    standby = owners.standby(hostname="host-x")
    with stopped(first):
        standby.says("on this host it is held by pid")
        assert len(owners.spans()) == 1
    assert first.wait() == ExitCode.OWNERSHIP_LOST
    owners.successor_of(before)
    owners.assert_one_at_a_time(processes=2)


def test_a_worker_whose_event_loop_stands_still_is_ended_from_outside(owners: Owners) -> None:
    """Fault: the owner's event loop blocks for ever.

    Holds: the worker ends with exit code 7 and says why, its program is dead before the successor's starts.
    """
    first, before = owners.owner(module="tests.faults.stuck_process")
    owners.standby()
    (owners.workers.folder / "stuck").touch()
    assert first.wait() == ExitCode.STUCK
    assert "the event loop has stood still" in first.output
    owners.successor_of(before)
    owners.assert_one_at_a_time(processes=2)


def test_a_takeover_starts_work_only_when_the_old_owner_has_stopped(owners: Owners) -> None:
    """Fault: a live owner is taken over.

    Holds: it is fenced with exit code 4, the new owner's program starts after the old one is dead, and entries of
    the two epochs do not mix.
    """
    first, before = owners.owner()
    refused = owners.start()
    assert refused.wait() == ExitCode.CONFLICT
    token = f"{before['instanceId']}@{before['epoch']}"
    assert f"--take-over {token}" in refused.output
    wrong = owners.start(take_over=f"{before['instanceId']}@1")
    assert wrong.wait() == ExitCode.CONFLICT
    assert "it is not the one that was to be taken over" in wrong.output
    second = owners.start(take_over=token)
    after = owners.successor_of(before)
    assert first.wait() == ExitCode.OWNERSHIP_LOST
    second.says("The old owner has stopped")
    owners.assert_one_at_a_time(processes=2)
    assert owners.epochs() == [before["epoch"], after["epoch"]]
    states = [entry["toState"] for entry in owners.exchange.entries("state_transition")]
    once = ["starting", "warming", "active"]
    assert states == [*once, "stopping", "stopped", *once]


def test_a_takeover_of_a_stopped_owner_waits_until_its_time_is_over(owners: Owners) -> None:
    """Fault: an owner that stands still is taken over.

    Holds: the new owner's program starts after the old one, which its guard ends, is dead; the owner that wakes up
    is fenced.
    """
    first, before = owners.owner(stubborn=True)
    with stopped(first):
        owners.start(take_over=f"{before['instanceId']}@{before['epoch']}")
        after = owners.successor_of(before)
    assert first.wait() == ExitCode.OWNERSHIP_LOST
    owners.assert_one_at_a_time(processes=2)
    assert owners.epochs() == [before["epoch"], after["epoch"]]


def test_an_older_writer_that_overwrites_the_key_ends_the_owner(owners: Owners) -> None:
    """Fault: an older writer overwrites the status key.

    Holds: the owner is fenced, its program dead, the key left alone. Against the older writer itself nothing can be
    enforced.
    """
    first, before = owners.owner()
    legacy = json.dumps({"exchangeId": 7, "exchangeName": "kraken", "hostname": "old", "connectionState": "active"})
    owners.exchange.client.set(owners.exchange.key, legacy, ex=45)
    assert first.wait() == ExitCode.OWNERSHIP_LOST
    assert not owners.pids(before["instanceId"])
    assert owners.exchange.client.get(owners.exchange.key) == legacy.encode()


def test_a_deleted_key_never_makes_two_owners(owners: Owners) -> None:
    """Fault: an older writer deletes the key of a live owner while another worker and a standby want it.

    Holds: the owner stops its program and starts it under a higher epoch, and nobody else becomes owner meanwhile.
    """
    first, before = owners.owner()
    standby = owners.standby()
    owners.exchange.client.delete(owners.exchange.key)
    second = owners.start()
    after = owners.successor_of(before)
    assert after["instanceId"] == before["instanceId"]
    assert second.wait() == ExitCode.CONFLICT
    assert "Registered" not in standby.output
    owners.assert_one_at_a_time(processes=2)
    assert owners.epochs() == [before["epoch"], after["epoch"]]
    once = ["starting", "warming", "active"]
    assert owners.exchange.path() == [*once, "stopping", "stopped", "idle", *once]
    assert first.stop() == ExitCode.STOPPED


def test_a_handover_goes_to_the_chosen_standby_alone(owners: Owners) -> None:
    """Fault: none, one of three standbys is chosen.

    Holds: that one, and no other, takes over when the owner has stopped its program; the owner ends with exit code
    0.
    """
    first, before = owners.owner()
    standbys = [owners.standby() for _ in range(3)]
    waiting = read_standbys(owners.exchange.client, EXCHANGE_ID)
    assert {view.status.pid for view in waiting} == {worker.process.pid for worker in standbys}
    assert all(0 < view.left_ms <= 3000 * HEARTBEAT_SECONDS for view in waiting)
    chosen = waiting[-1].status

    async def ask() -> object:
        client = lease_client(owners.workers.redis_url)
        try:
            return await Ownership(client, EXCHANGE_ID).request_handover(chosen.instanceId, within_ms=60_000)
        finally:
            await client.aclose()

    assert asyncio.run(ask()) == Asked(before["epoch"])
    assert first.wait() == ExitCode.STOPPED
    after = owners.successor_of(before)
    assert after["instanceId"] == chosen.instanceId
    owners.assert_one_at_a_time(processes=2)
    others = {view.status.instanceId for view in waiting} - {chosen.instanceId}

    def still_waiting() -> bool:
        found = {view.status.instanceId for view in read_standbys(owners.exchange.client, EXCHANGE_ID)}
        assert found == others
        return True

    eventually(still_waiting)
    assert [worker.process.poll() for worker in standbys] == [None] * 3


def test_a_guard_that_is_killed_is_missed_loudly(owners: Owners) -> None:
    """Fault: SIGKILL of the guard beside a program.

    Holds: the worker says that nothing would end its program if the worker were killed now, and goes on.
    """
    first, before = owners.owner()
    lock = next(iter(owners.workers.folder.glob("perseus-*/*.lock")))
    guards = [pid for pid in _holders(str(lock)) if pid != first.process.pid]
    assert len(guards) == 1
    os.kill(guards[0], signal.SIGKILL)
    first.says("The guard of the program is gone")
    assert (owners.exchange.status or {})["epoch"] == before["epoch"]
    assert first.stop() == ExitCode.STOPPED


def deaths(owners: Owners) -> list[int]:
    """The epochs of owners whose deaths wait to be written down."""
    (record,) = read_ownership_now(owners.exchange.client, [EXCHANGE_ID])
    return [dead.epoch for dead in record.unreported]


def _holders(path: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if any(str(descriptor.readlink()) == path for descriptor in (entry / "fd").iterdir()):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found
