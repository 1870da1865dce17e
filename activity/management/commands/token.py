"""`manage.py token`: issue a bearer token for a program."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from activity.models import ApiToken, User
from activity.schema.drift import require_current_schema


class Command(BaseCommand):
    """The token alone goes to standard output, so that a script can take it from there."""

    help = "Issues a bearer token with which a program acts with the user's rights. It is printed once and not stored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose rights, and what will use them."""
        parser.add_argument("email", help="e-mail of the user whose rights the program gets")
        parser.add_argument("--name", required=True, help="what uses the token, e.g. 'grafana in the office'")

    def handle(self, *args: Any, email: str, name: str, **options: Any) -> None:
        """Print the token."""
        require_current_schema()
        try:
            user = User.objects.get_by_natural_key(email)
        except User.DoesNotExist:
            raise CommandError(f"There is no user with the e-mail {email}.") from None
        if not user.is_active:
            raise CommandError(f"{user.email} is not active: a token would open nothing.")
        try:
            token, text = ApiToken.issue(user, name)
        except ValidationError as error:
            raise CommandError(f"--name: {' '.join(error.messages)}") from error
        self.stderr.write(f"Token '{token.name}' of {user.email}, shown now and never again:")
        self.stdout.write(text)
