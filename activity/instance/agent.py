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
from activity.instance.inbox import Inbox
from activity.instance.lifecycle import Lifecycle
from activity.instance.logger import ActivityLogger
from activity.instance.obey import Obedience
from activity.instance.options import WorkerConfig
from activity.instance.orders import Orders
from activity.instance.registration import ConflictError, StoppedEarly, pause, register, take_lock
from activity.instance.registry import Registry, fresh_status
from activity.instance.standby import stand_by
from activity.instance.tasks import Tasks
from activity.instance.watchdog import Watchdog
from activity.store.client import AsyncClient, StoreUnavailable, async_client, blocking_client, lease_client
from activity.store.commands import CommandBox
from activity.store.ownership import Ownership
from activity.wire.status import ConnectionState

#: Seconds that entries may take to reach Redis at the end; what does not is put on the worker's own log.
FLUSH_SECONDS: Final = 5.0
#: A stop for the worker's own sake that takes this much longer than the program's grace hangs.
HANG_SECONDS: Final = 10.0
#: Seconds that a command which is being carried out gets to report at the end.
REPORT_GRACE_SECONDS: Final = 2.0
#: How often a worker that took over asks whether its predecessor has stopped.
PREDECESSOR_LOOK_SECONDS: Final = 0.5
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def run_worker(config: WorkerConfig) -> ExitCode:
    """Run one worker until it is asked to stop or cannot go on. Says on its log why it ended."""
    lease = lease_client(config.redis_url)
    stream = async_client(config.redis_url)
    blocking = blocking_client(config.redis_url)
    try:
        return await _Agent(config, lease, stream, blocking).run()
    finally:
        for client in (lease, stream, blocking):
            with suppress(StoreUnavailable, OSError, TimeoutError):  # only a farewell; the connections end with us
                async with asyncio.timeout(1):
                    await client.aclose()


class _Agent:
    def __init__(self, config: WorkerConfig, lease: AsyncClient, stream: AsyncClient, blocking: AsyncClient) -> None:
        self._orders = Orders(config.mode, config.symbols)
        self._config = config
        self._lease = lease
        self._tasks = Tasks()
        self._stop = asyncio.Event()
        self._signals = 0
        self._carrier: Carrier | None = None
        status = fresh_status(config, uuid.uuid4().hex)
        self._registry = Registry(Ownership(lease, config.exchange_id), status)
        self._logger = ActivityLogger(stream, self._registry)
        self._box = CommandBox(stream, blocking, status.instanceId)

    async def run(self) -> ExitCode:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)
        lock: HostLock | None = None
        try:
            if self._config.standby:
                lock = await stand_by(self._config, self._lease, self._registry, self._stop)
            else:
                lock = await take_lock(self._config, self._lease, self._stop)
                await register(self._config, self._lease, self._registry, lock, self._stop)
            return await self._hold(lock)
        except StoppedEarly:
            LOG.info("Stopped before the exchange was registered")
            return ExitCode.STOPPED
        except ConflictError as error:
            LOG.error("%s", error)
            if error.token:
                LOG.info("To take it over from exactly this holder: --take-over %s", error.token)
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
        watchdog = Watchdog(registry)
        watchdog.start()
        try:
            heart = tasks.start("heartbeat", beat(registry, config.heartbeat_seconds), may_end=True)
            tasks.start("lease-guard", guard_lease(registry), may_end=True)
            tasks.start("activity-log", self._logger.run())
            urgent = asyncio.Event()
            obedience = Obedience(
                *(config, registry, lifecycle, self._logger, self._orders),
                *(Ownership(self._lease, config.exchange_id), lambda: self._carrier, urgent),
            )
            inbox = Inbox(self._box, obedience.obey, urgent)
            tasks.start("command-inbox", inbox.read())
            tasks.start("commands", inbox.work())
            tasks.start("public-address", self._find_address(), may_end=True)
            if not config.program:
                tasks.start("claim-anew", self._claim_anew_at_once(), may_end=True)
            if config.admin_email:
                registry.set_admin(config.admin_email, config.admin_display_name)
                self._logger.set_admin_email(config.admin_email)
            if config.symbols:
                registry.set_symbol_count(len(config.symbols))
            await self._wait_for_predecessor()
            code = await self._tenures(lifecycle, lock)
            await inbox.drain(REPORT_GRACE_SECONDS)
            await self._leave(lifecycle, heart)
        finally:
            watchdog.close()
        return code

    async def _wait_for_predecessor(self) -> None:
        """After a takeover: until the old owner has said that it stopped, or can no longer be at work."""
        registry = self._registry
        with suppress(StoppedEarly):
            while registry.lost is None and boottime() < registry.work_from:
                await pause(self._stop, min(PREDECESSOR_LOOK_SECONDS, max(0.0, registry.work_from - boottime())))
                with suppress(StoreUnavailable):  # the heartbeat says so; without an answer the time has to run out
                    if await registry.predecessor_stopped():
                        LOG.info("The old owner has stopped")
                        return

    async def _claim_anew_at_once(self) -> None:
        """Without a program there is no work that has to end first."""
        while self._registry.lost is None:
            await self._registry.vanished.wait()
            await self._registry.claim_anew()

    async def _tenures(self, lifecycle: Lifecycle, lock: HostLock) -> ExitCode:
        """The main line, once per epoch: where the key vanished, the program is stopped and started again."""
        while True:
            self._carrier = carrier = Carrier(
                self._config, self._registry, lifecycle, self._logger, self._tasks, lock.descriptor, self._orders
            )
            if self._stop.is_set():
                carrier.stop()
            code = await self._carry(carrier)
            if code is not None:
                return code
            claiming = self._tasks.start("claim-anew", self._registry.claim_anew(), may_end=True)
            stopping = asyncio.create_task(self._stop.wait(), name="stop")
            await asyncio.wait({claiming, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await self._tasks.cancel(claiming, stopping)
            if self._registry.vanished.is_set() or self._registry.lost is not None:
                return ExitCode.STOPPED if self._stop.is_set() else ExitCode.OWNERSHIP_LOST
            if lifecycle.may(ConnectionState.IDLE):
                await lifecycle.to(ConnectionState.IDLE)

    async def _carry(self, carrier: Carrier) -> ExitCode | None:
        """The main line to its end, whatever brings the end about. None: the key vanished, and work has ended."""
        registry = self._registry
        fence, failure = registry.fenced, self._tasks.failure
        main = asyncio.create_task(carrier.run(), name="carrier")
        asked = asyncio.create_task(registry.asked.wait(), name="handover")
        watched: set[asyncio.Future[Any]] = {asyncio.create_task(fence.wait(), name="fence"), failure, asked}
        vanished = asyncio.create_task(registry.vanished.wait(), name="vanished") if self._config.program else None
        if vanished is not None:
            watched.add(vanished)
        forced: ExitCode | None = None
        hangs_at: float | None = None
        anew = False
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
            elif vanished in done:
                anew = True
                hangs_at = await self._stop_vanished(carrier)
            elif asked in done:
                LOG.info("Asked to hand the exchange to the standby %s: stopping", registry.hand_to)
                carrier.stop()
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
        if forced is None and not registry.holds() and registry.lost is not None:
            forced = ExitCode.OWNERSHIP_LOST  # the program ended first, by its guard or with the lease
        if forced is None and anew and not self._stop.is_set() and code == ExitCode.STOPPED:
            return None
        return code if forced is None else forced

    async def _stop_vanished(self, carrier: Carrier) -> float:
        """The key is gone, so this epoch is over: work ends before the next one begins."""
        LOG.warning("The program is stopped, and starts again under the next epoch")
        grace = min(self._config.stop_grace, max(0.0, self._registry.gone_by - boottime()))
        carrier.stop(grace=grace)
        return boottime() + grace + HANG_SECONDS

    async def _stop_fenced(self, carrier: Carrier) -> float:
        """Begin the stop: the program is gone before another instance starts work. When it hangs, if it is not over."""
        registry = self._registry
        reason = registry.lost.reason if registry.lost else ""
        LOG.error("Fenced: %s. The worker stops", reason)
        grace = min(self._config.stop_grace, max(0.0, registry.gone_by - boottime()))
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
            async with asyncio.timeout(1):
                await self._logger.record_error(text)
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
        if registry.lost is not None and not registry.lost.displaced:
            return  # Redis was away for too long: it is not asked any more
        if registry.lost is not None:
            with suppress(StoreUnavailable, TimeoutError):  # a courtesy: the successor waits for the TTL otherwise
                async with asyncio.timeout(2):
                    await registry.release()
            return
        try:
            await registry.release()
        except StoreUnavailable as error:
            left = max(0.0, registry.vacant_at - boottime())
            LOG.warning("The exchange could not be released, its key runs out in %.0f s: %s", left, error)
        else:
            to = f" to the standby {registry.hand_to}" if registry.hand_to else ""
            LOG.info("Released %s%s", self._config.exchange_name, to)

    async def _find_address(self) -> None:
        ip = await find_ip(self._config.ip_lookup_urls)
        if ip is None:
            return
        self._logger.set_ip(ip)
        self._registry.set_address(ip, None)
        country = await find_country(self._config.country_lookup_url, ip) if self._config.country_lookup_url else None
        self._registry.set_address(ip, country)
        LOG.info("Public IP %s, country %s", ip, country or "unknown")
