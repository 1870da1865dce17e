"""The heartbeat, and the end of the lease when it fails."""

import asyncio
from typing import Final

from activity.instance.console import LOG
from activity.instance.host import boottime
from activity.instance.registry import RETRY_SECONDS, Registry
from activity.store.client import StoreUnavailable

#: How often the lease is looked at: asyncio sleeps on a clock that stands still while the machine is suspended.
LEASE_LOOK_SECONDS: Final = 0.5


async def beat(registry: Registry, interval: float) -> None:
    """Beat every `interval` seconds until the exchange is lost, and write at once what is to be written at once.

    The moments are multiples of the interval from the start: a slow heartbeat does not push the next one back.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    beat_at = start + interval
    failures = 0
    while registry.lost is None:
        if await _changed(registry, beat_at - loop.time()):
            try:
                await registry.write()
            except StoreUnavailable as error:
                LOG.warning("The status could not be written, the next heartbeat carries it: %s", error)
                beat_at = min(beat_at, loop.time() + min(RETRY_SECONDS, interval / 4))
            continue
        try:
            await registry.beat()
        except StoreUnavailable as error:
            failures += 1
            left = registry.lease_until - boottime()
            LOG.warning("Heartbeat failed (%d in a row), the lease ends in %.1f s: %s", failures, left, error)
            beat_at = loop.time() + min(RETRY_SECONDS, interval / 4)
        else:
            if failures:
                LOG.info("The heartbeat is back after %d failures", failures)
            failures = 0
            beat_at = start + interval * (int((loop.time() - start) / interval) + 1)


async def _changed(registry: Registry, seconds: float) -> bool:
    """Whether something is to be written before the next heartbeat."""
    if seconds <= 0:
        return False  # a heartbeat that is due goes first: it carries the change, and alone renews the lease
    try:
        async with asyncio.timeout(seconds):
            await registry.changed.wait()
    except TimeoutError:
        return False
    registry.changed.clear()
    return True


async def guard_lease(registry: Registry) -> None:
    """Fence as soon as the lease has run out, whatever a heartbeat that is under way is waiting for."""
    while registry.lost is None:
        registry.holds()  # fences where the lease has run out; while the key is gone there is no lease to guard
        left = max(0.0, registry.lease_until - boottime()) or LEASE_LOOK_SECONDS
        try:
            async with asyncio.timeout(min(left, LEASE_LOOK_SECONDS)):
                await registry.fenced.wait()
        except TimeoutError:
            continue
