"""A worker whose event loop stands still for ever as soon as there is a file `stuck` in its TMPDIR."""

import asyncio
import os
import sys
import time
from pathlib import Path

from activity.instance import agent
from activity.instance.heartbeat import guard_lease
from activity.instance.registry import Registry
from tests.instance.agent_process import main


async def stuck(registry: Registry) -> None:
    loop = asyncio.get_running_loop()

    def look() -> None:
        if (Path(os.environ["TMPDIR"]) / "stuck").exists():
            time.sleep(3600)
        loop.call_later(0.05, look)

    look()
    await guard_lease(registry)


if __name__ == "__main__":
    agent.guard_lease = stuck  # type: ignore[attr-defined]
    sys.exit(main())
