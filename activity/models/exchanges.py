"""What is watched: the exchanges of the network."""

import re
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator, URLValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from activity.wire.keys import EXCHANGE_NAME


def validate_text_list(value: object) -> None:
    """Refuse what is not a JSON list of texts."""
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ValidationError(_('Expected a list of texts, e.g. ["one", "two"].'))


def validate_country_codes(value: object) -> None:
    """Refuse what is not a JSON list of ISO 3166-1 alpha-2 codes in upper case."""
    validate_text_list(value)
    if isinstance(value, list) and not all(re.fullmatch("[A-Z]{2}", code) for code in value):
        raise ValidationError(_('Expected country codes of two upper-case letters, e.g. ["US"].'))


def validate_object(value: object) -> None:
    """Refuse what is not a JSON object."""
    if not isinstance(value, dict):
        raise ValidationError(_('Expected a JSON object, e.g. {"key": 1}.'))


class Exchange(models.Model):
    """One exchange of the network. The contract's `exchanges` table: its id keys the status, its name the stream."""

    name = models.CharField(
        _("name"),
        max_length=64,
        unique=True,
        validators=[RegexValidator(rf"^{EXCHANGE_NAME.pattern}\Z", _("Lower-case letters, digits, _ and - only."))],
        help_text=_("Lower case. Keys the exchange's stream: it never changes once an instance has written."),
    )
    display_name = models.CharField(_("display name"), max_length=100)
    active = models.BooleanField(_("active"), default=True, help_text=_("Inactive exchanges have no card and no feed."))
    ws_url = models.CharField(
        _("WebSocket URL"), max_length=300, blank=True, default="", validators=[URLValidator(["ws", "wss"])]
    )
    rest_url = models.CharField(
        _("REST URL"), max_length=300, blank=True, default="", validators=[URLValidator(["http", "https"])]
    )
    timeframes = models.JSONField(
        _("timeframes"),
        default=list,
        blank=True,
        validators=[validate_text_list],
        help_text=_('A list such as ["1m", "1h"].'),
    )
    api_limits = models.JSONField(
        _("api limits"),
        default=dict,
        blank=True,
        validators=[validate_object],
        help_text=_('What the exchange allows, the unit in each name, e.g. {"requests_per_minute": 1200}.'),
    )
    fee_schedule = models.JSONField(
        _("fee schedule"),
        default=dict,
        blank=True,
        validators=[validate_object],
        help_text=_('Percent of the traded value, e.g. {"maker_percent": 0.1, "taker_percent": 0.1}.'),
    )
    geo_restrictions = models.JSONField(
        _("geo restrictions"),
        default=list,
        blank=True,
        validators=[validate_country_codes],
        help_text=_('Country codes where the exchange does not serve, e.g. ["US"].'),
    )

    class Meta:
        db_table = "exchanges"
        verbose_name = _("exchange")
        verbose_name_plural = _("exchanges")
        ordering: ClassVar = ["name"]
        # "view" is Django's own. access.can() is the only reader of these.
        permissions: ClassVar = [
            ("claim_exchange", "Can claim responsibility for the instance"),
            ("command_exchange", "Can send commands to the instance"),
            ("takeover_exchange", "Can take over from another admin or host"),
            ("administer_exchange", "Can administer the exchange"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(id__gte=1), name="exchanges_id_positive"),
            # The validator guards forms; this guards programs: Kraken and kraken would share one stream.
            models.CheckConstraint(condition=models.Q(name=Lower("name")), name="exchanges_name_lower"),
        ]

    def __str__(self) -> str:
        return self.name
