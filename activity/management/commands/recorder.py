"""`manage.py recorder`: the permanent record of every exchange's activity. See docs/recorder.md."""

import asyncio
import functools
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from activity.recorder.archive import Archive
from activity.recorder.database import limit_waiting
from activity.recorder.exits import ExitCode
from activity.recorder.jobs import send_notifications, settle_commands, watch_deaths
from activity.recorder.service import Job, calm_collector, hand_over_quickly, serve
from activity.schema.drift import require_current_schema
from perseus_admin.config import settings


class Command(BaseCommand):
    """Checks the database, then runs the jobs until it is asked to end."""

    help = "Store every entry of every active exchange in the database, exactly once, for as long as it runs."
    requires_system_checks: Any = ()  # they are about pages, and the recorder serves none

    def add_arguments(self, parser: CommandParser) -> None:
        """Options as in docs/recorder.md."""
        parser.add_argument("--once", action="store_true", help="catch up with what the streams hold now, then end")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        """Runs until it is asked to end; the exit codes are those of `ExitCode`."""
        limit_waiting()
        require_current_schema()
        connections.close_all()  # the jobs bring connections of their own
        archive = Archive(settings().redis, once=once)
        jobs = [Job("archive", archive.run, may_end=once)]
        if not once:
            environment = settings()
            deaths = functools.partial(watch_deaths, environment.redis, hostname=environment.hostname)
            jobs += [Job("deaths", deaths), Job("notifications", send_notifications)]
            jobs += [Job("commands", functools.partial(settle_commands, environment.redis))]
        calm_collector()
        hand_over_quickly()
        code = asyncio.run(serve(jobs))
        if archive.behind:
            raise CommandError(f"Not caught up: {archive.behind}", returncode=int(ExitCode.BEHIND))
        if code:
            raise SystemExit(int(code))
