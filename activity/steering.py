"""Commands and claims: who may, to whom exactly, written down with its audit event, then sent.

The row and its event are one transaction; after it the command is appended to the instance's stream, once. When Redis
refuses, the row says so, and 30 s later that it expired: nothing is sent behind anybody's back.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from activity.access import Verb, can
from activity.audit import Action, origin, record
from activity.models import Command, Exchange, User
from activity.models.commands import CLAIMS
from activity.store.client import StoreUnavailable, SyncClient
from activity.store.commands import QueueFull, send_command
from activity.store.history import read_raw_statuses
from activity.store.ownership import identify
from activity.text import cut, visible
from activity.wire.commands import CommandType
from activity.wire.status import ReadStatus, ttl_seconds

#: What each command needs beside the right to view.
VERBS: Final[dict[CommandType, Verb]] = {
    kind: "claim" if kind in (CommandType.CLAIM, CommandType.RELEASE) else "command" for kind in CommandType
}
#: Characters of a reason.
REASON_CHARS: Final = 2000


class Refused(Exception):
    """It was not sent, and nothing was written down. The message is the user's, in their language."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds an exchange now, as a form shows it. `token` tells whether it is still the same."""

    status: ReadStatus
    instance_id: str
    token: str
    #: The e-mail of the newest claim that the status need not carry yet, '' for a release; None: there is none.
    asked: str | None = None
    #: The row of the newest claim or release of this instance, 0 for none.
    claim: int = 0

    @property
    def shown(self) -> dict[str, str]:
        """The parts that a form shows and compares, by name."""
        status = self.status
        return {
            "host": visible(status.hostname),
            "ip": visible(status.ipAddress or "not detected"),
            "admin": visible((status.adminEmail if self.asked is None else self.asked) or "nobody"),
            "state": status.connectionState.value,
            "epoch": "none" if status.epoch is None else str(status.epoch),
            "instance": visible(status.instanceId or "an older writer"),
            "registered": visible(status.registeredAt or "unknown"),
        }

    @property
    def lacking(self) -> list[str]:
        """The parts of `shown` that are not known: words stand in their place."""
        status = self.status
        known = {
            "ip": status.ipAddress,
            "admin": status.adminEmail if self.asked is None else self.asked,
            "epoch": status.epoch is not None,
            "instance": status.instanceId,
            "registered": status.registeredAt,
        }
        return [name for name, value in known.items() if not value]

    @property
    def claimed_by(self) -> str:
        """The e-mail of who answers for it; empty: nobody. Who claimed it answers before its next heartbeat says so."""
        return self.written_by if self.asked is None else self.asked

    @property
    def written_by(self) -> str:
        """The e-mail that the instance itself has written."""
        return (self.status.adminEmail or "").lower()


def holder_of(client: SyncClient, exchange: Exchange) -> Holder | None:
    """Who holds the exchange now, None where nobody does. Raises StoreUnavailable, Refused for what nobody reads."""
    [raw] = read_raw_statuses(client, [exchange.pk])
    reading = raw.reading
    if reading is None:
        return None
    if reading.status is None:
        raise Refused(
            _("The instance's status cannot be read, so nothing can be sent to it: %(problem)s")
            % {"problem": reading.problem}
        )
    status = reading.status
    claim = _newest_claim(exchange, status.instanceId or "")
    asked = None
    if claim is not None and _is_under_way(claim, status):
        asked = str(claim.payload.get("email", "")).lower() if claim.type == CommandType.CLAIM else ""
    token = identify(client, exchange.pk, reading.raw)
    return Holder(status, status.instanceId or "", token, asked, claim.pk if claim else 0)


def _newest_claim(exchange: Exchange, instance_id: str) -> Command | None:
    found = Command.objects.filter(exchange=exchange, instance_id=instance_id[:200], type__in=CLAIMS)
    return found.exclude(state__in=(Command.State.FAILED, Command.State.EXPIRED)).first()


def _is_under_way(claim: Command, status: ReadStatus) -> bool:
    """Whether the instance has still to write it: a heartbeat carries it, and two more may fail."""
    if claim.ended_at is None:
        return True
    return timezone.now() - claim.ended_at < timedelta(seconds=ttl_seconds(status.interval))


def require(user: User, exchange: Exchange, kind: CommandType, holder: Holder | None) -> Holder:
    """That the user may send it now, and to whom. Raises Refused."""
    if not can(user, exchange, VERBS[kind]):
        told = {"command": kind.value, "exchange": exchange.name, "right": VERBS[kind]}
        raise Refused(_("You may not %(command)s on %(exchange)s: it needs the right to %(right)s.") % told)
    if holder is None:
        raise Refused(
            _("No instance holds %(exchange)s now, so there is nobody to tell.") % {"exchange": exchange.name}
        )
    if not holder.instance_id:
        raise Refused(_("An older writer holds the exchange: it knows no commands."))
    if kind == CommandType.RELEASE and holder.claimed_by != user.email and not can(user, exchange, "takeover"):
        raise Refused(_("%(who)s answers for it, not you.") % {"who": holder.shown["admin"]})
    if kind == CommandType.CLAIM and holder.claimed_by not in ("", user.email) and not can(user, exchange, "takeover"):
        words = _("%(who)s answers for it. Taking it over needs the right to take over.")
        raise Refused(words % {"who": holder.shown["admin"]})
    return holder


_ACTIONS: Final = {CommandType.CLAIM: Action.CLAIMED, CommandType.RELEASE: Action.RELEASED}


def send(
    client: SyncClient,
    user: User,
    exchange: Exchange,
    kind: CommandType,
    holder: Holder,
    *,
    payload: Mapping[str, Any] | None = None,
    reason: str = "",
    correlation_id: uuid.UUID | None = None,
) -> Command:
    """Write it down, then send it. One that was written down already is returned as it is. Raises Refused."""
    require(user, exchange, kind, holder)
    return _write_and_send(
        *(client, user, exchange, kind, dict(payload or {}), cut(reason.strip(), REASON_CHARS)[0]),
        *(correlation_id or uuid.uuid4(), holder.instance_id, holder.status.hostname),
        epoch=str(holder.status.epoch or ""),
        taken_over=kind == CommandType.CLAIM and holder.claimed_by not in ("", user.email),
        before=holder.shown,
        claim=holder.claim if kind in CLAIMS else None,
    )


def assign(
    client: SyncClient,
    user: User,
    exchange: Exchange,
    instance_id: str,
    host: str,
    *,
    payload: Mapping[str, Any],
    correlation_id: uuid.UUID,
) -> Command:
    """Give an idle instance an exchange. Raises Refused where the user may not, or somebody holds it."""
    if not can(user, exchange, "command"):
        words = _("You may not start an instance on %(exchange)s: it needs the right to command.")
        raise Refused(words % {"exchange": exchange.name})
    if holder_of(client, exchange) is not None:
        raise Refused(_("%(exchange)s has an instance already.") % {"exchange": exchange.name})
    return _write_and_send(
        *(client, user, exchange, CommandType.START, dict(payload), "", correlation_id, instance_id, host),
        epoch="",
        action=Action.ASSIGNED,
    )


def _write_and_send(
    client: SyncClient,
    user: User,
    exchange: Exchange,
    kind: CommandType,
    payload: dict[str, Any],
    reason: str,
    correlation_id: uuid.UUID,
    instance_id: str,
    host: str,
    *,
    epoch: str,
    taken_over: bool = False,
    before: Mapping[str, str] | None = None,
    action: Action | None = None,
    claim: int | None = None,
) -> Command:
    known = Command.objects.filter(correlation_id=correlation_id, user=user, exchange=exchange).first()
    if known is not None:
        return known
    with transaction.atomic():
        if claim is not None:
            Exchange.objects.select_for_update().get(pk=exchange.pk)
            newest = _newest_claim(exchange, instance_id)
            if (newest.pk if newest else 0) != claim:  # of two who saw the same holder, one wins
                raise Refused(_("Somebody else was faster. Nothing was done: look at who answers for it now."))
        command = Command.objects.create(
            correlation_id=correlation_id,
            exchange=exchange,
            instance_id=instance_id[:200],
            host=host[:255],
            epoch=epoch[:20],
            type=kind.value,
            payload=payload,
            reason=reason,
            user=user,
            issued_by=user.email,
            ip=origin().ip[:45],
            requested_at=timezone.now(),
        )
        record(
            action or (Action.TAKEN_OVER if taken_over else _ACTIONS.get(kind, Action.COMMANDED)),
            f"{kind.value} to instance {instance_id}",
            exchange=exchange,
            actor=user,
            before=before,
            after=payload,
            reason=reason,
            host=host,
            correlation_id=correlation_id,
        )
    _deliver(client, command, payload)
    return command


def _moment(milliseconds: int | None) -> datetime:
    """By Redis' clock, where it told the time: by that clock the command ages."""
    return timezone.now() if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _deliver(client: SyncClient, command: Command, payload: dict[str, Any]) -> None:
    change: dict[str, Any]
    try:
        sent_ms = send_command(
            *(client, command.instance_id, command.correlation_id, command.type),
            *(json.dumps(payload), command.issued_by),
        )
        change = {"state": Command.State.DELIVERED, "delivered_at": _moment(sent_ms)}
    except QueueFull as error:
        change = {"state": Command.State.FAILED, "ended_at": timezone.now(), "text": f"not sent: {error}"}
    except StoreUnavailable as error:
        # Perhaps it arrived and only the answer was lost: `settling` finds out, and closes it otherwise.
        change = {"problem": f"{error}. Whether it was sent is found out as soon as Redis answers."}
    Command.objects.filter(pk=command.pk, state=Command.State.REQUESTED).update(**change)
    command.refresh_from_db()
