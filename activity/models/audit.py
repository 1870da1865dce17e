"""Who did what, when, from where and why: rows that are added, chained by hashes, and never changed."""

import hashlib
import json
from typing import ClassVar, Final

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from activity.models.append_only import AppendOnly
from activity.wire.retold import REASONS, SUBJECTS
from activity.words import spoken

#: What the first event names as its predecessor's hash.
GENESIS: Final = "0" * 64


class AuditEvent(models.Model):
    """One event. It names people and exchanges by what they were called then, and so outlives their rows.

    `number` counts from 1 without holes; `hash` is the SHA-256 (hex) of all other columns, `previous` among them.
    """

    class Action(models.TextChoices):
        """What was done."""

        SIGNED_IN = "signed_in", _("signed in")
        SIGNED_OUT = "signed_out", _("signed out")
        SIGN_IN_FAILED = "sign_in_failed", _("sign-in failed")
        SIGN_IN_PAUSED = "sign_in_paused", _("sign-in paused after too many failures")
        CREATED = "created", _("created")
        CHANGED = "changed", _("changed")
        DELETED = "deleted", _("deleted")
        GRANTED = "granted", _("right granted")
        WITHDRAWN = "withdrawn", _("right withdrawn")
        EXPORTED = "exported", _("exported")
        CLAIMED = "claimed", _("claimed")
        RELEASED = "released", _("released")
        TAKEN_OVER = "taken_over", _("taken over")
        COMMANDED = "commanded", _("commanded")
        ASSIGNED = "assigned", _("assigned an exchange")

    number = models.BigIntegerField(_("number"), primary_key=True)
    at = models.DateTimeField(_("at"))
    action = models.CharField(_("action"), max_length=32, choices=Action.choices)
    actor_id = models.BigIntegerField(
        _("actor id"), null=True, help_text=_("The user's id; empty where nobody was signed in.")
    )
    actor = models.CharField(_("actor"), max_length=254, help_text=_("The user's e-mail at that time."))
    via = models.CharField(_("via"), max_length=100, help_text=_("web, or the command that did it."))
    ip = models.CharField(_("ip"), max_length=45)
    exchange_id = models.BigIntegerField(_("exchange id"), null=True)
    exchange = models.CharField(_("exchange"), max_length=64)
    host = models.CharField(_("host"), max_length=255, help_text=_("The instance's host, where it is about one."))
    subject = models.CharField(_("subject"), max_length=300, help_text=_("What it was done to."))
    before = models.TextField(_("before"), help_text=_("JSON; empty where there was nothing before."))
    after = models.TextField(_("after"), help_text=_("JSON; empty where there is nothing after."))
    reason = models.TextField(_("reason"))
    correlation_id = models.UUIDField(_("correlation id"), null=True)
    previous = models.CharField(_("previous"), max_length=64)
    hash = models.CharField(_("hash"), max_length=64)

    class Meta:
        db_table = "audit_events"
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [AppendOnly(name="audit_events_append_only")]
        indexes: ClassVar = [
            models.Index(fields=["exchange_id", "number"], name="audit_events_by_exchange"),
            models.Index(fields=["actor", "number"], name="audit_events_by_actor"),
            models.Index(fields=["action", "number"], name="audit_events_by_action"),
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.actor or gettext('nobody')} {self.get_action_display()} {self.done_to}".rstrip()

    @property
    def done_to(self) -> str:
        """`subject`, in the reader's language: what is chained and exported stays English."""
        return spoken(SUBJECTS.read(self.subject))

    @property
    def why(self) -> str:
        """`reason`, likewise; what a person gave stays as it is."""
        return spoken(REASONS.read(self.reason))

    def digest(self) -> str:
        """What `hash` must be: of every other column, in the order in which they are declared."""
        columns = [field for field in self._meta.concrete_fields if field.name != "hash"]
        values = [getattr(self, field.attname) for field in columns]
        text = [None if value is None else value.isoformat() if field.name == "at" else str(value)
                for field, value in zip(columns, values, strict=True)]  # fmt: skip
        return hashlib.sha256(json.dumps(text, ensure_ascii=False).encode()).hexdigest()
