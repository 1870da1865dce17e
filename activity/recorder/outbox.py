"""The durable queue of notifications, in SQL.

What is still to be told lies in the archive, behind a cursor per channel and exchange; at most one message per channel
is made of it at a time.

Everything here runs in the notifier's database thread, and each function is one transaction: killed anywhere, nothing
is lost. A message that was being sent is sent again, under the same delivery number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from activity.models import ArchiveCursor, ArchivedEntry, Delivery, DeliveryEntry, Exchange, NotificationChannel
from activity.models.notifications import NotificationCursor
from activity.recorder.messages import FOOTER_BYTES, kind_of, split, text_of, title_of
from activity.recorder.right import RightToSend
from activity.wire.entries import RETENTION_DAYS, EntryId

#: Entries of one exchange that are looked at for one message.
_BATCH: Final = 200
#: Old deliveries removed with each one that is sent. They are kept as long as a stream keeps its entries.
_FORGOTTEN: Final = 100
_GAP: Final = "\n\n"


@dataclass(frozen=True, slots=True)
class Room:
    """How much one message holds: `size` in whatever `measure` counts."""

    size: int
    measure: Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Work:
    """One message to be sent now, from part `part` (counted from 0) on. `attempt` counts from 1."""

    delivery: int
    test: bool
    title: str
    parts: list[str]
    part: int
    attempt: int


@dataclass(slots=True)
class _Found:
    """What is new for one channel in one exchange's archive."""

    exchange: Exchange
    cursor: NotificationCursor | None
    head: int
    rows: list[tuple[int, str]] = field(default_factory=list)
    last_looked_at: int = 0
    complete: bool = True


class Outbox:
    """The queue as one notifier sees it. Not for several threads."""

    def __init__(self) -> None:
        self._right = RightToSend()
        self._leading = False
        #: How far each channel has looked, by exchange: what has not moved since is not looked at again.
        self._seen: dict[int, dict[int, EntryId]] = {}

    # --- one notifier at a time, so that one pace per remote holds ---

    def lead(self) -> bool:
        """Whether this process is the one that sends. The right ends with the process, or with its connection."""
        leading = self._right.take()
        if leading and not self._leading:
            Delivery.objects.filter(state=Delivery.State.SENDING).update(
                state=Delivery.State.WAITING,
                reason="The recorder ended while it was being sent. Sent again: the number tells a repetition.",
            )
            self._seen.clear()
        self._leading = leading
        return leading

    def resign(self) -> None:
        """Let another notifier send, at once."""
        self._right.give_back()
        self._leading = False

    # --- what is to be told ---

    def channels(self) -> list[NotificationChannel]:
        """The channels that have something to send, or something new to look at. Only reads: SQLite has one writer."""
        archived = _archived()
        opened = set(Delivery.objects.filter(state__in=Delivery.OPEN, test=False).values_list("channel_id", flat=True))
        tested = set(Delivery.objects.filter(state__in=Delivery.OPEN, test=True).values_list("channel_id", flat=True))
        now = timezone.now()
        return [
            channel
            for channel in NotificationChannel.objects.all()
            if channel.pk in tested
            or (
                channel.active
                and not (channel.retry_at and channel.retry_at > now)
                and (channel.pk in opened or self._seen.get(channel.pk, {}) != archived)
            )
        ]

    def next_message(self, channel_id: int, room: Room) -> Work | None:
        """The message to send now, noted as being sent. None: nothing to tell, or not yet, or not by us."""
        if not self.lead():
            return None
        try:
            return self._next_message(channel_id, room)
        except DatabaseError:
            self._seen.clear()  # what was seen was not noted
            raise

    def _next_message(self, channel_id: int, room: Room) -> Work | None:
        with transaction.atomic():
            channel = NotificationChannel.objects.filter(pk=channel_id).first()
            if channel is None:
                return None
            opened = Delivery.objects.filter(channel=channel, state__in=Delivery.OPEN)
            delivery = opened.filter(test=True).order_by("id").first()
            if delivery is None:
                if not channel.active or (channel.retry_at and channel.retry_at > timezone.now()):
                    return None
                delivery = opened.order_by("id").first() or self._compose(channel, room)
            if delivery is None:
                return None
            delivery.state, delivery.attempts = Delivery.State.SENDING, delivery.attempts + 1
            delivery.save(update_fields=["state", "attempts", "changed_at"])
        return Work(
            delivery.pk,
            delivery.test,
            delivery.title,
            [str(part) for part in delivery.parts],
            delivery.parts_sent,
            delivery.attempts,
        )

    def _compose(self, channel: NotificationChannel, room: Room) -> Delivery | None:
        """One message of what is new, with its cursors moved on in the same transaction."""
        chosen = set(channel.exchanges.values_list("pk", flat=True))
        names = {exchange.pk: exchange for exchange in Exchange.objects.all()}
        seen = self._seen.setdefault(channel.pk, {})
        archived = _archived()
        moved = [key for key, at in archived.items() if seen.get(key) != at and key in names]
        for key in seen.keys() - archived.keys():
            del seen[key]
        if not moved:
            return None
        found = [self._look(channel, names[key], chosen, names) for key in moved]
        rows = [(row_id, text, one) for one in found for row_id, text in one.rows]
        rows.sort(key=lambda row: row[0])  # in the order of the archive
        taken = _fitting([text for _, text, _ in rows], room)
        left_out: dict[int, int] = {}
        for row_id, _, one in reversed(rows[taken:]):
            left_out[one.exchange.pk] = row_id
        for one in found:
            first_left = left_out.get(one.exchange.pk)
            at = first_left - 1 if first_left is not None else max(one.head, one.last_looked_at)
            if one.cursor is None or one.cursor.entry_id != at:
                NotificationCursor.objects.update_or_create(
                    channel=channel, exchange=one.exchange, defaults={"entry_id": at}
                )
        delivery = self._queue(channel, rows[:taken], room) if taken else None
        for one in found:
            if one.complete and one.exchange.pk not in left_out:
                seen[one.exchange.pk] = archived[one.exchange.pk]
        return delivery

    def _look(
        self, channel: NotificationChannel, exchange: Exchange, chosen: set[int], names: Mapping[int, Exchange]
    ) -> _Found:
        cursor = NotificationCursor.objects.filter(channel=channel, exchange=exchange).first()
        entries = ArchivedEntry.objects.filter(exchange=exchange)
        newest = entries.order_by("-ms", "-seq").values_list("pk", flat=True).first() or 0
        found = _Found(exchange, cursor, max(newest, cursor.entry_id if cursor else 0))
        wanted = not chosen or exchange.pk in chosen
        asked = _asked_for(channel.kinds, wanted=wanted)
        if asked is None:
            return found
        fresh = entries.filter(asked, ms__gte=channel.since_ms)
        if cursor is not None:
            fresh = fresh.filter(pk__gt=cursor.entry_id)
        chosen_names = {names[key].name for key in chosen if key in names}
        looked_at = list(fresh.order_by("pk")[:_BATCH])
        for row in looked_at:
            entry = row.entry
            kind = kind_of(entry)
            about = set(entry.fields.get("exchanges", "").split(",")) if kind == "registry_reset" else set()
            if kind in channel.kinds and (wanted or about & chosen_names):
                found.rows.append((row.pk, text_of(exchange, entry)))
        found.complete = len(looked_at) < _BATCH
        if looked_at:
            found.last_looked_at = looked_at[-1].pk
        if not found.complete:
            found.head = found.last_looked_at  # what lies behind is looked at next time
        return found

    def _queue(self, channel: NotificationChannel, rows: list[tuple[int, str, _Found]], room: Room) -> Delivery:
        text = _GAP.join(text for _, text, _ in rows)
        delivery = Delivery.objects.create(
            channel=channel,
            title=title_of(one.exchange.name for _, _, one in rows),
            parts=split(text, room.size - FOOTER_BYTES, room.measure),
        )
        DeliveryEntry.objects.bulk_create(
            DeliveryEntry(delivery=delivery, channel=channel, entry_id=row_id) for row_id, _, _ in rows
        )
        return delivery

    # --- what became of it ---

    def part_sent(self, work: Work, part: int, paced_until: datetime) -> None:
        """The remote has taken part `part`; with the last one the message is sent."""
        done = part + 1 == len(work.parts)
        with transaction.atomic():
            mine = Delivery.objects.filter(pk=work.delivery, attempts=work.attempt)
            channel_id = mine.values_list("channel_id", flat=True).first()
            if channel_id is None:
                return  # taken over by another notifier, or deleted
            now = timezone.now()
            changes: dict[str, object] = {"parts_sent": part + 1, "changed_at": now}
            if done:
                changes |= {"state": Delivery.State.SENT, "sent_at": now, "reason": ""}
            mine.update(**changes)
            channel = NotificationChannel.objects.filter(pk=channel_id)
            channel.update(paced_until=paced_until, **({} if work.test else {"failures": 0, "retry_at": None}))
            if done:
                self._forget(channel_id, now)

    def failed(self, work: Work, reason: str, paced_until: datetime, retry_in: Callable[[int], float]) -> float | None:
        """It was not sent. Gives the seconds until it is tried again; None for a test, which is tried once.

        `retry_in` says how long to wait after so many failures in a row.
        """
        with transaction.atomic():
            mine = Delivery.objects.filter(pk=work.delivery, attempts=work.attempt, state=Delivery.State.SENDING)
            delivery = mine.select_related("channel").first()
            if delivery is None:
                return None
            channel = delivery.channel
            channel.paced_until = paced_until
            delivery.reason = reason[:400]
            seconds = None
            if work.test:
                delivery.state = Delivery.State.FAILED
            else:
                delivery.state = Delivery.State.WAITING
                channel.failures += 1
                seconds = retry_in(channel.failures)
                channel.retry_at = timezone.now() + timedelta(seconds=seconds)
            delivery.save(update_fields=["state", "reason", "changed_at"])
            channel.save(update_fields=["paced_until", "failures", "retry_at"])
            return seconds

    @staticmethod
    def _forget(channel_id: int, now: datetime) -> None:
        """Retention needs no job: what is sent takes old ones along."""
        old = Delivery.objects.filter(
            channel_id=channel_id, sent_at__lt=now - timedelta(days=RETENTION_DAYS), state=Delivery.State.SENT
        )
        Delivery.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:_FORGOTTEN])).delete()


def _archived() -> dict[int, EntryId]:
    """How far each exchange is archived."""
    return {cursor.exchange_id: cursor.entry_id for cursor in ArchiveCursor.objects.all()}


def _asked_for(kinds: list[str], *, wanted: bool) -> Q | None:
    """Which rows to look at; what is looked at is then decided by the entry itself. None: none."""
    if not wanted:  # a reset is told to everybody whose exchange it names, whichever stream its entry stands in
        return Q(event="error", text__startswith="Registry reset:") if "registry_reset" in kinds else None
    if "other" in kinds:
        return Q()
    asked = Q(event="state_transition", state__in=[kind[3:] for kind in kinds if kind.startswith("to:")])
    if {"error", "lost", "registry_reset"} & set(kinds):
        asked |= Q(event="error")
    return asked


def _fitting(texts: list[str], room: Room) -> int:
    """How many of them one message takes: as many as fit, and at least one, which is then split."""
    used, gap = FOOTER_BYTES, room.measure(_GAP)
    for taken, text in enumerate(texts):
        used += room.measure(text) + gap
        if used > room.size + gap:
            return max(1, taken)
    return len(texts)
