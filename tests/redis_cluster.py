"""A real Redis Cluster for tests: three primaries, each with a replica, on free ports of the loopback interface."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis
import redis.cluster

from tests.servers import free_port
from tests.waiting import eventually

#: Milliseconds after which a node that does not answer is failed. Small, to be quick.
NODE_TIMEOUT = 1500


class Node:
    """One server of a cluster."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.bus = free_port()
        self.folder = folder / str(self.port)
        self.folder.mkdir()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start, or start again: it finds its cluster by its own file."""
        command = [
            *("redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--cluster-enabled", "yes", "--cluster-port", str(self.bus)),
            *("--cluster-node-timeout", str(NODE_TIMEOUT), "--repl-diskless-sync-delay", "0"),
            *("--save", "", "--appendonly", "yes", "--daemonize", "no"),
        ]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(self._answers)

    def client(self) -> "redis.Redis":
        """A plain client of this node alone."""
        return redis.Redis(port=self.port, socket_timeout=5)

    def kill(self) -> None:
        """Kill -9, and wait for the end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def info(self, section: str) -> Any:
        with self.client() as client:
            return client.info(section)

    def cluster_info(self) -> dict[str, str]:
        with self.client() as client:
            plain: Any = client
            facts = plain.execute_command("CLUSTER INFO")
        return dict(facts)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class RedisCluster:
    """Six nodes that hang together."""

    def __init__(self, folder: Path) -> None:
        self.nodes = [Node(folder) for _ in range(6)]
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def create(self) -> None:
        """Give out the slots."""
        words = [f"127.0.0.1:{node.port}@{node.bus}" for node in self.nodes]
        cli = shutil.which("redis-cli")
        assert cli, "redis-cli is not installed: `make test` installs it"
        command = [cli, "--cluster", "create", *words, "--cluster-replicas", "1", "--cluster-yes"]
        done = subprocess.run(command, capture_output=True, timeout=60, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Until every node serves, and every primary has a replica that is up to date."""
        eventually(self._is_whole)

    def _is_whole(self) -> bool:
        for node in self.nodes:
            facts = node.cluster_info()
            if facts["cluster_state"] != "ok" or facts["cluster_known_nodes"] != "6":
                return False
            replication = node.info("replication")
            if replication["role"] == "slave" and replication["master_link_status"] != "up":
                return False
            if replication["role"] == "master" and replication["connected_slaves"] != 1:
                return False
        return True

    @contextmanager
    def client(self) -> "Iterator[Any]":
        """A client of the whole cluster for the test's own looks and doings; it waits for a failover."""
        library: Any = redis.cluster
        nodes = [library.ClusterNode("127.0.0.1", node.port) for node in self.nodes]
        client = library.RedisCluster(startup_nodes=nodes)
        try:
            yield client
        finally:
            client.close()

    def primary_of(self, key: str) -> Node:
        """The node that holds a key."""
        with self.client() as client:
            port = client.get_node_from_key(key).port
        return next(node for node in self.nodes if node.port == port)

    def holds_for_failed(self, down: Node) -> bool:
        """Whether every other node holds this one for failed."""
        for node in self.nodes:
            if node is not down:
                with node.client() as client:
                    plain: Any = client
                    known = plain.execute_command("CLUSTER NODES")
                flags = next(one["flags"] for address, one in known.items() if f":{down.port}@" in address)
                if "fail" not in flags.split(","):
                    return False
        return True

    def heal(self) -> None:
        """Start what is down, and empty all of it."""
        for node in self.nodes:
            if node.process is None:
                node.start()
        self.wait_until_whole()
        for node in self.nodes:
            if node.info("replication")["role"] == "master":
                with node.client() as client:
                    client.flushall()

    def end(self) -> None:
        """Kill all."""
        for node in self.nodes:
            with suppress(ProcessLookupError):
                node.kill()


@contextmanager
def running_cluster() -> Iterator[RedisCluster]:
    """A cluster for the length of a `with`."""
    with tempfile.TemporaryDirectory(prefix="prs-cluster-") as folder:
        cluster = RedisCluster(Path(folder))
        try:
            cluster.create()
            yield cluster
        finally:
            cluster.end()
