"""A recorder of small batches that is killed by SIGKILL right behind the n-th time that it has done a certain step."""

import asyncio
import os
import signal
import sys
from unittest.mock import patch

import django

django.setup()

from activity.recorder import follow  # noqa: E402
from activity.recorder.archive import Archive  # noqa: E402
from perseus_admin.config import settings  # noqa: E402


def main(fatal: str, times: int) -> None:
    left = times

    def step(name: str) -> None:
        nonlocal left
        left -= name == fatal
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    with patch.object(follow, "MOST_ENTRIES", 100):
        asyncio.run(Archive(settings().redis, once=True, step=step).run())


main(sys.argv[1], int(sys.argv[2]))
