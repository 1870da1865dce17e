"""A day of 24 hours, compressed: thousands of instances, and something that breaks in nearly every hour of it."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from activity.wire.entries import EntryId
from activity.wire.keys import stream_key
from tests.postgres import PostgresServer
from tests.servers import RedisServer
from tests.soak.archives import ArchiveOf
from tests.soak.journal import Lives, appended, check_archive, check_instances
from tests.waiting import eventually
from tests.web import ROOT

HOURS = 24
#: What breaks in the hours of a short day; '' for nothing.
SHORT = {2: "recorders and streams", 7: "redis", 11: "instances", 14: "postgres", 17: "recorders and streams"}
#: What a long day draws from.
LONG = ("recorders and streams", "recorders", "one recorder", "redis", "postgres", "instances", "")


@dataclass
class Figures:
    """What a day came to."""

    instances: int = 0
    in_order: int = 0
    entries: int = 0
    missing: dict[str, int] = field(default_factory=dict)
    gaps: dict[str, int] = field(default_factory=dict)
    deaths: int = 0
    resets: int = 0
    #: What was broken, and in how many hours.
    broken: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class Day:
    """One day on one Redis and two databases."""

    def __init__(
        self,
        server: RedisServer,
        archives: list[ArchiveOf],
        postgres: PostgresServer,
        exchanges: dict[int, str],
        folder: Path,
        *,
        seconds: float,
        pause: float,
        seed: int,
    ) -> None:
        """`seconds` for all of it; `pause` is the mean time in seconds between two instances of one exchange."""
        self._server = server
        self._archives = archives
        self._postgres = postgres
        self._exchanges = exchanges
        self._folder = folder
        self._hour = seconds / HOURS
        self._is_short = seconds < 60
        self._pause = pause
        self._chance = random.Random(seed)
        self._journal = folder / "journal"
        self._instances: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self.figures = Figures()

    def run(self) -> Figures:
        began = time.monotonic()
        breaking: dict[str, Callable[[], None]] = {
            "recorders and streams": self._recorders_and_streams,
            "recorders": self._recorders,
            "one recorder": self._one_recorder,
            "redis": self._redis,
            "postgres": self._of_postgres,
            "instances": self._machine,
            "": lambda: None,
        }
        drawn = [LONG[hour % len(LONG)] for hour in range(HOURS)]
        self._chance.shuffle(drawn)
        self._start_instances()
        for archive in self._archives:
            archive.start()
        eventually(self._all_follow)
        for hour in range(HOURS):
            until = time.monotonic() + self._hour
            what = SHORT.get(hour, "") if self._is_short else drawn[hour]
            breaking[what]()
            if what:
                self.figures.broken[what] = self.figures.broken.get(what, 0) + 1
            self._rest(until - time.monotonic())
            assert self._instances is not None
            assert self._instances.poll() is None, "the instances have ended"
        self._evening()
        self._compare()
        self.figures.seconds = time.monotonic() - began
        return self.figures

    def kill(self) -> None:
        """Leave nothing behind."""
        if self._instances is not None:
            self._instances.kill()
            self._instances.wait(10)
        for archive in self._archives:
            if archive.recorder is not None:
                archive.recorder.kill()

    def _rest(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))  # the length of an hour is what it is: nothing is waited for

    def _start_instances(self) -> None:
        self._starts += 1
        words = [self._server.url, str(self._journal), str(self._starts), str(self._pause)]
        named = [f"{number}={name}" for number, name in self._exchanges.items()]
        command = [sys.executable, "-m", "tests.soak.instances", *words, *named]
        with (self._folder / "instances.log").open("ab") as log:
            self._instances = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    # --- what breaks ---

    def _recorders_and_streams(self) -> None:
        """The recorders are killed, and streams are trimmed beyond where they were."""
        for archive in self._archives:
            archive.kill()
        behind = [archive.cursors() for archive in self._archives]
        self._rest(self._hour / 2)
        with self._server.client() as client:
            for number, name in self._exchanges.items():
                self._trim(client, name, [cursors.get(number, EntryId(0, 0)) for cursors in behind])
        for archive in self._archives:
            archive.start()

    def _trim(self, client: "redis.Redis", name: str, cursors: list[EntryId]) -> None:
        """Most of the streams, so that at least one entry is lost to every archive, or none."""
        if self._chance.random() < 0.3 or not min(cursors).milliseconds:
            return
        rows: Any = client.xrange(stream_key(name), min=f"({max(cursors)}")
        if len(rows) >= 3:
            client.xtrim(stream_key(name), minid=rows[self._chance.randrange(1, len(rows) - 1)][0], approximate=False)

    def _recorders(self) -> None:
        for archive in self._archives:
            archive.kill()
        self._rest(self._hour / 4)
        for archive in self._archives:
            archive.start()

    def _one_recorder(self) -> None:
        archive = self._chance.choice(self._archives)
        archive.kill()
        archive.start()

    def _redis(self) -> None:
        self._server.stop()
        self._server.start()

    def _of_postgres(self) -> None:
        self._postgres.process.kill()
        assert self._postgres.process.start()

    def _machine(self) -> None:
        assert self._instances is not None
        self._instances.kill()
        self._instances.wait(10)
        self._start_instances()

    # --- the end of it ---

    def _newest(self) -> dict[int, EntryId]:
        found = {}
        with self._server.client() as client:
            for number, name in self._exchanges.items():
                info: Any = client.xinfo_stream(stream_key(name))
                found[number] = EntryId.parse(info["last-generated-id"].decode())
        return found

    def _all_follow(self) -> bool:
        return all(len(archive.cursors()) == len(self._exchanges) for archive in self._archives)

    def _evening(self) -> None:
        """The instances stop in order, the recorders catch up and end."""
        assert self._instances is not None
        self._instances.send_signal(signal.SIGTERM)
        assert self._instances.wait(60) == 0, (self._folder / "instances.log").read_text()[-3000:]
        newest = self._newest()

        def caught_up() -> bool:
            return all(
                archive.cursors().get(number, EntryId(0, 0)) >= end
                for archive in self._archives
                for number, end in newest.items()
            )

        eventually(caught_up, within=120)
        for archive in self._archives:
            archive.end()
        for archive in self._archives:  # notices that one wrote when the other had ended
            archive.catch_up()

    def _compare(self) -> None:
        self._server.stop()
        streams, twice = appended(self._server.folder)
        assert not twice, f"appended twice: {twice[:5]}"
        lives = Lives.read(self._journal)
        figures = self.figures
        figures.instances, figures.in_order = len(lives.began), len(lives.released)
        figures.entries = sum(len(stream) for stream in streams.values())
        figures.deaths, figures.resets = check_instances(streams, lives)
        for archive in self._archives:
            missing = gaps = 0
            for number, name in self._exchanges.items():
                told = archive.gaps(number)
                missing += check_archive(
                    f"{archive.kind}, {name}", streams.get(name, {}), archive.entries(number), told
                )
                gaps += len(told)
            figures.missing[archive.kind], figures.gaps[archive.kind] = missing, gaps
