"""A real Postgres for tests: own cluster, own certificate authority, a free port, nothing left behind.

Tables are compared, TLS is refused and granted by the server itself; nothing here stands in for it.
"""

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from tests.certificates import Authority

#: A start takes about a second; on two busy cores it may take many.
START_SECONDS = 60
#: Has every character that a careless URL parser trips over.
PASSWORD = "p:a/s@s%#?word"


def postgres_bindir() -> Path:
    """Where initdb and postgres live. Raises RuntimeError, saying what to install, where they do not."""
    candidates = []
    if pg_config := shutil.which("pg_config"):
        candidates.append(Path(subprocess.check_output([pg_config, "--bindir"], text=True).strip()))
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise RuntimeError("these tests need a Postgres server (initdb, postgres): apt-get install postgresql")


def _die_with_parent() -> None:
    """In the child: a test run that is killed takes its server along (PR_SET_PDEATHSIG = 1 in prctl.h)."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PostgresProcess:
    """The server's processes, on one port."""

    def __init__(self, bindir: Path, folder: Path, account: dict[str, Any], port: int) -> None:
        settings = {
            "port": str(port), "listen_addresses": "localhost", "unix_socket_directories": "", "ssl": "on",
            "ssl_cert_file": f"{folder}/server.pem", "ssl_key_file": f"{folder}/server.key",
            "fsync": "off", "full_page_writes": "off", "max_connections": "20", "shared_buffers": "16MB",
        }  # fmt: skip
        self._command = [str(bindir / "postgres"), "-D", str(folder / "data")]
        for name, value in settings.items():
            # `ssl` goes into the file, where `without_tls` can change it: the command line would win over it.
            if name == "ssl":
                (folder / "data" / "postgresql.auto.conf").write_text("ssl = on\n")
            else:
                self._command += ["-c", f"{name}={value}"]
        self._folder = folder
        self._account = account
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> bool:
        """Start, or start again. False where it ended at once, as it does when its port was taken meanwhile."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, stdout=log, stderr=log, preexec_fn=_die_with_parent, **self._account
            )
        return _accepts(self._process, self.port)

    def stop(self) -> None:
        """A fast shutdown: sessions are ended, nothing is waited for."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to all of its processes, as when the machine's memory is short: what was committed stays."""
        assert self._process is not None
        sessions = _children_of(self._process.pid)
        self._process.kill()
        self._process.wait()
        for pid in sessions:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _until(lambda: not any(_is_alive(pid) for pid in sessions), "a session of Postgres outlives SIGKILL")


def _children_of(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@dataclass(frozen=True)
class PostgresServer:
    """One running server. Its certificate is for `localhost` only; its superuser is `postgres`, the app's `perseus`."""

    folder: Path
    process: PostgresProcess
    authority: Path
    stranger: Path
    #: Databases that each hold a schema alone, by its SQL: a copy is made in a tenth of the time that loading it takes.
    _templates: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def port(self) -> int:
        """Where it listens, the same after every start."""
        return self.process.port

    def url(self, database: str, *, host: str = "localhost", parameters: str = "") -> str:
        """The DSN as an operator writes it into DATABASE_URL, for the role `perseus`, which is no superuser."""
        return f"postgresql://perseus:{quote(PASSWORD, safe='')}@{host}:{self.port}/{database}{parameters}"

    def connect(self, database: str = "postgres", **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """A superuser's connection in autocommit, over verified TLS unless the options say otherwise."""
        defaults: dict[str, Any] = {
            "host": "localhost", "port": self.port, "user": "postgres", "password": PASSWORD, "dbname": database,
            "sslmode": "verify-full", "sslrootcert": str(self.authority), "connect_timeout": 5, "autocommit": True,
        }  # fmt: skip
        return psycopg.connect(**{**defaults, **options})

    @contextlib.contextmanager
    def database(self, schema: str = "") -> Iterator[str]:
        """The name of a new database owned by `perseus`, with the given SQL loaded, dropped at the end."""
        if schema and schema not in self._templates:
            template = self._create()
            self.run(template, schema)
            self._templates[schema] = template
        name = self._create(self._templates[schema] if schema else "template1")
        try:
            yield name
        finally:
            with self.connect() as admin:
                admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _create(self, template: str = "template1") -> str:
        name = f"test_{secrets.token_hex(6)}"
        create = sql.SQL("CREATE DATABASE {} OWNER perseus TEMPLATE {}")
        with self.connect() as admin:
            admin.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def run(self, database: str, statements: str) -> None:
        """Run SQL of any number of statements as `perseus`, in one transaction."""
        with self.connect(database, user="perseus", autocommit=False) as connection:
            connection.execute(statements.encode())

    @contextlib.contextmanager
    def without_tls(self) -> Iterator[None]:
        """The same server with `ssl = off`, as an operator could have left it."""
        self._set_ssl("off")
        try:
            yield
        finally:
            self._set_ssl("on")

    def _set_ssl(self, value: str) -> None:
        with self.connect(sslmode="prefer") as admin:
            admin.execute(sql.SQL("ALTER SYSTEM SET ssl = {}").format(sql.SQL(value)))
            admin.execute("SELECT pg_reload_conf()")
        _until(lambda: self._speaks_tls() == (value == "on"), f"the server did not turn ssl {value}")

    def _speaks_tls(self) -> bool:
        try:
            self.connect(sslmode="require").close()
        except psycopg.OperationalError:
            return False
        return True


def _until(condition: Callable[[], bool], failure: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(failure)
        time.sleep(0.02)


@contextlib.contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Start a server, and stop and remove it at the end."""
    bindir = postgres_bindir()
    # Postgres refuses to run as root: it then runs as the package's own user.
    account: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="perseus-postgres-"))
    try:
        authority, stranger = Authority(), Authority()
        (folder / "authority.pem").write_bytes(authority.certificate)
        (folder / "stranger.pem").write_bytes(stranger.certificate)
        certificate, key = authority.issue("localhost")
        (folder / "server.pem").write_bytes(certificate)
        (folder / "password").write_text(PASSWORD)
        (folder / "server.key").touch(mode=0o600)
        (folder / "server.key").write_bytes(key)
        if account:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, "postgres", "postgres")
        subprocess.run(
            [bindir / "initdb", "-D", folder / "data", "-U", "postgres", f"--pwfile={folder / 'password'}",
             "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"],
            check=True, stdout=subprocess.DEVNULL, cwd=folder, timeout=START_SECONDS, **account,
        )  # fmt: skip
        with _serving(bindir, folder, account) as process:
            server = PostgresServer(folder, process, folder / "authority.pem", folder / "stranger.pem")
            with server.connect() as admin:
                admin.execute(sql.SQL("CREATE ROLE perseus LOGIN PASSWORD {}").format(PASSWORD))
            yield server
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def _serving(bindir: Path, folder: Path, account: dict[str, Any]) -> Iterator[PostgresProcess]:
    for _attempt in range(5):
        process = PostgresProcess(bindir, folder, account, _free_port())
        try:
            if process.start():
                yield process
                return
        finally:
            process.stop()
    raise RuntimeError(f"Postgres did not start:\n{(folder / 'log').read_text(errors='replace')[-2000:]}")


def _accepts(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the server came up. False where it ended, as it does when its port was taken meanwhile."""

    def answered() -> bool:
        if process.poll() is not None:
            return True
        try:
            # Any answer of the server will do, a refusal included: "starting up" is the one to wait for.
            psycopg.connect(host="127.0.0.1", port=port, user="postgres", password=PASSWORD, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    _until(answered, f"no answer from Postgres on port {port}")
    return process.poll() is None
