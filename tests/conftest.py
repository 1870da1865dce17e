"""What every test stands on: settings of a folder of its own, and a real Redis per worker process."""

from collections.abc import Iterator

import pytest

from tests.environment import SOCKET
from tests.servers import REDIS_BINARIES, RedisServer, running_redis


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One server per test process, at the URL that the settings name."""
    with running_redis(socket_path=SOCKET) as server:
        yield server


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """The shared server, empty."""
    with shared_redis.client() as client:
        client.flushall()
    return shared_redis


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """URL of an empty Redis, the one that the settings name."""
    return redis_server.url


@pytest.fixture(scope="session", params=sorted(REDIS_BINARIES))
def _every_redis(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with running_redis(REDIS_BINARIES[request.param]) as server:
        yield server


@pytest.fixture
def every_redis(_every_redis: RedisServer) -> RedisServer:
    """An empty server, once per Redis generation that we promise to run on."""
    with _every_redis.client() as client:
        client.flushall()
    return _every_redis
