"""Who is told of what: channels, and the messages that were made for them.

A channel's URL holds secrets. It is stored whole, since it is used whole, and shown nowhere but as scheme and host.
"""

import time
from typing import Any, ClassVar, Final

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.functional import lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from activity.models.archive import ArchivedEntry
from activity.models.exchanges import Exchange
from activity.wire.status import ConnectionState


def _to_state(state: str) -> str:
    return gettext("Transitions to %(state)s") % {"state": state}


_transitions: Final = lazy(_to_state, str)

#: What a channel may be told of. A transition is named by the state that it leads to.
KINDS: Final = {
    "error": _("Errors"),
    "lost": _("Deaths: an instance was lost"),
    "registry_reset": _("Registry resets: Redis lost sight of many instances at once"),
    **{f"to:{state}": _transitions(state.value) for state in ConnectionState},
    "other": _("Everything else: unknown events and malformed entries"),
}


def validate_kinds(value: object) -> None:
    """Refuse what is not a JSON list of known kinds, or empty."""
    if not isinstance(value, list) or not value or not set(value) <= set(KINDS):
        raise ValidationError(_("Choose at least one kind of entry."))


def _now_ms() -> int:
    return int(time.time() * 1000)


class NotificationChannel(models.Model):
    """One place where people are told: a Discord or Slack channel, a Telegram chat, a mailbox, a webhook."""

    name = models.CharField(
        _("name"), max_length=100, unique=True, help_text=_("Shown in lists and logs instead of the URL.")
    )
    url = models.TextField(_("Apprise URL"))
    shown_url = models.CharField(_("URL"), max_length=300, editable=False, help_text=_("As much of it as may be seen."))
    active = models.BooleanField(
        _("active"),
        default=True,
        help_text=_("An inactive channel is told nothing. It begins anew at the newest entry when activated."),
    )
    kinds = models.JSONField(_("kinds"), default=list, validators=[validate_kinds])
    exchanges = models.ManyToManyField(
        Exchange,
        verbose_name=_("exchanges"),
        blank=True,
        related_name="channels",
        help_text=_("None chosen: all that there are, and will be."),
    )
    since_ms = models.BigIntegerField(_("since ms"), default=_now_ms, editable=False)
    paced_until = models.DateTimeField(_("paced until"), null=True, editable=False)
    retry_at = models.DateTimeField(_("retry at"), null=True, editable=False)
    failures = models.IntegerField(_("failures"), default=0, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "notification_channels"
        verbose_name = _("notification channel")
        verbose_name_plural = _("notification channels")
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def begin_anew(self) -> None:
        """From now on: nothing that was written before is sent. To be saved with the rest."""
        self.since_ms = _now_ms()
        self.retry_at = None
        self.failures = 0


class NotificationCursor(models.Model):
    """How far one exchange's archive was looked through for one channel. Archived ids rise within an exchange."""

    channel = models.ForeignKey(
        NotificationChannel, verbose_name=_("channel"), on_delete=models.CASCADE, db_index=False, related_name="cursors"
    )
    exchange = models.ForeignKey(Exchange, verbose_name=_("exchange"), on_delete=models.CASCADE, related_name="+")
    entry_id = models.BigIntegerField(_("entry id"))

    class Meta:
        db_table = "notification_cursors"
        verbose_name = _("notification cursor")
        verbose_name_plural = _("notification cursors")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["channel", "exchange"], name="notification_cursors_once")
        ]

    def __str__(self) -> str:
        return f"{self.channel}, {self.exchange}: {self.entry_id}"


class Delivery(models.Model):
    """One message to one channel, its number being what a receiver recognises a repetition by.

    A message that is longer than the service takes has several parts, sent in order.
    """

    class State(models.TextChoices):
        """Where it stands."""

        QUEUED = "queued", _("queued")
        SENDING = "sending", _("being sent")
        WAITING = "waiting", _("waiting to be sent again")
        SENT = "sent", _("sent")
        FAILED = "failed", _("failed")
        GIVEN_UP = "given_up", _("given up by a person")

    #: These are still to be sent.
    OPEN: ClassVar = (State.QUEUED, State.SENDING, State.WAITING)

    channel = models.ForeignKey(
        NotificationChannel,
        verbose_name=_("channel"),
        on_delete=models.CASCADE,
        db_index=False,
        related_name="deliveries",
    )
    test = models.BooleanField(_("test"), default=False)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.QUEUED)
    title = models.CharField(_("title"), max_length=200)
    parts = models.JSONField(_("parts"), default=list)
    parts_sent = models.IntegerField(_("parts sent"), default=0)
    attempts = models.IntegerField(_("attempts"), default=0)
    reason = models.CharField(
        _("reason"), max_length=400, blank=True, default="", help_text=_("Why it is not sent yet, or never.")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)
    sent_at = models.DateTimeField(_("sent at"), null=True)

    class Meta:
        db_table = "notification_deliveries"
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["channel", "state", "id"], name="notification_deliveries_queue")]

    def __str__(self) -> str:
        return gettext("%(number)s to %(channel)s") % {"number": self.pk, "channel": self.channel}

    @classmethod
    def test_of(cls, channel: NotificationChannel, who: Any) -> "Delivery":
        """Queue a test. The recorder sends it in its turn, once: whether it arrives stands in the list."""
        text = f"This is a test of the channel “{channel.name}”, asked for by {who}."
        return cls.objects.create(channel=channel, test=True, title="Perseus: test", parts=[text])


class DeliveryEntry(models.Model):
    """Which archived entry is in which message: each in exactly one per channel."""

    delivery = models.ForeignKey(Delivery, verbose_name=_("delivery"), on_delete=models.CASCADE, related_name="entries")
    channel = models.ForeignKey(
        NotificationChannel, verbose_name=_("channel"), on_delete=models.CASCADE, db_index=False, related_name="+"
    )
    entry = models.ForeignKey(ArchivedEntry, verbose_name=_("entry"), on_delete=models.PROTECT, related_name="+")

    class Meta:
        db_table = "notification_delivery_entries"
        verbose_name = _("delivery entry")
        verbose_name_plural = _("delivery entries")
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["channel", "entry"], name="notification_delivery_entries_once")
        ]

    def __str__(self) -> str:
        return f"{self.entry} in {self.delivery_id}"
