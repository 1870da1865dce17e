"""An instance without an exchange: it waits in a pool of its own, visibly, until somebody assigns it one.

It has no registry and writes no status: there is no exchange 0. What it is assigned starts as a worker with a registry
of its own.
"""

import asyncio
import os
import signal
import uuid
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from activity.instance import VERSION
from activity.instance.console import LOG
from activity.instance.inbox import CannotObey, Inbox
from activity.instance.options import WorkerConfig
from activity.instance.tasks import Tasks
from activity.store.client import StoreUnavailable, async_client, blocking_client
from activity.store.commands import CommandBox, beat_idle, leave_idle
from activity.wire.clock import now_timestamp
from activity.wire.commands import Assignment, CommandType, IdleStatus, InstanceCommand

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: Seconds for what is said at the end.
_FAREWELL_SECONDS: Final = 2.0


async def wait_for_exchange(config: WorkerConfig) -> WorkerConfig | None:
    """The configuration with the exchange that was assigned; None when a stop was asked for first."""
    return await _Idle(config).run()


class _Idle:
    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._instance_id = uuid.uuid4().hex
        self._since = now_timestamp()
        self._client = async_client(config.redis_url)
        self._blocking = blocking_client(config.redis_url)
        self._assigned: asyncio.Future[Assignment | None] = asyncio.get_running_loop().create_future()

    async def run(self) -> WorkerConfig | None:
        loop = asyncio.get_running_loop()
        tasks = Tasks()
        inbox = Inbox(CommandBox(self._client, self._blocking, self._instance_id), self._obey)
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop)
        LOG.info("Idle on host %s as instance %s: waiting for an exchange", self._config.hostname, self._instance_id)
        try:
            tasks.start("idle-heartbeat", self._beat())
            tasks.start("command-inbox", inbox.read())
            tasks.start("commands", inbox.work())
            ends: set[asyncio.Future[Any]] = {self._assigned, tasks.failure}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if tasks.failure.done():
                failure = tasks.failure.result()
                raise RuntimeError(f"task {failure.name} died") from failure.error
            await inbox.drain(_FAREWELL_SECONDS)
            assigned = self._assigned.result()
        finally:
            await tasks.cancel()
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
            await self._leave()
        if assigned is None:
            return None
        return replace(
            self._config,
            exchange_id=assigned.exchangeId,
            exchange_name=assigned.exchangeName,
            mode=assigned.mode or self._config.mode,
            symbols=assigned.symbols or self._config.symbols,
            admin_email=assigned.email or self._config.admin_email,
            admin_display_name=assigned.displayName or self._config.admin_display_name,
        )

    def _stop(self) -> None:
        if not self._assigned.done():
            self._assigned.set_result(None)

    async def _beat(self) -> None:
        interval = self._config.heartbeat_seconds
        while True:
            try:
                await beat_idle(self._client, self._status())
            except StoreUnavailable as error:
                LOG.warning("The pool of idle instances could not be written: %s", error)
                await asyncio.sleep(interval / 4)
            else:
                await asyncio.sleep(interval)

    def _status(self) -> IdleStatus:
        return IdleStatus(
            instanceId=self._instance_id,
            hostname=self._config.hostname,
            pid=os.getpid(),
            version=VERSION,
            program=Path(self._config.program[0]).name if self._config.program else "",
            registeredAt=self._since,
            lastHeartbeat=now_timestamp(),
            heartbeatSeconds=self._config.heartbeat_seconds,
        )

    async def _obey(self, command: InstanceCommand) -> str:
        if command.type != CommandType.START:
            raise CannotObey(f"this instance has no exchange yet: {command.type} means nothing to it")
        assignment: Assignment = command.read_payload(Assignment)
        if self._assigned.done():
            raise CannotObey("it has been assigned an exchange already, or ends")
        self._assigned.set_result(assignment)
        return f"starts as the instance of {assignment.exchangeName}"

    async def _leave(self) -> None:
        with suppress(StoreUnavailable, OSError, TimeoutError):  # its time in the pool runs out by itself
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await leave_idle(self._client, self._instance_id)
        for client in (self._client, self._blocking):
            with suppress(StoreUnavailable, OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await client.aclose()
