"""The archive job: a follower for every active exchange, as the table of exchanges says from moment to moment."""

import asyncio
import logging
from typing import Final

from activity.models import Exchange
from activity.recorder.database import DatabaseAway, DatabaseThread
from activity.recorder.follow import Behind, Follower, Tools
from activity.recorder.outages import FIRST_PAUSE, Outages, longer
from activity.recorder.progress import Progress
from activity.recorder.writing import Step, no_step

log = logging.getLogger(__name__)

#: Seconds between two looks at the table of exchanges.
LOOK_SECONDS: Final = 3.0


def _active_exchanges() -> dict[int, str]:
    return dict(Exchange.objects.filter(active=True).values_list("id", "name"))


class Archive:
    """Stores every entry of every active exchange exactly once."""

    def __init__(
        self, redis_url: str, *, once: bool = False, step: Step = no_step, progress: Progress | None = None
    ) -> None:
        """`step` is called between any two steps with the name of the one that is done; only tests look."""
        self._redis_url = redis_url
        self._once = once
        self._step = step
        self._progress = progress or Progress()
        #: With `once`: why it could not catch up; empty where it has.
        self.behind = ""

    async def run(self) -> None:
        """Follow until cancelled; with `once` until all exchanges are caught up, or `behind` says why not."""
        database = DatabaseThread("archive database")
        tools = Tools(self._redis_url, database, Outages(), self._progress, self._once, self._step)
        try:
            async with asyncio.TaskGroup() as group:
                await self._follow(group, tools)
        except* Behind as behind:
            self.behind = "; ".join(sorted({str(error) for error in behind.exceptions}))
        finally:
            await database.end()

    async def _follow(self, group: asyncio.TaskGroup, tools: Tools) -> None:
        """Followers come and go with the exchanges. One that dies ends the group, and with it the process."""
        tasks: dict[tuple[int, str], asyncio.Task[None]] = {}
        while True:
            wanted = set((await self._exchanges(tools)).items())
            for exchange in sorted(wanted - tasks.keys()):
                follower = Follower(*exchange, tools)
                tasks[exchange] = group.create_task(follower.run(), name=f"archive of {exchange[1]}")
                log.info("archiving %s", exchange[1])
            for exchange in tasks.keys() - wanted:
                tasks.pop(exchange).cancel()
                tools.progress.gone(exchange[1])
                log.info("no longer archiving %s: it is not active any more", exchange[1])
            if self._once:
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _exchanges(self, tools: Tools) -> dict[int, str]:
        pause = FIRST_PAUSE
        while True:
            try:
                exchanges = await tools.database.run(_active_exchanges)
            except DatabaseAway as error:
                if self._once:
                    raise Behind(f"the database is away: {error}") from error
                tools.outages.away("the database", error, to="the list of exchanges")
                await asyncio.sleep(pause)
                pause = longer(pause)
            else:
                tools.outages.back("the database", to="the list of exchanges")
                return exchanges
