"""Carries the program through the states, and starts it again where that is asked for. Without one: a bare instance."""

import asyncio
import random
from typing import Final

from activity.instance.console import LOG
from activity.instance.exits import ExitCode
from activity.instance.lifecycle import Lifecycle
from activity.instance.logger import ActivityLogger
from activity.instance.options import WorkerConfig
from activity.instance.orders import Orders
from activity.instance.program import Program
from activity.instance.registry import Registry
from activity.instance.run import ProgramRun, RunEnd
from activity.instance.tasks import Tasks
from activity.wire.status import ConnectionState

FIRST_BACKOFF_SECONDS: Final = 1.0
LONGEST_BACKOFF_SECONDS: Final = 60.0
#: A program that was active for this long has recovered: its next failure starts the backoff anew.
RECOVERED_SECONDS: Final = 60.0


class Carrier:
    """The main line of the worker: from idle to the end."""

    def __init__(
        self,
        config: WorkerConfig,
        registry: Registry,
        lifecycle: Lifecycle,
        logger: ActivityLogger,
        tasks: Tasks,
        lock: int,
        orders: Orders,
    ) -> None:
        """`lock` is the descriptor of the exchange's lock on this host."""
        self._orders = orders
        self._wake = asyncio.Event()  # a stop, a rest or a start was asked for
        self._rested = asyncio.Event()
        self._begun = asyncio.Event()
        self._config = config
        self._registry = registry
        self._lifecycle = lifecycle
        self._logger = logger
        self._tasks = tasks
        self._lock = lock
        self._run: ProgramRun | None = None
        self._stop = asyncio.Event()
        self._grace = config.stop_grace

    def stop(self, *, grace: float | None = None) -> None:
        """End the program in order, and then `run`. `grace` shortens the time between SIGTERM and SIGKILL; 0: KILL."""
        self._stop.set()
        self._wake.set()
        if grace is not None:
            self._grace = min(self._grace, grace)
        if self._run is not None:
            self._run.stop(self._grace)

    @property
    def program(self) -> Program | None:
        """The running program, if there is one."""
        return self._run.program if self._run else None

    async def rest(self) -> None:
        """End what runs in order and keep the exchange; returns when nothing runs any more."""
        self._orders.resting = True
        self._wake.set()
        if self._run is not None:
            self._run.stop(self._grace)
        await self._rested.wait()

    async def go(self) -> None:
        """Start again after a rest; returns when it has begun to."""
        self._orders.resting = False
        self._begun.clear()
        self._wake.set()
        await self._begun.wait()

    async def run(self) -> ExitCode:
        """Until a stop is asked for or the program has ended for good. Leaves the instance idle or stopped."""
        if not self._config.program:
            return await self._bare()
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            if await self._rests():
                return ExitCode.STOPPED
            end = await self._once()
            if self._orders.resting and not self._stop.is_set():
                backoff = FIRST_BACKOFF_SECONDS
                continue
            if end.orderly:
                return ExitCode.STOPPED
            if not self._config.restart:
                return ExitCode.PROGRAM_FAILED
            if end.active_seconds >= RECOVERED_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            # Jittered, so that programs which failed together at one remote fault do not return together.
            pause = backoff * random.uniform(0.8, 1.0)  # noqa: S311 (spreads load, keeps no secret)
            LOG.info("Starting the program again in %.1f s", pause)
            if self._lifecycle.state == ConnectionState.STOPPED:
                await self._lifecycle.to(ConnectionState.IDLE)
            if await self._woken_within(pause) and self._stop.is_set():
                return ExitCode.STOPPED
            backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)

    async def _bare(self) -> ExitCode:
        while True:
            if await self._rests() or self._stop.is_set():
                return ExitCode.STOPPED
            for state in (ConnectionState.STARTING, ConnectionState.WARMING, ConnectionState.ACTIVE):
                await self._lifecycle.to(state)
            while not (self._stop.is_set() or self._orders.resting):
                self._wake.clear()
                await self._wake.wait()
            for state in (ConnectionState.STOPPING, ConnectionState.STOPPED):
                await self._lifecycle.to(state)
            if self._stop.is_set():
                return ExitCode.STOPPED

    async def _rests(self) -> bool:
        """Wait while a command wants nothing to run. True where a stop came meanwhile."""
        while self._orders.resting and not self._stop.is_set():
            if self._lifecycle.state == ConnectionState.STOPPED:
                await self._lifecycle.to(ConnectionState.IDLE)
            self._wake.clear()
            self._rested.set()
            await self._wake.wait()
        self._rested.clear()
        self._begun.set()
        return self._orders.resting

    async def _once(self) -> RunEnd:
        if self._stop.is_set() or not self._registry.holds():
            return RunEnd(orderly=True)
        run = ProgramRun(
            self._config, self._registry, self._lifecycle, self._logger, self._tasks, self._lock, self._orders
        )
        self._run = run
        try:
            return await run.carry()
        finally:
            self._run = None

    async def _woken_within(self, seconds: float) -> bool:
        self._wake.clear()
        if self._stop.is_set() or self._orders.resting:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True
