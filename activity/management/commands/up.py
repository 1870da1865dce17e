"""`manage.py up`: the whole network on this machine, for a first look, for development and for small networks."""

import os
import socket
import stat
import sys
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand

from activity.management.network import HOST, NAMES, Network, Refused
from activity.management.output import Output
from activity.management.processes import Runner
from activity.store.client import StoreUnavailable, name_of, require_redis, sync_client
from activity.store.embedded import CannotEmbed, EmbeddedRedis, find_server, take_lock
from perseus_admin import config

#: How the names of what we ourselves keep in a data folder begin.
_OURS: Final = ("secret-key", "up.lock", "redis.", "appendonly", "dump.rdb", "temp-", "perseus.")


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise ArgumentTypeError(f"{text!r} is no port: expected 1 to 65535")
    return int(text)


class Command(BaseCommand):
    """Checks first, all of them before anything is started; then `Network` runs."""

    help = (
        "Runs the whole network on this machine: an embedded Redis (unless REDIS_URL names one), the database, the web "
        "process, the recorder and four demo instances. Ctrl-C ends it."
    )
    requires_system_checks: Any = ()  # the database may not be there yet; `prepare` makes and checks it

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--data` was read by manage.py already: the settings lie in that folder."""
        parser.add_argument("--port", type=_port, help="port of the pages on 127.0.0.1 (default: PORT, else 8000)")
        parser.add_argument("--data", help="data folder (default: PERSEUS_DATA, else var/ beside manage.py)")
        parser.add_argument("--no-demo", action="store_false", dest="demo", help="start no demo instances")

    def handle(self, *args: Any, port: int | None, demo: bool, **options: Any) -> None:
        """Exit code 0 after Ctrl-C or SIGTERM, 2 where it did not start, 1 where a process that all need was lost."""
        settings = config.settings()
        assert settings.data is not None  # manage.py has named the data folder
        port = port or settings.port
        # Whatever anybody below us makes in the data folder is for our own user: the socket, the database, the AOF.
        os.umask(0o077)
        try:
            keep_private(settings.data)
            lock = take_lock(settings.data / "up.lock")
            if lock is None:
                raise Refused(_already_running(settings.data))
            require_free_port(port)
            redis = None
            if settings.redis_url is None:
                redis = EmbeddedRedis(settings.data, find_server())
            else:
                self._require_given_redis(settings.redis_url)
            colour = sys.stdout.isatty() and not options["no_color"]
            with Runner(Output(sys.stdout, NAMES, colour=colour)) as runner:
                network = Network(runner, settings, folder=settings.data, port=port, redis=redis, demo=demo)
                code = network.run()
        except (Refused, CannotEmbed) as error:
            config.refuse(str(error))
        raise SystemExit(code)

    def _require_given_redis(self, url: str) -> None:
        client = sync_client(url)
        try:
            require_redis(client)
        except StoreUnavailable as error:
            raise Refused(f"REDIS_URL: {name_of(url)}: {error}") from error
        finally:
            client.close()


def _already_running(folder: Path) -> str:
    try:
        pid = (folder / "up.lock").read_text().strip()
    except OSError:
        pid = ""
    process = f" (process {pid})" if pid else ""
    return f"Another `up`{process} runs in the data folder {folder}. End it, or name another folder with --data"


def keep_private(folder: Path) -> None:
    """Make the data folder one that only its owner can enter. Raises Refused where others share it.

    A folder that also holds foreign files (somebody named /tmp, or a home) is not ours to close.
    """
    found = folder.stat()
    if stat.S_IMODE(found.st_mode) & 0o077 == 0:
        return
    foreign = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith(_OURS))
    if foreign or found.st_uid != os.geteuid():
        because = f"holds other things too ({foreign[0]})" if foreign else "belongs to another user"
        raise Refused(
            f"The data folder {folder} is open to other users and {because}. Name a folder of its own with --data, "
            f"or close this one: chmod 700 {folder}"
        )
    folder.chmod(0o700)


def require_free_port(port: int) -> None:
    """Raises Refused where the web process could not listen."""
    with socket.socket() as probe:
        # As the web process does it: connections of an earlier run that still fade away do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError as error:
            raise Refused(
                f"Port {port} cannot be used on {HOST}: {error.strerror}. Name another with --port or PORT"
            ) from error
