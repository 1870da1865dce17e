"""Getting hold of an exchange at the start (contract, section 1: register)."""

import asyncio
from typing import Final

from activity.instance.console import LOG
from activity.instance.host import HostLock, LockTaken, boottime
from activity.instance.options import WorkerConfig
from activity.instance.registry import Registry, describe_holder
from activity.store.client import AsyncClient
from activity.store.holder import read_holder
from activity.store.ownership import Busy, Claimed, Conflict, Delayed, Handed, Ownership, Vacant
from activity.wire.status import ReadStatus, read_status, ttl_seconds

_LOOK_SECONDS: Final = 0.25
#: Beyond one interval, a holder that is alive may be this late with its heartbeat.
_LATE_SECONDS: Final = 3.0
#: Seconds beyond a program's stop grace after which its guard must have let go of the lock.
_GUARD_SECONDS: Final = 5.0
#: A holder that changed this often while we tried to replace it is alive.
_ATTEMPTS: Final = 5


class ConflictError(Exception):
    """Another instance holds the exchange. The message names its host, address, since when, and the TTL left.

    `token` is what a takeover of exactly this holder carries, '' where there is nothing to take over.
    """

    def __init__(self, text: str, token: str = "") -> None:
        super().__init__(text)
        self.token = token


class StoppedEarly(Exception):
    """A stop was asked for while the exchange was still being waited for."""


def conflict(exchange_name: str, busy: Busy, remark: str = "", token: str = "") -> ConflictError:
    """The refusal that names the holder."""
    left = f"{busy.ttl_ms / 1000:.0f} s of its TTL left" if busy.ttl_ms >= 0 else "its key has no TTL"
    return ConflictError(f"{exchange_name} is held by {describe_holder(busy.holder)}, {left}{remark}", token)


async def take_lock(config: WorkerConfig, lease: AsyncClient, stop: asyncio.Event) -> HostLock:
    """The exchange's lock on this host. Waits only for the program of a worker that is gone, which is being ended.

    Raises ConflictError where a live worker has it, and HostError.
    """
    deadline = boottime() + max(config.stop_grace, config.heartbeat_seconds) + _GUARD_SECONDS
    said = False
    while True:
        try:
            return HostLock.acquire(config.redis_url, config.hostname, config.exchange_id)
        except LockTaken as taken:
            if taken.pid is not None or boottime() > deadline:
                raise await _locked(config, lease, taken) from None
        if not said:
            LOG.info("The program of the previous worker of %s is still ending: waiting for it", config.exchange_name)
            said = True
        await pause(stop)


async def _locked(config: WorkerConfig, lease: AsyncClient, taken: LockTaken) -> ConflictError:
    remark = f"on this host it is {taken}"
    busy = await read_holder(lease, config.exchange_id)
    if busy is None:
        return ConflictError(f"{config.exchange_name} has no status in Redis at this moment, but {remark}")
    return conflict(config.exchange_name, busy, f"; {remark}")


async def register(
    config: WorkerConfig, lease: AsyncClient, registry: Registry, lock: HostLock, stop: asyncio.Event
) -> None:
    """Claim the exchange. Raises ConflictError, StoreUnavailable, or StoppedEarly when `stop` is set meanwhile."""
    if config.take_over and await _taken_over(config, registry, lock):
        return
    ownership = Ownership(lease, config.exchange_id)
    ttl = ttl_seconds(config.heartbeat_seconds)
    replace: bytes | None = None
    attempts = 0
    said = ""
    while True:
        sent_at = boottime()
        answer = await ownership.claim(registry.status, ttl_seconds=ttl, replace=replace, gone=lock.previous or "")
        if isinstance(answer, Claimed):
            registry.claimed(answer, sent_at)
            lock.record(registry.status.instanceId)
            return
        if isinstance(answer, Handed):
            left = f"for another {answer.wait_ms / 1000:.0f} s"
            raise ConflictError(f"{config.exchange_name} is being handed to the standby {answer.to}, {left}")
        if isinstance(answer, Delayed):
            if said != answer.owner:
                LOG.info(
                    "%s is free, but instance %s may still be at work for %.0f s: waiting",
                    *(config.exchange_name, answer.owner, answer.wait_ms / 1000),
                )
                said = answer.owner
            await pause(stop)
            continue
        holder = read_status(answer.holder).status
        attempts += 1
        if attempts > _ATTEMPTS:
            raise conflict(config.exchange_name, answer, "; it writes while we look, so it is alive")
        if holder is None or holder.hostname != config.hostname:
            raise conflict(config.exchange_name, answer, token=await ownership.identify(answer.holder))
        if holder.instanceId is not None and holder.instanceId != lock.previous:
            await _watch(config, lease, answer, holder, stop)
        LOG.info("Reclaiming %s from the previous process of this host", config.exchange_name)
        replace = answer.holder  # exactly this value: whoever writes meanwhile is alive, and is looked at again


async def _taken_over(config: WorkerConfig, registry: Registry, lock: HostLock) -> bool:
    """Whether the exchange was taken from the holder that was named; False where nobody holds it any more."""
    answer = await registry.take_over(config.take_over)
    if isinstance(answer, Vacant):
        return False
    if isinstance(answer, Conflict):
        busy = Busy(answer.holder, answer.ttl_ms)
        raise conflict(config.exchange_name, busy, "; it is not the one that was to be taken over", answer.token)
    lock.record(registry.status.instanceId)
    seconds = answer.delay_ms / 1000
    if answer.enforceable:
        LOG.info("Taken over: work starts when the old owner has stopped, in %.0f s at the latest", seconds)
    else:
        LOG.warning(
            "Taken over from a writer that heeds no epochs: it is not stopped by this, and may write over us. "
            "Work starts in %.0f s",
            seconds,
        )
    return True


async def _watch(config: WorkerConfig, lease: AsyncClient, busy: Busy, holder: ReadStatus, stop: asyncio.Event) -> None:
    """Return when a holder with our host name, of which this machine knows nothing, has been silent for its interval.

    Host names repeat across containers, so the name alone does not make it our predecessor. One that beats is alive.
    """
    seconds = holder.interval + _LATE_SECONDS
    LOG.info(
        "%s is held under this host's name by an instance that this machine has not started: watching for %.0f s "
        "whether it is alive",
        config.exchange_name,
        seconds,
    )
    deadline = boottime() + seconds
    while boottime() < deadline:
        await pause(stop)
        seen = await read_holder(lease, config.exchange_id)
        if seen is None:
            return
        if seen.holder != busy.holder:
            raise conflict(config.exchange_name, seen, "; it carries this host's name and is alive")


async def pause(stop: asyncio.Event, seconds: float = _LOOK_SECONDS) -> None:
    """Sleep. Raises StoppedEarly as soon as a stop is asked for."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
    raise StoppedEarly
