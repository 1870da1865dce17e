"""A watcher in a process of its own that is killed by SIGKILL right before one of its steps.

Arguments: the Redis URL, the step, and how many seconds it waits where it must not be hasty.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from activity.recorder import deathbook
from activity.recorder.sightings import DeathOptions
from activity.store.client import async_client
from activity.store.once import append_once
from activity.store.ownership import Ownership
from tests.recorder.watching import watcher


def die(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def die_before(step: str) -> None:
    names = vars(deathbook)
    match step:
        case "looking for an earlier notice":
            names["find_event"] = die
        case "appending":
            names["append_once"] = die
        case "noting that it is appended":
            Ownership.mark_lost_logged = die  # type: ignore[method-assign]
        case "hearing that it is appended":

            async def append_and_die(*arguments: Any, **options: Any) -> Any:
                await append_once(*arguments, **options)
                die()

            names["append_once"] = append_and_die
        case _:
            raise AssertionError(step)


async def main(url: str, step: str, wait: float) -> None:
    die_before(step)
    client = async_client(url)
    await watcher(client, options=DeathOptions(period=0.05, settle=0, reset_wait=wait)).run()


asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
