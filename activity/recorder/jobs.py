"""The recorder's duties beside the archive, as jobs of its process: deaths and notifications."""

import asyncio
import socket
import time
from collections.abc import Sequence
from typing import Final

from activity.models import Exchange
from activity.recorder.database import DatabaseAway, DatabaseThread
from activity.recorder.deaths import DeathWatch
from activity.recorder.notify import Notifier, NotifyOptions
from activity.recorder.outages import Outages
from activity.recorder.sightings import DeathOptions
from activity.settling import settle_open
from activity.store.client import async_client, sync_client

#: Seconds between two looks at the table of exchanges.
LOOK_SECONDS: Final = 3.0
#: Seconds between two looks at commands while some have no end yet.
SETTLE_SECONDS: Final = 0.5


def _active_exchanges() -> list[tuple[int, str]]:
    return list(Exchange.objects.filter(active=True).values_list("id", "name"))


class KnownExchanges:
    """The active exchanges, as of a moment ago. While the database is away they stay what they were."""

    def __init__(self, database: DatabaseThread, outages: Outages) -> None:
        self._database = database
        self._outages = outages
        self._known: list[tuple[int, str]] = []
        self._asked_at = -LOOK_SECONDS

    async def __call__(self) -> Sequence[tuple[int, str]]:
        """(id, name) of each."""
        now = time.monotonic()
        if now - self._asked_at >= LOOK_SECONDS:
            self._asked_at = now
            try:
                self._known = await self._database.run(_active_exchanges)
                self._outages.back("the database", to="deaths")
            except DatabaseAway as error:
                self._outages.away("the database", error, to="deaths")
        return self._known


async def watch_deaths(redis_url: str, *, hostname: str | None = None, options: DeathOptions | None = None) -> None:
    """Watch until cancelled."""
    database = DatabaseThread("deaths database")
    client = async_client(redis_url)
    exchanges = KnownExchanges(database, Outages())
    try:
        await DeathWatch(client, exchanges, host=hostname or socket.gethostname(), options=options).run()
    finally:
        await database.end()
        await client.aclose()


async def settle_commands(redis_url: str) -> None:
    """Bring the rows of commands forward until cancelled, whoever looks at them."""
    database = DatabaseThread("commands database")
    outages = Outages()
    client = sync_client(redis_url)
    try:
        while True:
            try:
                waiting = await database.run(settle_open, client)
                outages.back("the database", to="commands")
            except DatabaseAway as error:
                outages.away("the database", error, to="commands")
                waiting = 0
            await asyncio.sleep(SETTLE_SECONDS if waiting else LOOK_SECONDS)
    finally:
        await database.end()
        client.close()


async def send_notifications(options: NotifyOptions | None = None) -> None:
    """Tell people until cancelled."""
    database = DatabaseThread("notifications database")
    try:
        await Notifier(database, Outages(), options).run()
    finally:
        await database.end()
