"""`manage.py worker`: one exchange instance, alone or carrying a program. See docs/worker.md."""

import argparse
import asyncio
import re
import shutil
import socket
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from activity.instance.agent import run_worker
from activity.instance.console import LOG, Console, log_to
from activity.instance.exits import ExitCode
from activity.instance.idle import wait_for_exchange
from activity.instance.options import Telling, WorkerConfig
from activity.models import Exchange, User
from activity.schema.drift import require_current_schema
from activity.store.client import StoreUnavailable, name_of, require_redis, sync_client
from activity.user_settings import settings_of
from activity.wire.settings import UserSettings
from perseus_admin.config import settings


def seconds(text: str) -> float:
    """A positive number of seconds, up to a day."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0 and up to 86400")
    return value


def pattern(text: str) -> re.Pattern[str]:
    """A regular expression that is searched for in each line."""
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from error


def comma_list(text: str) -> tuple[str, ...]:
    """BTC/USD,ETH/USD: each once, in the given order."""
    parts = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if not all(parts):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name: expected BTC/USD,ETH/USD")
    return parts


def mode(text: str) -> str:
    """A short name such as live, paper or demo."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no mode: letters, digits, '_' and '-' only, such as live or demo"
        )
    return text


def refusal(text: str, code: ExitCode = ExitCode.USAGE) -> CommandError:
    """Nothing has been registered: say why, and end with `code`."""
    return CommandError(text, returncode=int(code))


class Command(BaseCommand):
    """Reads the exchange and the admin from the database, then leaves Django behind and runs the instance."""

    help = "Run the instance of one exchange. Everything after -- is the program that it carries."
    requires_system_checks: Any = ()  # they are about pages, and a worker serves none

    def add_arguments(self, parser: CommandParser) -> None:
        """Options as in docs/worker.md."""
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--exchange", metavar="NAME", help="the exchange, by its name")
        which.add_argument("--idle", action="store_true", help="wait until somebody assigns an exchange")
        parser.add_argument(
            "--admin",
            metavar="EMAIL",
            help="the user who answers for the instance, and whose settings and symbols it starts with",
        )
        parser.add_argument("--mode", type=mode, help="shown with the instance, e.g. live, paper or demo")
        parser.add_argument("--symbols", type=comma_list, default=(), metavar="A,B", help="symbols that are followed")
        start = parser.add_mutually_exclusive_group()
        start.add_argument("--standby", action="store_true", help="wait for the exchange instead of claiming it")
        start.add_argument("--take-over", metavar="TOKEN", help="take it from the holder that a refusal has named so")
        parser.add_argument("--error-pattern", type=pattern, metavar="REGEX", help="lines of output that are errors")
        parser.add_argument("--restart", choices=("on-failure",), help="start a program that failed again")
        ready = parser.add_mutually_exclusive_group()
        ready.add_argument("--ready-after", type=seconds, metavar="SECONDS", help="active this long after its start")
        ready.add_argument("--ready-pattern", type=pattern, metavar="REGEX", help="active when a line matches")
        parser.add_argument("--start-timeout", type=seconds, metavar="SECONDS", help="failed when not active by then")
        parser.add_argument(
            "--stop-grace", type=seconds, default=10.0, metavar="SECONDS", help="between SIGTERM and SIGKILL (10)"
        )
        parser.add_argument("--watchdog", type=seconds, metavar="SECONDS", help="longest silence between WATCHDOG=1")
        parser.add_argument(
            "--tell", action="append", default=[], metavar="HOW", help="how commands reach the program: docs/worker.md"
        )
        parser.add_argument("program", nargs="*", metavar="-- PROGRAM ARGS", help="the program that is carried")

    def handle(self, **options: Any) -> None:
        """Runs until the instance ends; the exit codes are those of `ExitCode`."""
        environment = settings()
        require_current_schema()
        exchange = None if options["idle"] else _exchange(options["exchange"])
        if options["idle"] and (options["standby"] or options["take_over"]):
            raise refusal("--idle: an instance without an exchange is no standby of one and takes none over")
        admin = _admin(options["admin"]) if options["admin"] is not None else None
        own = settings_of(admin) if admin else UserSettings()
        program = _program(options)
        hostname = environment.hostname or socket.gethostname()
        version = _require_redis(environment.redis)
        config = WorkerConfig(
            exchange_id=exchange.pk if exchange else 0,
            exchange_name=exchange.name if exchange else "",
            redis_url=environment.redis,
            hostname=hostname,
            heartbeat_seconds=environment.heartbeat_seconds,
            admin_email=admin.email if admin else None,
            admin_display_name=admin.get_full_name() if admin else None,
            mode=options["mode"] or own.mode,
            standby=options["standby"],
            take_over=options["take_over"] or "",
            symbols=options["symbols"] or (own.symbols.get(exchange.name, ()) if exchange else ()),
            program=program,
            error_pattern=options["error_pattern"],
            restart=options["restart"] is not None,
            ready_after=options["ready_after"],
            ready_pattern=options["ready_pattern"],
            start_timeout=options["start_timeout"],
            stop_grace=options["stop_grace"],
            tell=_telling(options),
            watchdog=options["watchdog"],
            ip_lookup_urls=environment.ip_lookup_urls,
            country_lookup_url=environment.country_lookup_url,
        )
        connections.close_all()  # the instance lives without the database from here on
        console = Console()
        log_to(console, exchange.name if exchange else "idle")
        LOG.info(
            "Worker of %s on host %s, Redis %s at %s, database %s",
            *(f"{exchange.name} (id {exchange.pk})" if exchange else "no exchange yet", hostname),
            *(version, name_of(environment.redis), _database()),
        )
        try:
            code = asyncio.run(_run(config))
            LOG.info("Ended with exit code %d (%s)", code, code.name)
        finally:
            console.close()
        if code:
            sys.exit(int(code))


async def _run(config: WorkerConfig) -> ExitCode:
    if config.exchange_id:
        return await run_worker(config)
    assigned = await wait_for_exchange(config)
    return await run_worker(assigned) if assigned else ExitCode.STOPPED


def _telling(options: dict[str, Any]) -> Telling:
    if options["tell"] and not options["program"]:
        raise refusal("--tell: only for a program, and none was given. It goes after --")
    try:
        return Telling.parse(tuple(options["tell"]))
    except ValueError as error:
        raise refusal(f"--tell: {error}") from error


def _exchange(name: str) -> Exchange:
    known = {exchange.name: exchange for exchange in Exchange.objects.order_by("name")}
    exchange = known.get(name.strip().lower())
    if exchange is None:
        names = ", ".join(name for name, exchange in known.items() if exchange.active) or "none"
        raise refusal(f"--exchange: {name!r} is no exchange of {_database()}. Known are: {names}")
    if not exchange.active:
        raise refusal(f"--exchange: {exchange.name} is inactive. Activate it in the Django admin first")
    return exchange


def _admin(email: str) -> User:
    try:
        user = User.objects.get_by_natural_key(email)
    except User.DoesNotExist as error:
        raise refusal(f"--admin: no user has the e-mail {email!r}") from error
    if not user.is_active:
        raise refusal(f"--admin: the user {user.email} is deactivated")
    return user


def _program(options: dict[str, Any]) -> tuple[str, ...]:
    program: list[str] = options["program"]
    if program and shutil.which(program[0]) is None:
        raise refusal(f"{program[0]!r} is no program that can be run: give its path, or put it on PATH")
    only_with = ("error_pattern", "restart", "ready_after", "ready_pattern", "start_timeout", "watchdog")
    useless = [f"--{name.replace('_', '-')}" for name in only_with if options[name] is not None]
    if useless and not program:
        raise refusal(f"{', '.join(useless)}: only for a program, and none was given. It goes after --")
    return tuple(program)


def _require_redis(url: str) -> str:
    environment = settings()
    try:
        with sync_client(url) as client:
            return require_redis(client)
    except StoreUnavailable as error:
        text = f"No Redis answers at {name_of(url)}: {error}"
        if environment.redis_url is None:
            text = (
                f"No Redis answers at {name_of(url)}: nothing runs with PERSEUS_DATA={environment.data}; "
                f"start `make run` there, or set REDIS_URL"
            )
        raise refusal(text, ExitCode.REDIS_UNREACHABLE) from error


def _database() -> str:
    values = connections["default"].settings_dict
    return f"{values['HOST']}/{values['NAME']}" if values["HOST"] else str(values["NAME"])
