"""A user's settings in the record: read, and saved with their audit event in one transaction."""

import hashlib
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext, gettext_lazy

from activity.audit import Action, record
from activity.models import Exchange, User, UserSettings
from activity.wire import settings as wire

#: Of what a user's browser may tell.
CONDITION_WORDS: Final[dict[wire.Condition, Any]] = {
    "lost": gettext_lazy("an instance is lost"),
    "late": gettext_lazy("a heartbeat is late"),
    "stuck": gettext_lazy("an instance stays in a state in which none should stay"),
    "error": gettext_lazy("an instance reports an error"),
    "state_transition": gettext_lazy("an instance changes its state"),
    "takeover": gettext_lazy("an instance is taken over"),
}


class ChangedMeanwhile(Exception):
    """Somebody, perhaps the same user on another page, saved other settings since these were shown."""


def settings_of(user: User) -> wire.UserSettings:
    """The user's document. One that an older version of Perseus wrote is read field by field where it still fits."""
    row = UserSettings.objects.filter(user=user).first()
    known = wire.UserSettings.model_fields
    stored = {name: value for name, value in (row.document if row else {}).items() if name in known}
    columns = {"timeZone": user.time_zone, "language": user.language or None}
    return wire.check_settings({**stored, "version": wire.VERSION, **columns})


def told_aloud(document: wire.UserSettings) -> dict[str, Any]:
    """Of what, of which exchanges and how the user's browser tells, for people to read."""
    notifications = document.notifications
    return {
        "when": [CONDITION_WORDS[condition] for condition in notifications.conditions],
        "ways": notifications.desktop or notifications.sound,
        "exchanges": notifications.exchanges,
    }


def digest_of(document: wire.UserSettings) -> str:
    """Tells two documents apart."""
    return hashlib.sha256(document.model_dump_json().encode()).hexdigest()


def unknown_exchanges(document: wire.UserSettings) -> list[str]:
    """Faults: one sentence per exchange of the document that is none, with the names that are."""
    known = set(Exchange.objects.values_list("name", flat=True))
    names = ", ".join(sorted(known)) or gettext("none")
    unknown = gettext("symbols.%(name)s: there is no such exchange. Known are: %(names)s")
    faults = [unknown % {"name": name, "names": names} for name in document.symbols if name not in known]
    unheard = gettext("notifications.exchanges: %(name)s is no exchange. Known are: %(names)s")
    named = document.notifications.exchanges
    return faults + [unheard % {"name": name, "names": names} for name in named if name not in known]


def save_settings(user: User, document: wire.UserSettings, *, shown: str) -> None:
    """Save, and record what changed. `shown` is the digest of what the user saw as the present settings.

    Raises ChangedMeanwhile, and SettingsRefused for an exchange that does not exist.
    """
    if faults := unknown_exchanges(document):
        raise wire.SettingsRefused(faults)
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        before = settings_of(locked)
        if digest_of(before) != shown:
            raise ChangedMeanwhile
        different = wire.changes(before, document)
        if not different:
            return
        stored = document.model_dump(mode="json", exclude={"timeZone", "language"})
        UserSettings.objects.update_or_create(user=locked, defaults={"document": stored})
        columns = {"time_zone": document.timeZone, "language": document.language or ""}
        for name, value in columns.items():
            setattr(locked, name, value)
            setattr(user, name, value)
        locked.save(update_fields=list(columns))
        record(
            Action.CHANGED,
            f"settings of {user}",
            before={name: old for name, old, _ in different},
            after={name: new for name, _, new in different},
        )
