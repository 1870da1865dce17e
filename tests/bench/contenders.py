"""What is measured: servers that carry the stream `logs:network:bench` to WebSockets, each started alone."""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import RedisServer, free_port
from tests.web import ROOT, environment

HERE = Path(__file__).parent
#: Users, each with a token: one may hold 50 sockets per process.
USERS = 120
_HELLO = '{"type":"subscribe","after":{},"statuses":true}'
_SETUP = f"""
import json, sys
import django
django.setup()
from django.core.management import call_command
call_command("migrate", run_syncdb=True, verbosity=0)
from activity.models import ApiToken, Exchange, User
count = int(sys.argv[1])
Exchange.objects.bulk_create(
    [Exchange(id=number, name="bench" if number == 1 else f"x-{{number}}", display_name=f"Exchange {{number}}")
     for number in range(1, count + 1)])
User.objects.bulk_create(
    [User(email=f"u{{number}}@example.org", is_superuser=True, password="!") for number in range({USERS})])
print(json.dumps([ApiToken.issue(user, "bench")[1] for user in User.objects.all()]))
"""


@dataclass
class Running:
    """A server that answers. `pids` are its processes, without those of Redis."""

    port: int
    path: str
    processes: list["subprocess.Popen[bytes]"]
    options: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        ticks = 0
        for process in self.processes:
            ticks += sum(map(int, Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        """Resident memory of all its processes."""
        pages = sum(int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) for process in self.processes)
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def make_folder(folder: Path, exchanges: int = 1) -> list[str]:
    """A data folder with that many exchanges and `USERS` users; their tokens."""
    folder.mkdir()
    (folder / "secret-key").write_text(secrets.token_urlsafe(48))
    done = subprocess.run(
        [sys.executable, "-c", _SETUP, str(exchanges)],
        env=environment(folder, "redis://127.0.0.1:1"), cwd=ROOT, check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    tokens: list[str] = json.loads(done.stdout)
    (folder / "tokens").write_text("\n".join(tokens))
    return tokens


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/ready-yet/", timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError as error:
        return "refused" not in str(error)
    return True


@contextlib.contextmanager
def _started(
    commands: list[list[str]], port: int, folder: Path, env: dict[str, str], fds: tuple[int, ...] = ()
) -> Iterator[list["subprocess.Popen[bytes]"]]:
    processes: list[subprocess.Popen[bytes]] = []
    with (folder / "server.log").open("ab") as log:
        processes += [
            subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log, pass_fds=fds) for command in commands
        ]
    try:
        deadline = time.monotonic() + 60
        while not _answers(port):
            if time.monotonic() > deadline or any(process.poll() is not None for process in processes):
                raise RuntimeError(f"the server did not start:\n{(folder / 'server.log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def ours(
    server: str, redis: RedisServer, folder: Path, *, processes: int = 1, path: str = "/ws/exchanges/bench/"
) -> Iterator[Running]:
    """The web process of this project on `daphne` or `uvicorn`; several share one listening socket."""
    env = environment(folder, redis.url)
    options = ["tokens", str(folder / "tokens"), "hello", _HELLO, "ack", "1"]
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(4096)
        port = listening.getsockname()[1]
        fd = listening.fileno()
        application = "perseus_admin.asgi:application"
        if server == "daphne":
            command = [sys.executable, "-m", "daphne", "-v", "0", "--websocket-max-message-size", "65536"]
            command += ["--fd", str(fd), application]
        else:
            command = [sys.executable, "-m", "uvicorn", "--fd", str(fd), "--log-level", "error", application]
            command += ["--ws-per-message-deflate", "false"]
        with _started([command] * processes, port, folder, env, (fd,)) as running:
            yield Running(port, path, running, options, env)


@contextlib.contextmanager
def node(program: str, redis: RedisServer, folder: Path) -> Iterator[Running]:
    """One of the Node programs."""
    port = free_port()
    path, options = ("/socket.io/?EIO=4&transport=websocket", ["sio", "1"]) if program == "io.mjs" else ("/", [])
    command = ["node", str(HERE / "node" / program), str(port), str(redis.socket)]
    with _started([command], port, folder, dict(os.environ)) as running:
        yield Running(port, path, running, options)


@contextlib.contextmanager
def layer(backend: str, redis: RedisServer, folder: Path) -> Iterator[Running]:
    """A channel layer of channels_redis, with a process that sends the stream's entries to the group."""
    port = free_port()
    env = {**os.environ, "BENCH_LAYER": f"channels_redis.{backend}", "BENCH_REDIS": str(redis.socket)}
    env |= {"PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": ""}
    web = [sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port)]
    commands = [[*web, "tests.bench.layer_app:application"], [sys.executable, "-m", "tests.bench.layer_app"]]
    with _started(commands, port, folder, env) as running:
        yield Running(port, "/", running)


CONTENDERS = {
    "node ws": lambda redis, folder: node("ws.mjs", redis, folder),
    "socket.io": lambda redis, folder: node("io.mjs", redis, folder),
    "RedisChannelLayer": lambda redis, folder: layer("core.RedisChannelLayer", redis, folder),
    "RedisPubSubChannelLayer": lambda redis, folder: layer("pubsub.RedisPubSubChannelLayer", redis, folder),
    "ours, daphne": lambda redis, folder: ours("daphne", redis, folder),
    "ours, 2 x daphne": lambda redis, folder: ours("daphne", redis, folder, processes=2),
    "ours, uvicorn": lambda redis, folder: ours("uvicorn", redis, folder),
}
