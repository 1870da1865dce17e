"""Faults are injected into real processes. With FAULT_RESULTS=FILE the outcome of each test is kept there as JSON."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.owners import Owners
from tests.instance import conftest as of_instances
from tests.instance.workers import Exchange, Workers
from tests.recorder import conftest as of_recorders
from tests.servers import RedisServer

workers = of_instances.workers
exchange = of_instances.exchange
postgres = of_recorders.postgres
sqlite_database = of_recorders.sqlite_database
postgres_database = of_recorders.postgres_database
database = of_recorders.database

_outcomes: dict[str, str] = {}


@pytest.fixture
def owners(workers: Workers, redis_server: RedisServer, tmp_path: Path) -> Iterator[Owners]:
    """Workers that carry a program which leaves a trace of every moment in which it ran."""
    with redis_server.client() as client:
        yield Owners(workers, Exchange(client), tmp_path)


def pytest_runtest_logreport(report: Any) -> None:
    """Keep the worst outcome of each test function, over its phases and parameters."""
    name = report.nodeid.partition("[")[0].rpartition("tests/faults/")[2]
    if report.failed:
        _outcomes[name] = "failed"
    elif report.skipped:
        _outcomes.setdefault(name, "skipped")
    elif report.when == "call" and _outcomes.get(name) != "failed":
        _outcomes[name] = "passed"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write them, once: not in the processes that xdist has started."""
    path = os.environ.get("FAULT_RESULTS")
    if path and not hasattr(session.config, "workerinput"):
        Path(path).write_text(json.dumps(_outcomes, indent=1, sort_keys=True) + "\n")
