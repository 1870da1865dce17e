"""Commands to this instance: read, taken at most once, carried out one after the other, reported.

A command is taken in Redis before it is carried out (store/commands.py): after a crash in between it is never carried
out again, and whoever sent it is told that the instance ended before it reported.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from activity.instance.console import LOG
from activity.instance.redaction import redact
from activity.store.client import StoreUnavailable
from activity.store.commands import CommandBox, Delivery
from activity.wire.commands import REPORT_CHARS, URGENT, InstanceCommand, read_command

#: Seconds between two tries while Redis is away.
RETRY_SECONDS: Final = 1.0
#: A report that could not be written is tried again for this long; then the sender is told that none came.
REPORT_SECONDS: Final = 60.0
#: Commands that were read and not yet carried out. Beyond it no more are read; what waits in Redis expires there.
MOST_READ: Final = 200


class CannotObey(Exception):
    """The command makes no sense now, or cannot be carried out. The message is the sender's."""


def _is_urgent(delivery: Delivery) -> bool:
    return delivery.fields.get("type") in URGENT


Obey = Callable[[InstanceCommand], Awaitable[str]]


class Inbox:
    """`read` and `work` are the two tasks of it; the agent owns and watches them.

    `urgent` is set while a stop or pause waits, which may be in the middle of another command.
    """

    def __init__(self, box: CommandBox, obey: Obey, urgent: asyncio.Event | None = None) -> None:
        self._box = box
        self._obey = obey
        self._urgent = urgent or asyncio.Event()
        self._waiting: list[Delivery] = []
        self._came = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._free = asyncio.Event()  # no command is being carried out
        self._free.set()

    async def read(self) -> None:
        """Read on as long as the instance lives."""
        away = False
        while True:
            await self._room.wait()
            try:
                found = await self._box.wait()
            except StoreUnavailable as error:
                if not away:
                    LOG.warning("Commands cannot be read: %s", error)
                away = True
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if away:
                LOG.info("Commands are read again")
                away = False
            self._waiting += found
            if any(map(_is_urgent, found)):
                self._urgent.set()
            if found:
                self._came.set()
            if len(self._waiting) >= MOST_READ:
                self._room.clear()

    async def work(self) -> None:
        """Carry out what was read: stop and pause before everything else that waits."""
        while True:
            while not self._waiting:
                self._came.clear()
                await self._came.wait()
            position = next((at for at, one in enumerate(self._waiting) if _is_urgent(one)), 0)
            delivery = self._waiting.pop(position)
            if not any(map(_is_urgent, self._waiting)):
                self._urgent.clear()
            self._room.set()
            self._free.clear()
            try:
                await self._carry_out(delivery)
            finally:
                self._free.set()

    async def _carry_out(self, delivery: Delivery) -> None:
        correlation = delivery.fields.get("correlationId", "")
        kind = delivery.fields.get("type", "")
        taken = await self._take(delivery, kind)
        if taken != "YOURS":
            LOG.info("Command %s (%s) is not carried out: %s", kind, correlation, taken.lower())
            return
        progress: Literal["succeeded", "failed"] = "failed"
        try:
            command = read_command(delivery.fields)
            LOG.info("Command %s of %s", command.type, command.issuedBy)
            text = await self._obey(command)
            progress = "succeeded"
        except (CannotObey, ValueError) as error:
            text = str(error)
            LOG.warning("Command %s failed: %s", kind, text)
        except Exception as error:
            LOG.exception("Command %s failed", kind)
            text = f"a fault in the worker: {error!r}"
        await self._report(correlation, progress, redact(text)[:REPORT_CHARS])

    async def _take(self, delivery: Delivery, kind: str) -> str:
        """Ask until Redis answers: a command whose taking was never heard of would have no end."""
        while True:
            try:
                return await self._box.take(delivery)
            except StoreUnavailable as error:
                LOG.warning("Command %s could not be taken, trying again: %s", kind, error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _report(self, correlation: str, progress: Literal["succeeded", "failed"], text: str) -> None:
        try:
            async with asyncio.timeout(REPORT_SECONDS):
                while True:
                    try:
                        await self._box.report(correlation, progress, text)
                        return
                    except StoreUnavailable as error:
                        LOG.warning("A command's end cannot be reported, trying again: %s", error)
                        await asyncio.sleep(RETRY_SECONDS)
        except TimeoutError:
            LOG.error("Never reported: the command %s has %s: %s", correlation, progress, text)

    async def drain(self, seconds: float) -> None:
        """At the end: let the command that is being carried out be reported."""
        try:
            async with asyncio.timeout(seconds):
                await self._free.wait()
        except TimeoutError:
            LOG.warning("A command is still being carried out while the worker ends")
