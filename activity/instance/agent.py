"""The worker as a whole: it holds one exchange, beats, carries the program, and ends in an order that loses nothing."""

import asyncio
import signal
import uuid
from contextlib import suppress
from typing import Any, Final

from activity.instance.address import find_country, find_ip
from activity.instance.carrier import Carrier
from activity.instance.console import LOG
from activity.instance.exits import ExitCode
from activity.instance.heartbeat import beat, guard_lease
from activity.instance.host import HostError, HostLock, boottime
from activity.instance.lifecycle import Lifecycle
from activity.instance.logger import ActivityLogger
from activity.instance.options import WorkerConfig
from activity.instance.registration import ConflictError, StoppedEarly, register, take_lock
from activity.instance.registry import Registry, fresh_status
from activity.instance.tasks import Tasks
from activity.store.client import AsyncClient, StoreUnavailable, async_client, lease_client
from activity.store.ownership import Ownership
from activity.wire.status import ConnectionState

#: Seconds that entries may take to reach Redis at the end; what does not is put on the worker's own log.
FLUSH_SECONDS: Final = 5.0
#: A stop for the worker's own sake that takes this much longer than the program's grace hangs.
HANG_SECONDS: Final = 10.0
#: A program whose exchange is lost is gone this long before another instance may start work on it.
MARGIN_SECONDS: Final = 1.0
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def run_worker(config: WorkerConfig) -> ExitCode:
    """Run one worker until it is asked to stop or cannot go on. Says on its log why it ended."""
    lease = lease_client(config.redis_url)
    stream = async_client(config.redis_url)
    try:
        return await _Agent(config, lease, stream).run()
    finally:
        for client in (lease, stream):
            with suppress(StoreUnavailable, OSError, TimeoutError):  # only a farewell; the connections end with us
                await asyncio.wait_for(client.aclose(), 1)


class _Agent:
    def __init__(self, config: WorkerConfig, lease: AsyncClient, stream: AsyncClient) -> None:
        self._config = config
        self._lease = lease
        self._tasks = Tasks()
        self._stop = asyncio.Event()
        self._signals = 0
        self._carrier: Carrier | None = None
        status = fresh_status(config, uuid.uuid4().hex)
        self._registry = Registry(Ownership(lease, config.exchange_id), status)
        self._logger = ActivityLogger(stream, self._registry)

    async def run(self) -> ExitCode:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)
        lock: HostLock | None = None
        try:
            lock = await take_lock(self._config, self._lease, self._stop)
            await register(self._config, self._lease, self._registry, lock, self._stop)
            return await self._hold(lock)
        except StoppedEarly:
            LOG.info("Stopped before the exchange was registered")
            return ExitCode.STOPPED
        except ConflictError as error:
            LOG.error("%s", error)
            return ExitCode.CONFLICT
        except HostError as error:
            LOG.error("%s", error)
            return ExitCode.USAGE
        except StoreUnavailable as error:
            LOG.error("The exchange could not be registered: %s", error)
            return ExitCode.REDIS_UNREACHABLE
        except Exception:
            LOG.exception("Fault in the worker: it stops")
            return ExitCode.INTERNAL_ERROR
        finally:
            if lock is not None:
                lock.close()
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _signalled(self, number: int) -> None:
        self._signals += 1
        name = signal.Signals(number).name
        if self._signals == 1:
            LOG.info("%s: stopping", name)
        else:
            LOG.warning("%s again: the program is killed", name)
        self._stop.set()
        if self._carrier is not None:
            self._carrier.stop(grace=None if self._signals == 1 else 0)

    async def _hold(self, lock: HostLock) -> ExitCode:
        """From the claim to the release."""
        config, registry, tasks = self._config, self._registry, self._tasks
        LOG.info(
            "Registered %s (id %d) as instance %s, epoch %d",
            *(config.exchange_name, config.exchange_id, registry.status.instanceId, registry.status.epoch),
        )
        lifecycle = Lifecycle(registry, self._logger)
        heart = tasks.start("heartbeat", beat(registry, config.heartbeat_seconds), may_end=True)
        tasks.start("lease-guard", guard_lease(registry), may_end=True)
        tasks.start("activity-log", self._logger.run())
        tasks.start("public-address", self._find_address(), may_end=True)
        if config.admin_email:
            registry.set_admin(config.admin_email, config.admin_display_name)
            self._logger.set_admin_email(config.admin_email)
        if config.symbols:
            registry.set_symbol_count(len(config.symbols))
        self._carrier = Carrier(config, registry, lifecycle, self._logger, tasks, lock.descriptor)
        if self._stop.is_set():
            self._carrier.stop()
        code = await self._carry(self._carrier)
        await self._leave(lifecycle, heart)
        return code

    async def _carry(self, carrier: Carrier) -> ExitCode:
        """The main line to its end, whatever brings the end about."""
        fence, failure = self._registry.fenced, self._tasks.failure
        main = asyncio.create_task(carrier.run(), name="carrier")
        watched: set[asyncio.Future[Any]] = {asyncio.create_task(fence.wait(), name="fence"), failure}
        forced: ExitCode | None = None
        hangs_at: float | None = None
        while not main.done():
            left = None if hangs_at is None else max(0.0, hangs_at - boottime())
            done, _ = await asyncio.wait({main, *watched}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            watched -= done
            if fence.is_set() and forced != ExitCode.OWNERSHIP_LOST:
                forced = ExitCode.OWNERSHIP_LOST
                hangs_at = await self._stop_fenced(carrier)
            elif failure in done:
                forced = forced or ExitCode.INTERNAL_ERROR
                hangs_at = await self._stop_failed(carrier)
            elif not done:
                LOG.error("The orderly stop hangs: the program is killed")
                await self._tasks.cancel(main)
        for future in watched - {failure}:
            future.cancel()
        try:
            code = main.result()
        except asyncio.CancelledError:
            code = ExitCode.INTERNAL_ERROR
        except Exception as error:
            LOG.exception("Fault in the worker: it stops")
            await self._note(f"Fault in the worker: {error!r}")
            code = ExitCode.INTERNAL_ERROR
        return code if forced is None else forced

    async def _stop_fenced(self, carrier: Carrier) -> float:
        """Begin the stop: the program is gone before another instance starts work. When it hangs, if it is not over."""
        registry = self._registry
        reason = registry.lost.reason if registry.lost else ""
        LOG.error("Fenced: %s. The worker stops", reason)
        grace = min(self._config.stop_grace, max(0.0, registry.vacant_at - MARGIN_SECONDS - boottime()))
        carrier.stop(grace=grace)
        await self._note(f"Fenced: {reason}")
        return boottime() + grace + HANG_SECONDS

    async def _stop_failed(self, carrier: Carrier) -> float:
        failure = self._tasks.failure.result()
        LOG.error("Task %s died: the worker stops", failure.name, exc_info=failure.error)
        carrier.stop()
        await self._note(f"Fault in the worker: task {failure.name} died: {failure.error!r}")
        return boottime() + self._config.stop_grace + HANG_SECONDS

    async def _note(self, text: str) -> None:
        """An error entry, where there is room for one."""
        try:
            await asyncio.wait_for(self._logger.record_error(text), 1)
        except TimeoutError:
            LOG.error("Not written to the activity, its queue is full: %s", text)

    async def _leave(self, lifecycle: Lifecycle, heart: asyncio.Task[None]) -> None:
        """Rest, write what waits, give the exchange back. The heartbeat goes on until the very end."""
        registry = self._registry
        for state in (ConnectionState.STOPPING, ConnectionState.STOPPED):
            if lifecycle.may(state):  # only after a fault: an orderly end is already at rest
                await lifecycle.to(state)
        unwritten = await self._logger.flush(FLUSH_SECONDS)
        await self._tasks.cancel(heart)
        await self._tasks.cancel()
        if unwritten:
            LOG.error("%d entries could not be written within %.0f s", unwritten, FLUSH_SECONDS)
            self._logger.say_unwritten()
        if registry.lost is not None:
            return  # never touch the key of an exchange that is lost
        try:
            await registry.release()
        except StoreUnavailable as error:
            left = max(0.0, registry.vacant_at - boottime())
            LOG.warning("The exchange could not be released, its key runs out in %.0f s: %s", left, error)
        else:
            LOG.info("Released %s", self._config.exchange_name)

    async def _find_address(self) -> None:
        ip = await find_ip(self._config.ip_lookup_urls)
        if ip is None:
            return
        self._logger.set_ip(ip)
        self._registry.set_address(ip, None)
        country = await find_country(self._config.country_lookup_url, ip) if self._config.country_lookup_url else None
        self._registry.set_address(ip, country)
        LOG.info("Public IP %s, country %s", ip, country or "unknown")
