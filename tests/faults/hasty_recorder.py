"""The archive and the watch for deaths of `manage.py recorder`, with shorter waits: ``hasty_recorder.py WAIT SETTLE``.

WAIT are the seconds in which nothing is declared after a reset, SETTLE those for which a death is settled.
"""

import asyncio
import functools
import logging
import sys

import django

django.setup()

from activity.recorder import archive, jobs  # noqa: E402
from activity.recorder.database import limit_waiting  # noqa: E402
from activity.recorder.service import Job, serve  # noqa: E402
from activity.recorder.sightings import DeathOptions  # noqa: E402
from perseus_admin.config import settings  # noqa: E402


def main(wait: float, settle: float) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    limit_waiting()
    options = DeathOptions(period=0.1, settle=settle, reset_wait=wait)
    watch = functools.partial(jobs.watch_deaths, settings().redis, hostname="recorder-host", options=options)
    return int(asyncio.run(serve([Job("archive", archive.Archive(settings().redis).run), Job("deaths", watch)])))


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), float(sys.argv[2])))
