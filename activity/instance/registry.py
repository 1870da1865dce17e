"""The exchange that this process holds: claimed, kept, written and given back.

The only user of the ownership scripts. Lease times are seconds of CLOCK_BOOTTIME, which goes on during suspend. Nothing
is ever written again after `fence`.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from activity.instance import VERSION
from activity.instance.console import LOG
from activity.instance.host import boottime
from activity.instance.options import WorkerConfig
from activity.store.client import StoreUnavailable
from activity.store.ownership import Busy, Claimed, Guarded, Held, Legacy, Missing, Ownership, Stolen
from activity.wire.clock import now_timestamp
from activity.wire.status import ConnectionState, InstanceStatus, read_status, ttl_seconds

#: The status carries the last error up to this many characters, since it travels to every viewer with each heartbeat.
#: The whole error is in the activity.
LAST_ERROR_CHARACTERS: Final = 4096
#: Work ends when no heartbeat has succeeded for this many intervals: 30 s of the 45 s that the key lives.
LEASE_INTERVALS: Final = 2


@dataclass(frozen=True, slots=True)
class Lost:
    """Why the exchange is no longer ours."""

    reason: str


def fresh_status(config: WorkerConfig, instance_id: str) -> InstanceStatus:
    """What is registered: idle, nobody answering for it yet, no symbols, no address."""
    now = now_timestamp()
    return InstanceStatus(
        exchangeId=config.exchange_id,
        exchangeName=config.exchange_name,
        hostname=config.hostname,
        connectionState=ConnectionState.IDLE,
        lastHeartbeat=now,
        lastStateChange=now,
        registeredAt=now,
        instanceId=instance_id,
        pid=os.getpid(),
        version=VERSION,
        mode=config.mode,
        heartbeatSeconds=config.heartbeat_seconds,
        epoch=0,
    )


class Registry:
    """One exchange's status as this process writes it. The exchange never changes: another one is another registry.

    Writing methods raise StoreUnavailable on Redis trouble, and say through `lost` that the exchange is gone.
    """

    def __init__(self, ownership: Ownership, status: InstanceStatus, clock: Callable[[], float] = boottime) -> None:
        """`status` is a fresh one; `claimed` tells what became of it."""
        self._ownership = ownership
        self._status = status
        self._clock = clock
        self._interval = status.heartbeatSeconds
        self._ttl = ttl_seconds(status.heartbeatSeconds)
        self._next_beat: dict[str, Any] = {}
        self._turn = asyncio.Lock()  # payloads reach Redis in the order in which they were made
        self._last_good = 0.0
        self.lost: Lost | None = None
        #: Set when something waits to be written at once, or the key is gone.
        self.changed = asyncio.Event()
        #: Set together with `lost`.
        self.fenced = asyncio.Event()

    @property
    def status(self) -> InstanceStatus:
        """The status as it would be written now."""
        return self._status

    @property
    def lease_until(self) -> float:
        """When work has to end unless a heartbeat succeeds before."""
        return self._last_good + LEASE_INTERVALS * self._interval

    @property
    def vacant_at(self) -> float:
        """Before this moment nobody else starts work on the exchange: the key's TTL, counted from before sending."""
        return self._last_good + self._ttl

    def claimed(self, claim: Claimed, sent_at: float) -> None:
        """The exchange is ours. `sent_at` is the clock before the claim was sent."""
        self._status = self._status.model_copy(update={"epoch": claim.epoch})
        self._last_good = sent_at

    # --- what waits for the next heartbeat (contract, section 1) ---

    def set_admin(self, email: str, display_name: str | None) -> None:
        """Who answers for the instance."""
        self._next_beat |= {"adminEmail": email, "adminDisplayName": display_name}

    def set_symbol_count(self, count: int) -> None:
        """How many symbols are followed."""
        self._next_beat["symbolCount"] = count

    def set_address(self, ip: str, country: str | None) -> None:
        """The public address, once it is known."""
        self._next_beat |= {"ipAddress": ip, "countryCode": country}

    # --- what is written at once ---

    async def set_state(self, state: ConnectionState, moment: str) -> None:
        """A transition that happened at `moment`."""
        change: dict[str, Any] = {"connectionState": state, "lastStateChange": moment}
        if state == ConnectionState.ACTIVE:
            change["connectedAt"] = moment
        elif state == ConnectionState.STARTING:
            change["connectedAt"] = None  # a fresh start is not connected yet
        self._status = self._status.model_copy(update=change)
        await self.write()

    def record_error(self, text: str, moment: str) -> None:
        """The last error. Kept here even while the key is gone; the heartbeat's task writes it at once."""
        if (more := len(text) - LAST_ERROR_CHARACTERS) > 0:
            text = f"{text[:LAST_ERROR_CHARACTERS]}… [{more} more characters: the whole error is in the activity]"
        self._status = self._status.model_copy(update={"lastError": text, "lastErrorAt": moment})
        self.changed.set()

    async def write(self) -> None:
        """Bring the status to Redis without touching its TTL."""
        if self.lost is not None:
            return  # without waiting for a turn: a heartbeat that hangs must not hold up a fenced worker's stop
        async with self._turn:
            if self.lost is None:
                answer = await self._ownership.update(self._status, ttl_seconds=self._ttl)
                if not isinstance(answer, Held):
                    await self._not_held(answer)

    async def beat(self) -> None:
        """One heartbeat: the full status, with what waited for it, and the TTL back to three intervals."""
        async with self._turn:
            if self.lost is not None:
                return
            self._status = self._status.model_copy(update={**self._next_beat, "lastHeartbeat": now_timestamp()})
            self._next_beat.clear()
            sent_at = self._clock()
            answer = await self._ownership.heartbeat(self._status, ttl_seconds=self._ttl)
            if isinstance(answer, Held):
                self._last_good = sent_at
            else:
                await self._not_held(answer)

    async def release(self) -> None:
        """Give the exchange back; nothing is written afterwards."""
        async with self._turn:
            if self.lost is None:
                answer = await self._ownership.release(self._status)
                self.lost = Lost("released")
                if isinstance(answer, Stolen | Legacy):
                    LOG.warning("The exchange was already held by %s", describe_holder(answer.holder))

    def holds(self) -> bool:
        """Whether the exchange is ours at this moment by our own clock: asked before every side effect."""
        if self.lost is None and self._clock() >= self.lease_until:
            self.fence("no heartbeat has succeeded for two intervals, another instance may take the exchange soon")
        return self.lost is None

    def fence(self, reason: str) -> None:
        """Stop being the owner, for good: nothing is written any more, not even by a call that is under way."""
        if self.lost is None:
            self.lost = Lost(reason)
            self.fenced.set()
            self.changed.set()

    async def _not_held(self, answer: Guarded) -> None:
        if isinstance(answer, Missing):
            await self._claim_anew()
        elif isinstance(answer, Stolen | Legacy) and not self._adopt(answer.holder):
            self.fence(f"the exchange is now held by {describe_holder(answer.holder)}")

    async def _claim_anew(self) -> None:
        """The key is gone although our lease still runs: it was deleted, or Redis has lost it."""
        if self._clock() >= self.lease_until:
            self.fence("the key ran out: no heartbeat succeeded in time")
            return
        LOG.warning("The status key is gone from Redis: claiming the exchange anew")
        sent_at = self._clock()
        answer = await self._ownership.claim(self._status, ttl_seconds=self._ttl, epoch_floor=self._status.epoch)
        if isinstance(answer, Claimed):
            self.claimed(answer, sent_at)
            LOG.info("Claimed anew under epoch %d", answer.epoch)
        elif not isinstance(answer, Busy):
            self.fence("the key was gone, and the exchange is being handed to another instance")
        elif not self._adopt(answer.holder):
            self.fence(f"the key was gone, and the exchange is now held by {describe_holder(answer.holder)}")

    def _adopt(self, holder: bytes) -> bool:
        """Whether the holder is this very process under an epoch that it was never told, after a lost reply."""
        found = read_status(holder).status
        if found is None or found.instanceId != self._status.instanceId or (found.epoch or 0) <= self._status.epoch:
            return False
        self._status = self._status.model_copy(update={"epoch": found.epoch})
        self.changed.set()  # the next write goes out under the right epoch
        return True


def describe_holder(holder: bytes) -> str:
    """Who holds an exchange, for people: host, address, since when."""
    reading = read_status(holder)
    status = reading.status
    if status is None:
        return f"a writer whose status cannot be read ({reading.problem})"
    since = (
        f"connected since {status.connectedAt}" if status.connectedAt else f"not connected, {status.connectionState}"
    )
    return f"host {status.hostname} (ip {status.ipAddress or 'unknown'}, {since})"


__all__ = ["Lost", "Registry", "StoreUnavailable", "describe_holder", "fresh_status"]
