"""A standby: it waits for an exchange without holding it, visibly, and becomes its owner when it is free.

It looks at the status key about once a second, each standby at moments of its own, and claims when the key is gone. The
claim's script lets exactly one win, and keeps to handovers and to the time that a displaced owner still has.
"""

import asyncio
import random
from typing import Final

from activity.instance import VERSION
from activity.instance.console import LOG
from activity.instance.host import HostLock, LockTaken, boottime
from activity.instance.options import WorkerConfig
from activity.instance.registration import pause
from activity.instance.registry import Registry
from activity.store.client import AsyncClient, StoreUnavailable
from activity.store.holder import read_holder
from activity.store.ownership import Busy, Claimed, Delayed, Handed, Ownership
from activity.store.standby import beat_standby, remove_standby
from activity.wire.clock import now_timestamp
from activity.wire.standby import StandbyStatus
from activity.wire.status import read_status, ttl_seconds

#: Longest pause between two looks, or a quarter of an interval where that is shorter.
LOOK_SECONDS: Final = 1.0


async def stand_by(config: WorkerConfig, lease: AsyncClient, registry: Registry, stop: asyncio.Event) -> HostLock:
    """Wait until the exchange is ours: claimed, with the lock of this host. Raises StoppedEarly, HostError."""
    standby = _Standby(config, lease, registry)
    LOG.info("Standby of %s (id %d) as instance %s", config.exchange_name, config.exchange_id, standby.instance_id)
    try:
        while True:
            lock = await standby.look()
            if lock is not None:
                return lock
            await pause(stop, standby.until_next_look())
    finally:
        await standby.leave()


class _Standby:
    def __init__(self, config: WorkerConfig, lease: AsyncClient, registry: Registry) -> None:
        self._config = config
        self._lease = lease
        self._registry = registry
        self._ownership = Ownership(lease, config.exchange_id)
        self._since = now_timestamp()
        self._beat_at = 0.0
        self._free_at = 0.0
        self._held_until = 0.0
        self._said = ""

    @property
    def instance_id(self) -> str:
        return self._registry.status.instanceId

    def until_next_look(self) -> float:
        """Seconds. Standbys that were started together do not look together."""
        longest = min(LOOK_SECONDS, self._config.heartbeat_seconds / 4)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, keeps no secret)

    async def look(self) -> HostLock | None:
        """Beat where it is time, look at the key, claim where it is gone. The lock, once the exchange is ours."""
        try:
            if boottime() >= self._beat_at:
                await beat_standby(self._lease, self._status())
                self._beat_at = boottime() + self._config.heartbeat_seconds
            looked_at = boottime()
            busy = await read_holder(self._lease, self._config.exchange_id)
            if busy is not None and not self._is_ours(busy):
                self._held_until = looked_at + max(0, busy.ttl_ms) / 1000
            else:
                if busy is None:
                    self._free_at = looked_at
                    if await self._went_early(looked_at):
                        return None
                return await self._try()
            holder = read_status(busy.holder).status
            self._say(f"waiting, held by instance {holder.instanceId if holder else 'whose status cannot be read'}")
        except StoreUnavailable as error:
            self._say(f"Redis cannot be asked, trying again: {error}")
        return None

    async def _went_early(self, now: float) -> bool:
        """Whether the key went before the time that it was seen to have, without a release.

        A Redis that has forgotten everything (FLUSHALL, a restart without AOF) forgets the owner's time too. The owner
        still works, and will claim anew: the standby remembers.
        """
        if now >= self._held_until or (await self._ownership.record()).state == "released":
            return False
        self._say("the key went before its time: its owner may still be at work")
        return True

    def _is_ours(self, busy: Busy) -> bool:
        """Whether a claim of ours has succeeded whose reply was lost."""
        holder = read_status(busy.holder).status
        return holder is not None and holder.instanceId == self.instance_id

    async def _try(self) -> HostLock | None:
        try:
            lock = HostLock.acquire(self._config.redis_url, self._config.hostname, self._config.exchange_id)
        except LockTaken as taken:
            self._say(f"the exchange is free, but on this host it is {taken}")
            return None
        ours = False
        try:
            ours = await self._claim(lock)
        finally:
            if not ours:
                lock.close()
        return lock if ours else None

    async def _claim(self, lock: HostLock) -> bool:
        config, registry = self._config, self._registry
        registry.begin()
        sent_at = boottime()
        answer = await self._ownership.claim(
            registry.status, ttl_seconds=ttl_seconds(config.heartbeat_seconds), gone=lock.previous or ""
        )
        match answer:
            case Claimed():
                registry.claimed(answer, sent_at)
            case Busy() if self._is_ours(answer):
                # By an earlier call whose reply was lost. It came after the last look that found no key.
                found = read_status(answer.holder).status
                registry.claimed(Claimed((found and found.epoch) or 0, answer.holder), self._free_at)
            case Handed():
                self._say(f"the exchange is being handed to another standby, {answer.to}")
            case Delayed():
                self._say(f"the exchange is free, but instance {answer.owner} may still be at work: waiting")
            case Busy():
                self._say("another instance was faster")
        if registry.status.epoch == 0:
            return False
        lock.record(registry.status.instanceId)
        return True

    async def leave(self) -> None:
        """Be no standby any more: it has become the owner, or ends."""
        try:
            await remove_standby(self._lease, self._config.exchange_id, self.instance_id)
        except StoreUnavailable as error:
            LOG.warning("It is shown as a standby until its time runs out: %s", error)

    def _status(self) -> StandbyStatus:
        status = self._registry.status
        return StandbyStatus(
            exchangeId=status.exchangeId,
            exchangeName=status.exchangeName,
            instanceId=status.instanceId,
            hostname=status.hostname,
            pid=status.pid,
            version=VERSION,
            mode=status.mode,
            registeredAt=self._since,
            lastHeartbeat=now_timestamp(),
            heartbeatSeconds=status.heartbeatSeconds,
        )

    def _say(self, text: str) -> None:
        if text != self._said:  # once per change, not once per look
            self._said = text
            LOG.info("Standby of %s: %s", self._config.exchange_name, text)


__all__ = ["stand_by"]
