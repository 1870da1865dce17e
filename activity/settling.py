"""Rows of commands follow what Redis says of them. Whoever looks brings them forward: pages, and the recorder.

Every step is a conditional UPDATE, so that any number of lookers may settle the same row at once. A command that nobody
took within 30 s of Redis' clock is closed in Redis first, so that no instance takes it any more; only then its row
says so.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from activity.models import Command
from activity.models.commands import OPEN
from activity.store.client import StoreUnavailable, SyncClient
from activity.store.commands import close_command, read_reports, redis_now
from activity.store.history import read_raw_statuses
from activity.store.standby import read_standbys
from activity.wire.commands import EXPIRES_MS, Report

#: Seconds after which a command that was taken, of an instance that is gone, has no end to come. Longer than a lease.
GONE_SECONDS: Final = 60.0
#: Rows looked at in one go.
MOST: Final = 200

State = Command.State


def settle(client: SyncClient, commands: Iterable[Command], now: datetime | None = None) -> list[Command]:
    """Bring these rows forward, and return those that moved. Never raises: a row says why nobody knows more."""
    moved = []
    by_instance: dict[str, list[Command]] = defaultdict(list)
    for command in commands:
        if command.state in OPEN:
            by_instance[command.instance_id].append(command)
    for instance_id, waiting in by_instance.items():
        try:
            now = now or datetime.fromtimestamp(redis_now(client) / 1000, UTC)
            reports = read_reports(client, instance_id, [command.correlation_id for command in waiting])
            for command, report in zip(waiting, reports, strict=True):
                if _advance(command, report or _overdue(client, command, now)):
                    moved.append(command)
                elif report is not None and report.progress == "acknowledged":
                    closed = _abandoned(client, command, report, now)
                    if closed is not None and _advance(command, closed):
                        moved.append(command)
        except StoreUnavailable as error:
            _say_problem(waiting, str(error))
    return moved


def settle_open(client: SyncClient) -> int:
    """All rows that are open. The number of those that are still."""
    waiting = list(Command.objects.filter(state__in=OPEN).order_by("id")[:MOST])
    settle(client, waiting)
    return sum(command.open for command in waiting)


def _overdue(client: SyncClient, command: Command, now: datetime) -> Report | None:
    """Closed, once 30 s have passed: from here on no instance takes it."""
    since = command.delivered_at or command.requested_at
    if (now - since).total_seconds() * 1000 < EXPIRES_MS:
        return None
    text = "the instance did not take it within 30 s" if command.delivered_at else "it never reached Redis"
    return close_command(client, command.instance_id, command.correlation_id, "expired", text)


def _abandoned(client: SyncClient, command: Command, report: Report, now: datetime) -> Report | None:
    """Failed, where its instance took it and is gone: nobody will say how it ended, and nobody carries it out again."""
    taken_at = datetime.fromtimestamp(report.acknowledgedAt / 1000, UTC)
    if (now - taken_at).total_seconds() < GONE_SECONDS or _lives(client, command):
        return None
    text = "the instance took it and ended before it reported: what was done is not known"
    return close_command(client, command.instance_id, command.correlation_id, "failed", text)


def _lives(client: SyncClient, command: Command) -> bool:
    [raw] = read_raw_statuses(client, [command.exchange_id])
    reading = raw.reading
    if reading is not None and reading.status is not None and reading.status.instanceId == command.instance_id:
        return True
    standbys = read_standbys(client, command.exchange_id)
    return any(view.status.instanceId == command.instance_id for view in standbys)


def _advance(command: Command, report: Report | None) -> bool:
    """The row as far as the report says; False where it is there already."""
    if report is None or report.progress == command.state:
        return False
    at = datetime.fromtimestamp(report.at / 1000, UTC)
    change: dict[str, object] = {"state": report.progress, "text": report.text, "problem": ""}
    if report.acknowledgedAt:
        change["acknowledged_at"] = datetime.fromtimestamp(report.acknowledgedAt / 1000, UTC)
    if report.progress != "acknowledged":
        change["ended_at"] = at
    if command.delivered_at is None and report.acknowledgedAt:
        change["delivered_at"] = change["acknowledged_at"]  # it arrived although nobody heard so
    Command.objects.filter(pk=command.pk, state__in=OPEN).update(**change)
    command.refresh_from_db()
    return True


def _say_problem(commands: Iterable[Command], problem: str) -> None:
    for command in commands:
        if command.problem != problem:
            Command.objects.filter(pk=command.pk, state__in=OPEN).update(problem=problem)
            command.problem = problem
