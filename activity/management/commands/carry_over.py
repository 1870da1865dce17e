"""`manage.py carry_over`: bring an embedded database of an older schema to the present one."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from activity.schema.carry_over import CannotCarryOver, carry_over
from activity.schema.drift import ATLAS_COMMAND, CannotCompare, database_file, describe, find_drift
from activity.schema.prepare import fill_permissions, one_at_a_time
from activity.schema.usage import DatabaseInUse


class Command(BaseCommand):
    """SQLite only. The old file is kept."""

    help = (
        "Carries an embedded SQLite database of an older schema over to the present one: rows are copied into a new "
        "file, which is checked and then takes the old one's place; the old file is kept beside it. Refuses while a "
        "process of Perseus runs on it."
    )
    requires_system_checks: Any = ()  # an older schema would fail them

    def handle(self, *args: Any, **options: Any) -> None:
        """Every refusal leaves the database as it was."""
        connection = connections["default"]
        database = database_file(connection)
        if connection.vendor != "sqlite":
            raise CommandError(f"This database is Postgres: change it with `{ATLAS_COMMAND}`. atlas.hcl says more.")
        if database is None or not database.exists():
            raise CommandError(f"There is no database at {database}: `python manage.py prepare` makes one.")
        try:
            drift = find_drift()
            if not drift:
                self.stdout.write("The database has the present schema. Nothing to do.")
                return
            self.stdout.write(f"The database differs from the models:\n{describe(drift)}\n")
            kept = carry_over(connection, database, self.stdout.write)
        except (CannotCompare, CannotCarryOver, DatabaseInUse) as error:
            raise CommandError(str(error)) from error
        with one_at_a_time():
            fill_permissions()
        self.stdout.write(f"Carried over. The old database is kept as {kept}.")
