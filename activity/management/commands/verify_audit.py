"""`manage.py verify_audit`: whether the audit trail is whole."""

import re
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from activity.audit import verify
from activity.models import AuditEvent
from activity.schema.drift import require_current_schema


class Command(BaseCommand):
    """Exit code 0: the chain holds. 1: it does not, and the first broken link is named."""

    help = "Follows the chain of audit events and names the first link that is broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """A head that was noted elsewhere."""
        parser.add_argument("--head", metavar="NUMBER:HASH", help="an earlier head: this event must still be there")

    def handle(self, *args: Any, head: str | None, **options: Any) -> None:
        """Say what was found."""
        require_current_schema()
        if head is not None and not re.fullmatch(r"[0-9]{1,18}:[0-9a-f]{64}", head):
            raise CommandError(f"--head: {head!r} is no head; expected NUMBER:HASH as this command prints it")
        found = verify()
        fault = found.fault
        if not fault and head is not None:
            number, _, text = head.partition(":")
            if not AuditEvent.objects.filter(number=int(number), hash=text).exists():
                fault = f"event {number} is not what it was when the head {head} was noted, or has been cut off"
        if fault:
            self.stderr.write(f"The audit trail is broken: {fault}. {found.events} events before it hold.")
            sys.exit(1)
        self.stdout.write(f"{found.events} audit events, every link holds. Head: {found.events}:{found.head}")
