"""The record: exchanges, people, tokens, the archive, the audit trail. A test proves schema.sql, the truth, equal."""

from activity.models.archive import ArchiveCursor, ArchivedEntry, ArchiveGap
from activity.models.audit import AuditEvent
from activity.models.commands import Claim, Command
from activity.models.exchanges import Exchange, validate_country_codes, validate_object, validate_text_list
from activity.models.notifications import (
    Delivery,
    DeliveryEntry,
    NotificationChannel,
    NotificationCursor,
    validate_kinds,
)
from activity.models.people import ApiToken, SavedView, User, UserManager, UserSettings, login_name, validate_time_zone
from activity.models.walls import WallLink

__all__ = [
    "ApiToken",
    "ArchiveCursor",
    "ArchiveGap",
    "ArchivedEntry",
    "AuditEvent",
    "Claim",
    "Command",
    "Delivery",
    "DeliveryEntry",
    "Exchange",
    "NotificationChannel",
    "NotificationCursor",
    "SavedView",
    "User",
    "UserManager",
    "UserSettings",
    "WallLink",
    "login_name",
    "validate_country_codes",
    "validate_kinds",
    "validate_object",
    "validate_text_list",
    "validate_time_zone",
]
