"""The worker without Django, as a process of its own: ``python -m tests.instance.agent_process JSON``.

The same agent that `manage.py worker` runs, started in a third of the time.
"""

import asyncio
import json
import re
import sys
from typing import Any

from activity.instance.agent import run_worker
from activity.instance.console import Console, log_to
from activity.instance.options import Telling, WorkerConfig


def main() -> int:
    options: dict[str, Any] = json.loads(sys.argv[1])
    for name in ("error_pattern", "ready_pattern"):
        if options.get(name):
            options[name] = re.compile(options[name])
    for name in ("symbols", "program", "ip_lookup_urls"):
        options[name] = tuple(options.get(name, ()))
    options["tell"] = Telling.parse(tuple(options.get("tell", ())))
    console = Console()
    log_to(console, options["exchange_name"])
    try:
        return int(asyncio.run(run_worker(WorkerConfig(**options))))
    finally:
        console.close()


if __name__ == "__main__":
    sys.exit(main())
