"""What people asked of instances, and what became of it. Redis decides (wire/commands.py), and a row follows."""

from typing import ClassVar, Final

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from activity.models.exchanges import Exchange
from activity.models.people import User
from activity.wire.commands import CommandType
from activity.wire.retold import REPORTS
from activity.words import spoken

#: What a row is before and after it ended.
OPEN: Final = ("requested", "delivered", "acknowledged")
#: Commands about who answers for an instance.
CLAIMS: Final = (CommandType.CLAIM, CommandType.RELEASE)
#: Commands that may end or start a program; the others never lead to a transition.
MOVING: Final = frozenset(
    {
        CommandType.START,
        CommandType.STOP,
        CommandType.SWITCH_MODE,
        CommandType.RELOAD_SETTINGS,
        CommandType.HANDOVER,
    }
)


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

    correlation_id = models.UUIDField(_("correlation id"), unique=True)
    exchange = models.ForeignKey(
        Exchange, verbose_name=_("exchange"), on_delete=models.PROTECT, related_name="commands"
    )
    instance_id = models.CharField(_("instance id"), max_length=200)
    host = models.CharField(_("host"), max_length=255)
    epoch = models.CharField(_("epoch"), max_length=20)
    type = models.CharField(_("type"), max_length=20, choices=[(kind.value, kind.value) for kind in CommandType])
    payload = models.JSONField(_("payload"), default=dict)
    reason = models.TextField(_("reason"), blank=True, default="")
    user = models.ForeignKey(
        User, verbose_name=_("user"), null=True, on_delete=models.SET_NULL, related_name="commands"
    )
    issued_by = models.CharField(_("issued by"), max_length=254)
    ip = models.CharField(_("ip"), max_length=45)
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.REQUESTED)
    text = models.TextField(_("text"), blank=True, default="", help_text=_("What was done, or why not."))
    problem = models.TextField(_("problem"), blank=True, default="", help_text=_("Why nobody knows more at present."))
    requested_at = models.DateTimeField(_("requested at"))
    delivered_at = models.DateTimeField(_("delivered at"), null=True)
    acknowledged_at = models.DateTimeField(_("acknowledged at"), null=True)
    ended_at = models.DateTimeField(_("ended at"), null=True)

    class Meta:
        db_table = "commands"
        verbose_name = _("command")
        verbose_name_plural = _("commands")
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["exchange", "id"], name="commands_by_exchange"),
            models.Index(fields=["id"], name="commands_open", condition=models.Q(state__in=OPEN)),
        ]

    def __str__(self) -> str:
        told = {"type": self.type, "exchange": self.exchange, "who": self.issued_by}
        return gettext("%(type)s on %(exchange)s by %(who)s") % told

    @property
    def open(self) -> bool:
        """Whether its end is still to come."""
        return self.state in OPEN

    @property
    def moves(self) -> bool:
        """Whether it is one that makes its instance write transitions."""
        return self.type in MOVING

    @property
    def said(self) -> str:
        """`text`, in the reader's language where its words are our own. A program's own stay as they are."""
        return spoken(REPORTS.read(self.text))

    @property
    def trouble(self) -> str:
        """`problem`, likewise."""
        return spoken(REPORTS.read(self.problem))


class Claim(Command):
    """The commands that say who answers for an instance, as a list of their own."""

    class Meta:
        proxy = True
        verbose_name = _("claim")
        verbose_name_plural = _("claims")
