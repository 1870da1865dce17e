"""A real web process for tests: daphne on a free port, SQLite and settings in a folder of its own."""

import http.cookiejar
import json
import os
import re
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from tests.servers import RedisServer, free_port
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parent.parent
#: Exchanges of every test database, by id.
EXCHANGES = {1: "binance", 2: "coinbase", 3: "kraken"}
PASSWORD = "correct horse battery staple"
#: ESTABLISHED and CLOSE_WAIT, as the kernel writes them.
_OPEN = ("01", "08")

_SETUP = """
import json, sys
import django
django.setup()
from django.core.management import call_command
call_command("migrate", run_syncdb=True, verbosity=0)
from activity.models import Exchange, User, WallLink
plan = json.loads(sys.argv[1])
for number, name in plan["exchanges"].items():
    Exchange.objects.create(id=int(number), name=name, display_name=name.title())
from django.test import Client
sessions = {}
makers = {"admin@example.org": User.objects.create_superuser, "nobody@example.org": User.objects.create_user}
for email, make in makers.items():
    client = Client()
    client.force_login(make(email, plan["password"], display_name=email.split("@")[0].title()),
                       backend="django.contrib.auth.backends.ModelBackend")
    sessions[email] = client.cookies["sessionid"].value
sessions["wall"] = WallLink.issue(User.objects.get(email="admin@example.org"), "office")[1]
print(json.dumps(sessions))
"""


def environment(folder: Path, redis_url: str, **more: str) -> dict[str, str]:
    """The environment of a process of Perseus that uses this folder and Redis, and nothing of the developer's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PERSEUS_", "DATABASE_URL"))}
    ours = {
        "PERSEUS_DATA": str(folder),
        "REDIS_URL": redis_url,
        "PERSEUS_IP_LOOKUP_URLS": "http://127.0.0.1:9/",
        "DJANGO_SETTINGS_MODULE": "perseus_admin.settings",
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",  # a process that does not end is asked where it stands
        "PYTHONPATH": str(ROOT),
    }
    return kept | ours | more


def make_data_folder(folder: Path, exchanges: Mapping[int, str] = EXCHANGES) -> None:
    """A data folder with a database of some exchanges, a superuser who has a screen's link, a user without rights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "secret-key").write_text(secrets.token_urlsafe(48))
    plan = json.dumps({"exchanges": exchanges, "password": PASSWORD})
    done = subprocess.run(
        [sys.executable, "-c", _SETUP, plan],
        env=environment(folder, "redis://127.0.0.1:1"),
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (folder / "sessions.json").write_bytes(done.stdout)


class Browser:
    """A plain HTTP client with cookies."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """(status, body). Redirects are followed."""
        return self._open(urllib.request.Request(self.base + path, headers=headers))

    def post(self, path: str, **fields: str) -> tuple[int, str]:
        """(status, body) of a form sent with the CSRF token of the cookie."""
        token = next((c.value or "" for c in self.jar if c.name == "csrftoken"), "")
        data = urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": token}).encode()
        return self._open(urllib.request.Request(self.base + path, data=data, headers={"Referer": self.base + path}))

    def sign_in(self, email: str = "admin@example.org") -> "Browser":
        """Through the form, as people do."""
        status, _ = self.get("/sign-in/")
        assert status == 200, status
        status, body = self.post("/sign-in/", login=email, password=PASSWORD)
        assert status == 200, body[:2000]
        assert "sessionid" in {c.name for c in self.jar}, re.sub(r"<[^>]+>|\s+", " ", body)[:2000]
        return self

    @property
    def cookie(self) -> str:
        """The Cookie header that a socket of this browser sends."""
        return "; ".join(f"{c.name}={c.value}" for c in self.jar)

    def _open(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with self._opener.open(request, timeout=15) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


class DataFolder:
    """A folder that `make_data_folder` made, and the settings of the processes on it."""

    def __init__(self, folder: Path, redis_url: str, **more: str) -> None:
        self.folder = folder
        self.environment = environment(folder, redis_url, **more)

    def cookie(self, email: str = "admin@example.org") -> str:
        """The Cookie header of a user who has signed in before the test began."""
        return f"sessionid={self._handed_out()[email]}"

    @property
    def wall(self) -> str:
        """The link of a screen that shows every exchange, which was issued before the test began."""
        return self._handed_out()["wall"]

    def _handed_out(self) -> dict[str, str]:
        handed_out: dict[str, str] = json.loads((self.folder / "sessions.json").read_text())
        return handed_out

    def hand_out(self, sessions: dict[str, str]) -> None:
        """Let these users, by e-mail, have signed in before the test began, too."""
        (self.folder / "sessions.json").write_text(json.dumps(self._handed_out() | sessions))

    def archived(self, exchange: str) -> list[str]:
        """Ids of what a recorder has archived of an exchange, looked up without a process of ours."""
        sql = """
            SELECT ms || '-' || seq FROM archived_entries JOIN exchanges ON exchanges.id = exchange_id
            WHERE exchanges.name = ? ORDER BY ms, seq
        """
        with closing(sqlite3.connect(self.folder / "perseus.sqlite3", timeout=20)) as database:
            return [entry_id for (entry_id,) in database.execute(sql, [exchange])]

    def manage(self, *arguments: str) -> None:
        """Run one of our commands with these settings, to its end."""
        command = [sys.executable, "manage.py", *arguments]
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True, capture_output=True, timeout=60)

    def run(self, code: str) -> str:
        """Run Python inside the project with these settings; its standard output."""
        prelude = "import django; django.setup()\nfrom activity.models import *\n"
        done = subprocess.run(
            [sys.executable, "-c", prelude + code], cwd=ROOT, env=self.environment, check=True, capture_output=True
        )
        return done.stdout.decode()


class WebServer(DataFolder):
    """One daphne process."""

    def __init__(self, folder: Path, redis_url: str, **more: str) -> None:
        super().__init__(folder, redis_url, **more)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "web.log"
        self.start()

    def start(self) -> None:
        """Start, or start again on the same port."""
        command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(self.port), "-v", "0"]
        command += ["--websocket-max-message-size", "65536"]  # as `up` and the Dockerfile start it
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "perseus_admin.asgi:application"], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )

        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            return Browser(self.url).get("/ready-yet/")[0] in (200, 302, 404)

        try:
            eventually(answers, within=30)
        except BaseException:
            self.process.kill()  # nobody else knows of it yet
            self.process.wait(5)
            raise

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it and wait."""
        if self.process is not None:
            self.process.send_signal(how)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired as error:
                self.process.send_signal(signal.SIGABRT)
                self.process.wait(5)
                raise AssertionError(f"it has not ended:\n{self.log.read_text()[-8000:]}") from error
            finally:
                self.process.kill()
                self.process.wait(5)
            self.process = None

    def forget(self, redis_server: RedisServer) -> None:
        """Wait until nobody watches any more, so that what this process keeps for viewers is gone.

        A page that was closed a moment ago may still have its tail, whose ring holds entries that the next test's empty
        Redis never had: the first page of that test would be sent them.
        """

        def deserted() -> bool:
            with redis_server.client() as client:
                return not any("b" in one["flags"] for one in client.client_list()) and not self._connections()

        eventually(deserted, every=0.01)
        Browser(self.url).get("/ready-yet/")  # its loop has gone round: what the closing of sockets began is done
        eventually(deserted, every=0.01)

    def _connections(self) -> int:
        """Connections to this server that either side has not closed yet."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(row[1].endswith(f":{self.port:04X}") and row[3] in _OPEN for row in rows)

    def browser(self) -> Browser:
        """A new browser, signed in nowhere."""
        return Browser(self.url)


def copy_of(template: Path, folder: Path) -> Path:
    """A data folder of its own for one test, copied from one that is made once."""
    shutil.copytree(template, folder)
    return folder


@contextmanager
def recorder_beside(web: DataFolder) -> "Iterator[subprocess.Popen[bytes]]":
    """`manage.py recorder` on the same stores, which must still run at the end of the `with`."""
    log = web.folder / "recorder.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "recorder"], cwd=ROOT, env=web.environment, stdout=output, stderr=output
        )
    try:
        yield process
        assert process.poll() is None, log.read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        finally:
            process.kill()
            process.wait(5)
