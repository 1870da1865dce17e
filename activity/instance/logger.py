"""The activity logger: transitions and errors, each exactly once and in order, whatever Redis does meanwhile."""

import asyncio
import json
from typing import Final

from activity.instance.console import LOG
from activity.instance.redaction import redact
from activity.instance.registry import Registry
from activity.store.client import AsyncClient, StoreUnavailable
from activity.store.once import append_once
from activity.store.stream import last_generated_id
from activity.wire.clock import now_timestamp
from activity.wire.entries import EntryId, ErrorEntry, StateTransition
from activity.wire.status import ConnectionState

#: Entries that wait for Redis. When it is full the producer waits too (backpressure up to the program's own output).
#: Without Redis the lease ends after 30 s and the worker stops its program, so this holds 300 entries a second.
QUEUE_ENTRIES: Final = 10_000
FIRST_RETRY_SECONDS: Final = 0.2
LONGEST_RETRY_SECONDS: Final = 5.0
#: While Redis is away, the worker's own log says so once in this many attempts (about a minute apart).
SAY_EVERY: Final = 12


class ActivityLogger:
    """Writes one exchange's stream. `run` is the task that does; the other methods only queue what happened."""

    def __init__(self, client: AsyncClient, registry: Registry) -> None:
        """`client` is not the lease client: an append never stands before a heartbeat."""
        self._client = client
        self._registry = registry
        self._queue: asyncio.Queue[tuple[str, dict[str, str]]] = asyncio.Queue(QUEUE_ENTRIES)
        self._count = 0
        self._ip = ""
        self._admin_email = ""
        #: correlationId of the command that the transitions to come are owed to; empty: no command's.
        self.cause = ""
        self._after: EntryId | None = None
        self._writing: dict[str, str] | None = None

    def set_ip(self, ip: str) -> None:
        """The public IP of entries from now on; the empty string until then."""
        self._ip = ip

    def set_admin_email(self, email: str) -> None:
        """Who answers for the instance in transitions from now on; the empty string until then."""
        self._admin_email = email

    async def transition(self, before: ConnectionState, after: ConnectionState, moment: str) -> None:
        """Queue a transition that happened at `moment`. Waits only while 10,000 entries wait for Redis."""
        status = self._registry.status
        entry = StateTransition(
            timestamp=moment,
            exchangeId=str(status.exchangeId),
            exchangeName=status.exchangeName,
            hostname=status.hostname,
            ip=self._ip,
            instanceId=status.instanceId,
            epoch=str(status.epoch),
            fromState=before,
            toState=after,
            adminEmail=self._admin_email,
            correlationId=self.cause,
        )
        await self._put(entry.to_fields())

    async def record_error(self, text: str) -> None:
        """Record an error: in the status at once, in the activity as a whole entry. The state stays what it is."""
        text = redact(text)
        moment = now_timestamp()
        self._registry.record_error(text, moment)
        status = self._registry.status
        entry = ErrorEntry(
            timestamp=moment,
            exchangeId=str(status.exchangeId),
            exchangeName=status.exchangeName,
            hostname=status.hostname,
            ip=self._ip,
            instanceId=status.instanceId,
            epoch=str(status.epoch),
            error=text,
            state=status.connectionState,
        )
        await self._put(entry.to_fields())

    async def _put(self, fields: dict[str, str]) -> None:
        self._count += 1
        event_id = f"{self._registry.status.instanceId}:{self._count}"
        if self._queue.full():
            LOG.warning("%d entries wait for Redis: waiting with them", QUEUE_ENTRIES)
        await self._queue.put((event_id, fields))

    async def run(self) -> None:
        """Append what is queued, one after the other, each until it is written."""
        while True:
            event_id, fields = await self._queue.get()
            self._writing = fields
            await self._write(event_id, fields)
            self._writing = None
            self._queue.task_done()

    async def _write(self, event_id: str, fields: dict[str, str]) -> None:
        attempts = 0
        pause = FIRST_RETRY_SECONDS
        while True:
            if not self._registry.may_record():
                say_unwritten(fields)  # a successor may be at work: what it writes is not mixed with what we were
                return
            try:
                if self._after is None:
                    self._after = await last_generated_id(self._client, fields["exchangeName"])
                self._after = await append_once(
                    self._client, fields["exchangeName"], fields, event_id=event_id, after=self._after
                )
            except StoreUnavailable as error:
                attempts += 1
                if attempts % SAY_EVERY == 1:
                    waiting = self._queue.qsize() + 1
                    LOG.warning("Activity cannot be written, trying again (%d entries wait): %s", waiting, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_RETRY_SECONDS)
            else:
                if attempts:
                    LOG.info("Activity is written again after %d failed attempts", attempts)
                return

    async def flush(self, seconds: float) -> int:
        """Wait until all is written, for at most `seconds`. The number of entries that could not be."""
        try:
            async with asyncio.timeout(seconds):
                await self._queue.join()
        except TimeoutError:
            return self._queue.qsize() + (self._writing is not None)
        return 0

    def say_unwritten(self) -> None:
        """Put every entry that could not be written on the worker's own log, so that it is kept somewhere."""
        entries = [self._writing] if self._writing else []
        while not self._queue.empty():
            entries.append(self._queue.get_nowait()[1])
        for fields in entries:
            say_unwritten(fields)


def say_unwritten(fields: dict[str, str]) -> None:
    """One entry on the worker's own log."""
    LOG.error("Not written to the activity: %s", json.dumps(fields, ensure_ascii=False))
