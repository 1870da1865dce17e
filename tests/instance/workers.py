"""Workers as real processes, and looks at what they have written."""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import redis

from activity.wire.keys import status_key, stream_key
from perseus_admin.config import BASE_DIR
from tests.waiting import eventually

EXCHANGE_ID = 7
EXCHANGE = "kraken"
#: Short, to be quick; not shorter, so that a busy machine does not end a lease of two intervals.
HEARTBEAT_SECONDS = 2
PYTHON = sys.executable


class Worker:
    """One worker process. Its output goes to a file, which is kept in memory as `output`."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=BASE_DIR, env=dict(environment), stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def output(self) -> str:
        return self._log.read_text("utf-8", errors="replace")

    def says(self, text: str, *, within: float = 20.0) -> None:
        eventually(lambda: text in self.output or self._over(text), within=within)

    def _over(self, text: str) -> bool:
        assert self.process.poll() is None, f"it ended without having said {text!r}:\n{self.output}"
        return False

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self, within: float = 30.0) -> int:
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it has not ended:\n{self.output}") from error


class Workers:
    """Starts workers against one Redis and ends them all."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self.redis_url = redis_url
        self._workers: list[Worker] = []

    def start(self, *program: str, module: str = "tests.instance.agent_process", **options: Any) -> Worker:
        """The agent as a process, with fields of WorkerConfig."""
        config = {
            "exchange_id": EXCHANGE_ID,
            "exchange_name": EXCHANGE,
            "redis_url": self.redis_url,
            "hostname": "host-a",
            "heartbeat_seconds": HEARTBEAT_SECONDS,
            "program": program,
            **options,
        }
        return self._run([PYTHON, "-m", module, json.dumps(config)], {})

    def manage(self, *arguments: str, command: str = "worker", **environment: str) -> Worker:
        """`manage.py worker` with these arguments, in the environment of a data folder that `prepare` made."""
        return self._run([PYTHON, "manage.py", command, *arguments], environment)

    def _run(self, command: list[str], environment: Mapping[str, str]) -> Worker:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        ours = {
            "TMPDIR": str(self.folder),
            "REDIS_URL": self.redis_url,
            "PERSEUS_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS),
            "PERSEUS_IP_LOOKUP_URLS": "http://127.0.0.1:9/",
        }
        log = self.folder / f"worker-{len(self._workers)}.log"
        worker = Worker(command, {**inherited, **ours, **environment}, log)
        self._workers.append(worker)
        return worker

    def end(self) -> None:
        """Kill all; their guards end their programs. Nothing may be left."""
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.process.kill()
            worker.process.wait(10)
        eventually(lambda: not processes_with(str(self.folder)))
        assert not list(self.folder.glob("perseus-*/n-*")), "a notify socket was left behind"


def processes_with(text: str) -> list[int]:
    """Processes in whose environment or command line the text stands."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                content = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in content:
                found.append(int(entry.name))
    return found


class Exchange:
    """What stands in Redis of one exchange."""

    def __init__(self, client: "redis.Redis", exchange_id: int = EXCHANGE_ID, name: str = EXCHANGE) -> None:
        self.client = client
        self.key = status_key(exchange_id)
        self.stream = stream_key(name)

    @property
    def status(self) -> dict[str, Any] | None:
        value: Any = self.client.get(self.key)
        return None if value is None else dict(json.loads(value))

    def state(self) -> str | None:
        status = self.status
        return None if status is None else str(status["connectionState"])

    def reaches(self, state: str, *, within: float = 20.0) -> dict[str, Any]:
        """The status, as soon as it tells that state."""
        return self.becomes(lambda status: status["connectionState"] == state, within=within)

    def becomes(self, accept: Callable[[dict[str, Any]], object], *, within: float = 20.0) -> dict[str, Any]:
        """The first status that is accepted."""
        found: dict[str, Any] = {}

        def accepted() -> bool:
            status = self.status
            if status is None or not accept(status):
                return False
            found.update(status)
            return True

        eventually(accepted, within=within)
        return found

    def is_gone(self) -> bool:
        return self.status is None

    def entries(self, event: str | None = None) -> list[dict[str, str]]:
        rows: Any = self.client.xrange(self.stream)
        decoded = [{name.decode(): value.decode() for name, value in fields.items()} for _, fields in rows]
        return [entry for entry in decoded if event in (None, entry["event"])]

    def path(self) -> list[str]:
        """The states that the transitions led through, checked to hang together."""
        entries = self.entries("state_transition")
        for before, after in itertools.pairwise(entries):
            assert before["toState"] == after["fromState"]
        return [entry["toState"] for entry in entries]

    def eventually_errors(self, count: int = 1, *, within: float = 20.0) -> list[str]:
        """All errors, as soon as there are that many."""
        eventually(lambda: len(self.errors()) >= count, within=within)
        return self.errors()

    def errors(self) -> list[str]:
        return [entry["error"] for entry in self.entries("error")]
