"""What every test stands on: settings of a folder of its own, and a real Redis per worker process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings
from django.utils import translation

from tests.environment import SOCKET
from tests.once import once_per_run
from tests.redis_cluster import RedisCluster, running_cluster
from tests.servers import REDIS_BINARIES, RedisServer, running_redis
from tests.web import DataFolder, WebServer, copy_of, make_data_folder


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Slow hashes protect stored passwords; here they would only take half a second each. Servers keep theirs."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(autouse=True)
def _no_language_left() -> Iterator[None]:
    """A request in German leaves its thread speaking German; the next test begins in English."""
    yield
    translation.deactivate()


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One server per test process, at the URL that the settings name."""
    with running_redis(socket_path=SOCKET) as server:
        yield server


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """The shared server, empty. A fixture that also wants `web` asks for it first: that one empties it again."""
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


@pytest.fixture(scope="session")
def data_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a database, made once for all test processes: copy it."""
    return once_per_run(tmp_path_factory, "template", make_data_folder)


@pytest.fixture(scope="session")
def _web(
    data_template: Path, tmp_path_factory: pytest.TempPathFactory, shared_redis: RedisServer
) -> Iterator[WebServer]:
    folder = copy_of(data_template, tmp_path_factory.mktemp("web") / "data")
    server = WebServer(folder, shared_redis.url)
    yield server
    server.stop()


@pytest.fixture
def web(_web: WebServer, redis_server: RedisServer) -> WebServer:
    """A real web process on an empty Redis: three exchanges, two users. Its database is shared, so only read it.

    Nothing of an earlier test is left in it, and Redis is emptied only then: a tail that outlives its page by a moment
    would take the emptying for a stream that began anew.
    """
    _web.forget(redis_server)
    with redis_server.client() as client:
        client.flushall()
    return _web


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis of one test's own, to be stopped and started, that keeps its data."""
    with running_redis(options=("--appendonly", "yes")) as server:
        yield server


@pytest.fixture
def own_folder(data_template: Path, tmp_path: Path, own_redis: RedisServer) -> DataFolder:
    """A data folder of one test's own for processes on `own_redis`, without a web process."""
    return DataFolder(copy_of(data_template, tmp_path / "data"), own_redis.url)


@pytest.fixture
def own_web(data_template: Path, tmp_path: Path, own_redis: RedisServer) -> Iterator[WebServer]:
    """A web process and database of one test's own, on `own_redis`."""
    server = WebServer(copy_of(data_template, tmp_path / "data"), own_redis.url)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _shared_cluster() -> Iterator[RedisCluster]:
    with running_cluster() as made:
        yield made


@pytest.fixture
def cluster(_shared_cluster: RedisCluster) -> RedisCluster:
    """A Redis Cluster of six nodes, started by the first test that needs it: all nodes up, and empty."""
    _shared_cluster.heal()
    return _shared_cluster


@pytest.fixture
def cluster_web(cluster: RedisCluster, data_template: Path, tmp_path: Path) -> Iterator[WebServer]:
    """A web process and database of one test's own, on the cluster."""
    server = WebServer(copy_of(data_template, tmp_path / "data"), cluster.url)
    yield server
    server.stop()
