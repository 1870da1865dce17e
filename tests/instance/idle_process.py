"""An idle worker without Django, as a process of its own: ``python -m tests.instance.idle_process JSON``."""

import asyncio
import json
import sys

from activity.instance.agent import run_worker
from activity.instance.console import Console, log_to
from activity.instance.idle import wait_for_exchange
from activity.instance.options import WorkerConfig


async def _run(config: WorkerConfig) -> int:
    assigned = await wait_for_exchange(config)
    return int(await run_worker(assigned)) if assigned else 0


def main() -> int:
    options = json.loads(sys.argv[1])
    for name in ("symbols", "program", "ip_lookup_urls"):
        options[name] = tuple(options.get(name, ()))
    console = Console()
    log_to(console, "idle")
    try:
        return asyncio.run(_run(WorkerConfig(**options)))
    finally:
        console.close()


if __name__ == "__main__":
    sys.exit(main())
