"""The whole network on one machine: its processes in the order in which they need one another, and back again."""

import http.client
import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn, TypeVar

from django.db import DatabaseError, connections

from activity.management.demo import PARTS, Demo
from activity.management.processes import Child, Interrupted, Runner
from activity.models import Exchange, User
from activity.store.client import StoreUnavailable, sync_client
from activity.store.embedded import CannotEmbed, EmbeddedRedis, version_when_ready
from activity.store.history import read_raw_statuses
from activity.wire.status import read_status
from perseus_admin.config import BASE_DIR, Settings

#: The loopback interface only: whoever wants others to reach it puts a proxy with TLS before it.
HOST: Final = "127.0.0.1"
#: Everything that will speak, for the width of the column.
NAMES: Final = ("up", "database", "redis", "web", "recorder", *(part.name for part in PARTS))

#: Seconds for the steps of the start. Redis reads its whole history, so it gets long.
DATABASE_SECONDS: Final = 120.0
REDIS_SECONDS: Final = 300.0
WEB_SECONDS: Final = 120.0
#: A step that takes longer says so this often.
PROGRESS_SECONDS: Final = 5.0
#: Seconds before a recorder that ended by itself is started again: doubled each time, up to the longest.
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
#: Seconds between SIGTERM and SIGKILL; their sum leaves room for the killing within the 10 s that Ctrl-C may take.
WORKERS_GRACE: Final = 4.0
WEB_GRACE: Final = 2.0
REDIS_GRACE: Final = 2.0

T = TypeVar("T")


class Refused(Exception):
    """The network is not started; the message says why and what to do. Nothing runs."""


class Failed(Exception):
    """A process that the others need is gone, or never became ready. The message says which and how."""


class Network:
    """One run. `run` returns the exit code; it leaves processes that its `Runner` ends."""

    def __init__(
        self, runner: Runner, settings: Settings, *, folder: Path, port: int, redis: EmbeddedRedis | None, demo: bool
    ) -> None:
        self._runner = runner
        self._settings = settings
        self._folder = folder
        self._port = port
        self._embedded = redis
        self._wants_demo = demo
        self._redis: Child | None = None
        self._web: Child | None = None
        self._recorder: Child | None = None
        self._recorder_at: float | None = None
        self._recorder_pause = FIRST_PAUSE
        self._demo: Demo | None = None
        self._admin_is_new = False

    def run(self) -> int:
        """Until Ctrl-C or SIGTERM (0), or until a process that all need is gone (1). Raises Refused."""
        try:
            self._start()
            self._watch()
        except Interrupted:
            self._runner.say("ending: workers first, so that they release their exchanges")
            self._end()
            self._runner.say("ended")
            return 0
        except Failed as error:
            self._runner.say(f"{error}. Ending everything")
            self._end()
            return 1

    # --- up ---

    def _start(self) -> None:
        self._prepare_database()
        if self._embedded is not None:
            self._start_redis(self._embedded)
        self._start_web()
        self._start_recorder()
        self._welcome()
        if self._wants_demo:
            self._runner.say(
                "starting a demo network: four instances and a standby. They are no real traders, and say mode demo on "
                "their cards. One crashes soon and comes back, one is taken over; this terminal says when"
            )
            self._demo = Demo(
                self._runner,
                heartbeat_seconds=self._settings.heartbeat_seconds,
                admin_email=self._admin_email(),
                holder=self._holder,
                pages=f"http://{HOST}:{self._port}/",
            )

    def _admin_email(self) -> str | None:
        """The first admin, where that user is still there."""
        email = self._settings.admin_email.strip().lower()
        try:
            return email if User.objects.filter(email=email, is_active=True).exists() else None
        finally:
            connections.close_all()  # this process needs no database beyond this look

    def _holder(self, name: str) -> str:
        """The host name of the instance that holds an exchange; empty where nobody does, or nobody can say now."""
        try:
            ids = list(Exchange.objects.filter(name=name).values_list("pk", flat=True))
            with sync_client(self._settings.redis) as client:
                values = [raw.value for raw in read_raw_statuses(client, ids)]
        except (StoreUnavailable, DatabaseError):
            return ""
        finally:
            connections.close_all()
        status = read_status(values[0]).status if values and values[0] is not None else None
        return status.hostname or "" if status else ""

    def _prepare_database(self) -> None:
        self._runner.say("preparing the database")
        start = time.monotonic()
        # Held back: when it refuses, its words are the reason that we refuse, not an output that scrolls by.
        child = self._runner.start(
            "database",
            [sys.executable, "manage.py", "prepare", "--exchanges", "--admin"],
            folder=BASE_DIR,
            hold_lines=True,
        )
        while child.returncode is None:
            self._turn(0.2)
            if time.monotonic() - start > DATABASE_SECONDS:
                raise Refused(f"The database is not ready after {DATABASE_SECONDS:g} s")
        lines = list(child.held or ())
        if child.returncode:
            reason = "\n".join(lines).removeprefix("Perseus cannot start.").removeprefix("CommandError:").strip()
            raise Refused(reason or f"manage.py prepare has {child.ending}")
        for line in lines:
            self._runner.say(line, child.name)
        self._admin_is_new = any("first admin was made" in line for line in lines)
        self._done("database", start)

    def _start_redis(self, redis: EmbeddedRedis) -> None:
        self._runner.say(f"starting the embedded Redis: {redis.server.label}")
        start = time.monotonic()
        try:
            lock = redis.claim(self._runner.say)
        except CannotEmbed as error:
            raise Refused(str(error)) from error
        try:
            self._redis = self._runner.start("redis", redis.command, folder=self._folder, pass_fds=(lock,))
        finally:
            os.close(lock)  # the server has inherited it, and holds it as long as it lives

        def ready() -> str | None:
            try:
                return version_when_ready(self._settings.redis)
            except StoreUnavailable as error:
                raise Failed(str(error)) from error

        self._wait("Redis", ready, seconds=REDIS_SECONDS)
        self._done("redis", start)

    def _start_web(self) -> None:
        self._runner.say("starting the web process")
        start = time.monotonic()
        self._web = self._runner.start("web", web_command(self._port), folder=BASE_DIR)
        self._wait("the page", self._page_answers, seconds=WEB_SECONDS)
        self._done("web", start)

    def _start_recorder(self) -> None:
        # Nobody waits for it: what comes before it is ready stands in the streams, from which it catches up.
        self._recorder_at = None
        self._recorder = self._runner.start("recorder", [sys.executable, "manage.py", "recorder"], folder=BASE_DIR)

    def _page_answers(self) -> bool | None:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=5)
        try:
            connection.request("GET", "/sign-in/", headers={"Host": self._host()})
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        if status == http.client.OK:
            return True
        if status < http.client.INTERNAL_SERVER_ERROR:
            raise Failed(f"the sign-in page answers with {status} instead of 200")
        return None

    def _host(self) -> str:
        """A host name that the web process answers to."""
        allowed = self._settings.allowed_hosts
        if not allowed or {"*", HOST} & set(allowed):
            return f"{HOST}:{self._port}"
        return allowed[0].removeprefix(".")

    def _welcome(self) -> None:
        say, environment = self._runner.say, [f"PERSEUS_DATA={shlex.quote(str(self._folder))}"]
        for name, value in (("REDIS_URL", self._settings.redis_url), ("DATABASE_URL", self._settings.database_url)):
            if value is not None:
                environment.append(f"{name}=…")  # may hold a password: its owner knows it
        python, manage = Path(sys.executable), BASE_DIR / "manage.py"
        here = Path.cwd()
        program = " ".join(
            shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path)) for path in (python, manage)
        )
        say(f"Perseus is ready at http://{HOST}:{self._port}/")
        email = self._settings.admin_email
        if self._admin_is_new:
            say(f"  sign in: as {email}, with the password that the database step above tells")
        else:
            say(f"  sign in: as before; forgotten: {' '.join(environment)} {program} changepassword {email}")
        say(f"  join:    {' '.join(environment)} {program} worker --exchange NAME -- your-bot")
        say("  end:     Ctrl-C")

    # --- there ---

    def _watch(self) -> NoReturn:
        while True:
            if self._demo is not None:
                self._demo.tick()
            if self._recorder_at is not None and time.monotonic() >= self._recorder_at:
                self._start_recorder()
            self._turn(0.5)

    def _turn(self, seconds: float) -> None:
        for child in self._runner.turn(seconds):
            if self._demo is not None:
                self._demo.ended(child)
            if child is self._recorder:
                self._recorder_ended(child)
        self._runner.check()
        for needed in (self._redis, self._web):
            if needed is not None and needed.returncode is not None:
                raise Failed(f"{needed.name} has {needed.ending}, and nothing works without it")

    def _recorder_ended(self, child: Child) -> None:
        """Nothing else stands still without it, and nothing is lost meanwhile, so it is started again."""
        now = time.monotonic()
        if now - child.started > LONGEST_PAUSE:
            self._recorder_pause = FIRST_PAUSE
        self._recorder, self._recorder_at = None, now + self._recorder_pause
        self._runner.say(f"recorder has {child.ending}; again in {self._recorder_pause:g} s, it then catches up")
        self._recorder_pause = min(2 * self._recorder_pause, LONGEST_PAUSE)

    def _wait(self, what: str, condition: Callable[[], T | None], *, seconds: float) -> T:
        start = time.monotonic()
        said = start
        while True:
            answer = condition()
            if answer is not None:
                return answer
            self._turn(0.1)
            now = time.monotonic()
            if now - start > seconds:
                raise Failed(f"{what} is not ready after {seconds:g} s")
            if now - said > PROGRESS_SECONDS:
                self._runner.say(f"{what} is not ready yet, {now - start:.0f} s")
                said = now

    def _done(self, name: str, start: float) -> None:
        self._runner.say(f"{name} is ready after {time.monotonic() - start:.1f} s")

    # --- down ---

    def _end(self) -> None:
        if self._demo is not None:
            self._runner.end(self._demo.children, WORKERS_GRACE)
        self._runner.end([child for child in (self._web, self._recorder) if child], WEB_GRACE)
        self._runner.end([self._redis] if self._redis else [], REDIS_GRACE)


def web_command(port: int) -> list[str]:
    """The web process. Clients send little (cursors and acknowledgements), so a large message is an attack."""
    return [
        *(sys.executable, "-m", "daphne", "-b", HOST, "-p", str(port), "-v", "0", "--no-server-name"),
        *("--websocket-max-message-size", "65536", "--websocket-max-frame-size", "65536"),
        *("--ping-interval", "20", "--ping-timeout", "30", "--application-close-timeout", "5"),
        "perseus_admin.asgi:application",
    ]
