"""`manage.py doctor`: is this installation as it should be? See docs/operations.md."""

import sys
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from activity.doctor import Level, Line, examine
from activity.doctor.socket import examine_socket
from perseus_admin.config import settings

_WORDS: Final = {Level.OK: "ok     ", Level.WARNING: "WARNING", Level.ERROR: "ERROR  "}


class Command(BaseCommand):
    """Looks at everything, says a line each, and fails when one of them is an error."""

    help = "Look at Redis, the database, the recorder and the WebSocket path, and say what to do about what is wrong."
    requires_system_checks: Any = ()  # a drifted database is something to report, not a reason not to start

    def add_arguments(self, parser: CommandParser) -> None:
        """Options as in docs/operations.md."""
        parser.add_argument("--url", help="the site as people open it, e.g. https://perseus.example.org")
        parser.add_argument(
            "--token-file", metavar="FILE", help="file with a bearer token for --url (- reads it from standard input)"
        )

    def handle(self, *args: Any, url: str | None, token_file: str | None, **options: Any) -> None:
        """Exit code 1 where a line is an error."""
        if token_file and not url:
            raise CommandError("--token-file: only together with --url", returncode=2)
        token = _token(token_file) if token_file else ""
        lines = examine(settings().redis)
        if url:
            lines.append(examine_socket(url, token))
        for line in lines:
            self._say(line)
        failed = [line.name for line in lines if line.level is Level.ERROR]
        if failed:
            raise CommandError(f"{len(failed)} of {len(lines)} lines are errors: {', '.join(failed)}", returncode=1)

    def _say(self, line: Line) -> None:
        found = line.found.replace("\n", "\n          ")
        self.stdout.write(f"{_WORDS[line.level]}  {line.name}: {found}")
        if line.remedy:
            self.stdout.write(f"           -> {line.remedy}")


def _token(file: str) -> str:
    try:
        return (sys.stdin.readline() if file == "-" else Path(file).read_text(encoding="utf-8")).strip()
    except (OSError, UnicodeError) as error:
        raise CommandError(f"--token-file: {file} cannot be read: {error}", returncode=2) from error
