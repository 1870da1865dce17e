"""`manage.py prepare`: make the database ready for the processes of Perseus. Run again, it changes nothing."""

import secrets
from argparse import ArgumentParser
from typing import Any, Final

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from activity.management.known_exchanges import KNOWN_EXCHANGES
from activity.models import Exchange, User
from activity.schema.drift import require_current_schema
from activity.schema.prepare import create_tables_where_empty, fill_permissions, one_at_a_time
from activity.schema.usage import DatabaseInUse
from perseus_admin import config

#: Letters and digits that nobody confuses with one another when copying from a screen: no 0, 1, I, O, l, o.
_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class Command(BaseCommand):
    """Tables (SQLite), permissions, and on request the known exchanges and the first admin."""

    help = (
        "Makes the database ready: an empty SQLite database gets its tables (on Postgres they come from schema.sql), "
        "the permissions that the models name are filled in. Safe to run again."
    )
    requires_system_checks: Any = ()  # an empty database would fail them

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Both are off unless asked for."""
        parser.add_argument("--exchanges", action="store_true", help="put six known exchanges into an empty table")
        parser.add_argument(
            "--admin",
            action="store_true",
            help="make the first user, an admin, where there is none: PERSEUS_ADMIN_EMAIL with PERSEUS_ADMIN_PASSWORD, "
            "or with a password that is generated and printed once",
        )

    def handle(self, *args: Any, exchanges: bool, admin: bool, **options: Any) -> None:
        """Each step is safe beside another `prepare` that runs at the same time."""
        try:
            if create_tables_where_empty():
                self.stdout.write("The tables were created.")
        except (DatabaseInUse, DatabaseError) as error:
            raise CommandError(str(error)) from error
        require_current_schema()
        with one_at_a_time():
            fill_permissions()
            if exchanges and not Exchange.objects.exists():
                for fields in KNOWN_EXCHANGES:
                    exchange = Exchange(**fields)
                    exchange.full_clean()
                    exchange.save()
                self.stdout.write(f"{len(KNOWN_EXCHANGES)} known exchanges were added.")
            if admin and not User.objects.exists():
                self._make_first_admin()

    def _make_first_admin(self) -> None:
        settings = config.settings()
        given = settings.admin_password.get_secret_value() if settings.admin_password else None
        password = given or "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))
        user = User(email=settings.admin_email.strip().lower(), is_staff=True, is_superuser=True)
        user.set_password(password)
        try:
            user.full_clean()
        except ValidationError as error:
            raise CommandError(f"PERSEUS_ADMIN_EMAIL={settings.admin_email}: {' '.join(error.messages)}") from error
        user.save()
        if given:
            try:
                validate_password(given, user)
            except ValidationError as error:
                self.stderr.write(f"PERSEUS_ADMIN_PASSWORD is weak. {' '.join(error.messages)}")
            self.stdout.write(f"The first admin was made: {user.email}, with the password of PERSEUS_ADMIN_PASSWORD.")
            return
        # Before the commit: a password that could not be shown leaves no user behind that nobody can be.
        line = "=" * 72
        self.stdout.write(
            f"{line}\n  The first admin was made. This password is shown now and never again.\n\n"
            f"    e-mail    {user.email}\n    password  {password}\n{line}"
        )
        self.stdout.flush()
