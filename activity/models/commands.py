"""What people asked of instances, and what became of it. Redis decides (wire/commands.py), and a row follows."""

from typing import ClassVar, Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from activity.models.exchanges import Exchange
from activity.models.people import User
from activity.wire.commands import CommandType

#: What a row is before and after it ended.
OPEN: Final = ("requested", "delivered", "acknowledged")
#: Commands about who answers for an instance.
CLAIMS: Final = (CommandType.CLAIM, CommandType.RELEASE)


class Command(models.Model):
    """One command to one instance. `correlation_id` is made with the form, so that sending it twice is one command."""

    class State(models.TextChoices):
        """How far it came. Times stand beside it: asked for, in Redis, taken by the instance, ended."""

        REQUESTED = "requested", _("requested")
        DELIVERED = "delivered", _("delivered")
        ACKNOWLEDGED = "acknowledged", _("acknowledged")
        SUCCEEDED = "succeeded", _("done")
        FAILED = "failed", _("failed")
        EXPIRED = "expired", _("expired")

    correlation_id = models.UUIDField(unique=True)
    exchange = models.ForeignKey(Exchange, on_delete=models.PROTECT, related_name="commands")
    instance_id = models.CharField(max_length=200)
    host = models.CharField(max_length=255)
    epoch = models.CharField(max_length=20)
    type = models.CharField(max_length=20, choices=[(kind.value, kind.value) for kind in CommandType])
    payload = models.JSONField(default=dict)
    reason = models.TextField(blank=True, default="")
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="commands")
    issued_by = models.CharField(max_length=254)
    ip = models.CharField(max_length=45)
    state = models.CharField(max_length=12, choices=State.choices, default=State.REQUESTED)
    text = models.TextField(blank=True, default="", help_text=_("What was done, or why not."))
    problem = models.TextField(blank=True, default="", help_text=_("Why nobody knows more at present."))
    requested_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "commands"
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["exchange", "id"], name="commands_by_exchange"),
            models.Index(fields=["id"], name="commands_open", condition=models.Q(state__in=OPEN)),
        ]

    def __str__(self) -> str:
        return f"{self.type} on {self.exchange} by {self.issued_by}"

    @property
    def open(self) -> bool:
        """Whether its end is still to come."""
        return self.state in OPEN


class Claim(Command):
    """The commands that say who answers for an instance, as a list of their own."""

    class Meta:
        proxy = True
