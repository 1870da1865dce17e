"""Notices into the streams, each exactly once: whoever writes it, whenever it was killed, however many write it."""

import json
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from activity.recorder.notices import Death, event_of_uncounted, reset_fields, uncounted_fields
from activity.store.client import AsyncClient, KeyUnreadable
from activity.store.once import append_once
from activity.store.ownership import Ownership
from activity.store.watch import Server, agree_on_reset, find_event, note_reset_told, read_agreed_reset
from activity.wire.entries import EntryId

log = logging.getLogger(__name__)

#: Milliseconds by which Redis' clock may have stepped back without an earlier notice being overlooked.
_MARGIN_MILLISECONDS: Final = 60_000


class DeathBook:
    """Writes notices for one watcher. Everything may be repeated, and raises StoreUnavailable.

    KeyUnreadable where an exchange's stream is none, say: then nobody can write this notice, and any other is written.
    """

    def __init__(self, client: AsyncClient, host: str) -> None:
        """`host` names this machine in the notice of a reset."""
        self._client = client
        self._host = host
        #: The eventId of the notice that was last seen written, per server: one for each restart of a Redis.
        self._told: dict[str, str] = {}
        #: Servers whose notice waits for a damaged key, so that it is said once.
        self._waiting: set[str] = set()

    async def write(self, death: Death) -> None:
        """Append the notice, unless it stands there already: at the earliest since the last heartbeat."""
        after = EntryId(max(0, death.beat_ms - _MARGIN_MILLISECONDS), 0)
        found, last = await find_event(self._client, death.exchange_name, death.event_id, after)
        if found is None:
            fields = death.fields()
            log.warning("%s: %s", death.exchange_name, fields["error"])
            await append_once(self._client, death.exchange_name, fields, event_id=death.event_id, after=last)

    async def write_uncounted(self, exchange_id: int, name: str) -> None:
        """Append one notice about the deaths that were only counted, if there are any."""
        ownership = Ownership(self._client, exchange_id)
        counted = await ownership.declare_uncounted()
        if counted is None:
            return
        event_id = event_of_uncounted(exchange_id, counted.taken_ms)
        after = EntryId(max(0, counted.taken_ms - _MARGIN_MILLISECONDS), 0)
        found, last = await find_event(self._client, name, event_id, after)
        if found is None:
            fields = uncounted_fields(exchange_id, name, self._host, counted.number)
            log.warning("%s: %s", name, fields["error"])
            await append_once(self._client, name, fields, event_id=event_id, after=last)
        await ownership.mark_uncounted_told(counted.taken_ms)

    async def report_reset(
        self, cause: str, back: Sequence[tuple[str, int]], gone: Sequence[tuple[str, int]], server: Server
    ) -> None:
        """Agree with the other watchers on one notice about these (name, id), and have it written."""
        after = EntryId(max(0, server.now_ms - _MARGIN_MILLISECONDS), 0)
        name, exchange_id = await self._first_that_takes_it(sorted([*back, *gone]), after)
        fields = reset_fields(
            exchange_id, name, self._host, cause, sorted(one for one, _ in back), sorted(one for one, _ in gone)
        )
        proposal = {
            "eventId": f"reset:{server.run_id}:{server.now_ms}",
            "exchange": name,
            "after": str(after),
            "fields": fields,
        }
        await agree_on_reset(self._client, server.run_id, json.dumps(proposal).encode())
        await self._finish_reset(server.run_id)

    async def finish_resets(self, servers: Iterable[Server]) -> None:
        """Write what the watchers agreed on, if nobody has yet. Who proposed it may have been killed since.

        What waits for a damaged key keeps nobody from the deaths: it is tried as long as it is kept, 5 minutes.
        """
        for run_id in sorted({server.run_id for server in servers}):
            try:
                await self._finish_reset(run_id)
            except KeyUnreadable as error:
                if run_id not in self._waiting:
                    log.warning("the reset of the registry cannot be written down, a key is damaged: %s", error)
                self._waiting.add(run_id)
            else:
                self._waiting.discard(run_id)

    async def _first_that_takes_it(self, exchanges: Sequence[tuple[str, int]], after: EntryId) -> tuple[str, int]:
        for name, exchange_id in exchanges:
            with suppress(KeyUnreadable):
                await find_event(self._client, name, "", after)
                return name, exchange_id
        return exchanges[0]

    async def _finish_reset(self, run_id: str) -> None:
        agreed = await read_agreed_reset(self._client, run_id)
        if agreed is None:
            return
        notice = json.loads(agreed)
        event_id = str(notice["eventId"])
        if event_id == self._told.get(run_id) or notice.get("told"):
            return
        found, last = await find_event(self._client, notice["exchange"], event_id, EntryId.parse(notice["after"]))
        if found is None:
            log.warning("%s", notice["fields"]["error"])
            await append_once(self._client, notice["exchange"], notice["fields"], event_id=event_id, after=last)
        # Told to those who come later as well: they need not look for a notice that may have been trimmed meanwhile.
        await note_reset_told(self._client, run_id, json.dumps({**notice, "told": True}).encode())
        self._told[run_id] = event_id
