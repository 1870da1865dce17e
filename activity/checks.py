"""Start-up checks of Perseus. `manage.py check --database default` runs those that need the database.

perseus.E001  the database differs from schema.sql (Postgres) or the models (SQLite)
perseus.E002  the database cannot be reached or compared
"""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Tags, register

from activity.schema.drift import CannotCompare, describe, find_drift, remedy


@register(Tags.database)
def check_schema(
    app_configs: Sequence[AppConfig] | None = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Compare each named database with its truth."""
    messages: list[CheckMessage] = []
    for alias in databases or ():
        try:
            drift = find_drift(alias)
        except CannotCompare as error:
            messages.append(Error(str(error), id="perseus.E002"))
            continue
        if drift:
            text = f"The database '{alias}' has drifted:\n{describe(drift)}"
            messages.append(Error(text, hint=remedy(alias, drift), id="perseus.E001"))
    return messages
