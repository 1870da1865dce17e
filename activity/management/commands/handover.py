"""`manage.py handover`: hand an exchange to one of its standbys on purpose. See docs/worker.md."""

import asyncio
import time
from contextlib import closing
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from activity.models import Exchange
from activity.store.client import StoreUnavailable, lease_client, sync_client
from activity.store.ownership import Asked, Legacy, NoStandby, Ownership, OwnershipRecord, Vacant
from activity.store.standby import StandbyView, read_standbys
from perseus_admin.config import settings

#: The owner hears of it with its next heartbeat, so this is several of them.
HEEDED_SECONDS: Final = 60
_LOOK_SECONDS: Final = 0.5


class Command(BaseCommand):
    """Asks, then follows what happens until the standby holds the exchange."""

    help = "Hand an exchange to one of its standbys: the owner stops its program in order and releases it to that one."
    requires_system_checks: Any = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Options as in docs/worker.md."""
        parser.add_argument("--exchange", required=True, metavar="NAME", help="the exchange, by its name")
        parser.add_argument("--to", metavar="INSTANCE", help="the standby, by its instance id or the beginning of it")
        parser.add_argument("--timeout", type=float, default=180.0, metavar="SECONDS", help="longest wait (180)")

    def handle(self, **options: Any) -> None:
        """Exit code 1 with the reason where the standby does not become the owner in time."""
        name = options["exchange"].strip().lower()
        exchange = Exchange.objects.filter(name=name).first()
        if exchange is None:
            names = ", ".join(Exchange.objects.order_by("name").values_list("name", flat=True)) or "none"
            raise CommandError(f"--exchange: {name!r} is no exchange. Known are: {names}")
        try:
            with closing(sync_client(settings().redis)) as client:
                standby = _chosen(name, read_standbys(client, exchange.pk), options["to"])
            asyncio.run(self._hand_over(exchange, standby, options["timeout"]))
        except StoreUnavailable as error:
            raise CommandError(f"{error}") from error

    async def _hand_over(self, exchange: Exchange, standby: StandbyView, timeout: float) -> None:  # noqa: ASYNC109
        to = standby.status.instanceId
        client = lease_client(settings().redis)
        try:
            ownership = Ownership(client, exchange.pk)
            answer = await ownership.request_handover(to, within_ms=HEEDED_SECONDS * 1000)
            match answer:
                case Vacant():
                    raise CommandError(f"{exchange.name} has no owner: its standbys take it by themselves")
                case Legacy():
                    raise CommandError(f"The holder of {exchange.name} cannot be asked: it reports no epoch")
                case NoStandby():
                    raise CommandError(f"The standby {to} has gone")
                case Asked():
                    self.stdout.write(f"Asked the owner (epoch {answer.epoch}) to hand {exchange.name} to {to}")
                    await self._follow(ownership, answer.epoch, to, timeout)
        finally:
            await client.aclose()

    async def _follow(self, ownership: Ownership, epoch: int, to: str, timeout: float) -> None:  # noqa: ASYNC109
        deadline = time.monotonic() + timeout
        released = False
        while time.monotonic() < deadline:
            record = await ownership.record()
            if record.epoch > epoch:
                if record.owner != to:
                    raise CommandError(f"Another instance became the owner: {record.owner}, epoch {record.epoch}")
                self.stdout.write(f"The standby {to} is the owner, epoch {record.epoch}")
                return
            if not released and _is_released(record, to):
                released = True
                self.stdout.write("The owner has stopped and released it")
            await asyncio.sleep(_LOOK_SECONDS)
        raise CommandError(f"The standby {to} has not become the owner within {timeout:.0f} s")


def _is_released(record: OwnershipRecord, to: str) -> bool:
    return record.state == "released" and record.hand_to == to


def _chosen(name: str, standbys: list[StandbyView], to: str | None) -> StandbyView:
    """The standby with that id, or the one that waits longest."""
    waiting = [view for view in standbys if to is None or view.status.instanceId.startswith(to)]
    if not waiting or (to is not None and len(waiting) > 1):
        known = "; ".join(f"{view.status.instanceId} on {view.status.hostname}" for view in standbys) or "none"
        which = "has no standby" if to is None else f"has {'several' if waiting else 'no'} standbys {to!r}"
        raise CommandError(f"{name} {which}. Waiting are: {known}")
    return waiting[0]
