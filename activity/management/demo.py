"""The demo network of `up`: real workers that carry a small real program, show as demo, and go through a play.

Two scenes, told in the terminal as they come: an instance crashes, is seen as lost, has its death written down and
comes back; and one crashes whose standby takes over.
"""

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from activity.instance.exits import ExitCode
from activity.management.processes import Child, Runner
from perseus_admin.config import BASE_DIR

#: Seconds before a demo worker that ended by itself is started again: doubled each time, up to the longest.
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0

# In heartbeats, so that the play keeps its proportions whatever the interval is. With the usual 15 s: the first kill
# after 75 s, when everything has been seen alive; away for a minute, 15 s longer than the TTL; the takeover after three
# minutes, when who was killed first has been back for a while; both again every five minutes.
FIRST_KILL: Final = 5
FIRST_TAKEOVER: Final = 12
LATER_KILLS: Final = 20
AWAY: Final = 4
#: The exchange that has a standby.
TAKEN_OVER: Final = "binance"


@dataclass(frozen=True)
class Part:
    """One role of the show."""

    exchange: str
    #: What the demo program does, an argument of activity.instance.demo.
    role: str
    options: tuple[str, ...] = ()
    is_killed: bool = False
    #: Several of one exchange are told apart by it; all but the first wait a heartbeat, so that the first one holds it.
    number: int = 1

    @property
    def name(self) -> str:
        """Name in the output, and host name of the instance."""
        return f"demo-{self.exchange}" + (f"-{self.number}" if self.number > 1 else "")


PARTS: Final = (
    Part(TAKEN_OVER, "quiet", ("--standby",)),
    Part(TAKEN_OVER, "quiet", ("--standby",), number=2),
    Part("coinbase", "errors", ("--error-pattern", "^ERROR")),
    Part("kraken", "quiet", is_killed=True),
    Part("kucoin", "slow"),
)


class _Actor:
    """A part and the worker that plays it right now. Times are of time.monotonic()."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.child: Child | None = None
        self.start_at: float | None = 0.0
        self.kill_at: float | None = None
        self.was_killed = False
        self.kills = 0
        self.pause = FIRST_PAUSE


class Demo:
    """Starts the workers, kills one now and then, brings back whoever is gone. Driven by `tick` and `ended`."""

    def __init__(
        self,
        runner: Runner,
        *,
        heartbeat_seconds: int,
        admin_email: str | None,
        holder: Callable[[str], str],
        pages: str,
    ) -> None:
        """`admin_email` answers for the instances; None: nobody does. `pages` is where they can be looked at.

        `holder` tells the host name of the instance that holds an exchange, empty where nobody can say.
        """
        self._runner = runner
        self._admin = ("--admin", admin_email) if admin_email else ()
        self._heartbeat = heartbeat_seconds
        self._holder = holder
        self._pages = pages
        now = time.monotonic()
        self._takeover_at = now + FIRST_TAKEOVER * heartbeat_seconds
        self._actors = [_Actor(part) for part in PARTS]
        for actor in self._actors:
            actor.start_at = now + heartbeat_seconds * (actor.part.number > 1)

    @property
    def children(self) -> list[Child]:
        """The workers that were started and not yet seen to have ended."""
        return [actor.child for actor in self._actors if actor.child is not None]

    def tick(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        for actor in self._actors:
            if actor.start_at is not None and now >= actor.start_at:
                self._start(actor, now)
            elif actor.kill_at is not None and now >= actor.kill_at and actor.child is not None:
                actor.kill_at = None
                self._kill(
                    actor,
                    f"Its card turns to lost within {3 * self._heartbeat} s, the death notice follows, and it comes "
                    f"back in {AWAY * self._heartbeat} s",
                )
        if now >= self._takeover_at:
            self._takeover_at = now + LATER_KILLS * self._heartbeat
            self._let_take_over()

    def _kill(self, actor: _Actor, what_follows: str) -> None:
        assert actor.child is not None
        actor.was_killed = True
        actor.kills += 1
        self._runner.say(f"demo: killing {actor.part.name} with SIGKILL, as a crash would. {what_follows}")
        self._runner.say(f"demo: watch it at {self._pages}exchanges/{actor.part.exchange}/")
        actor.child.signal(signal.SIGKILL)

    def _let_take_over(self) -> None:
        """Kill whoever holds the exchange that has a standby, unless it is none of ours, or nobody could follow."""
        cast = [actor for actor in self._actors if actor.part.exchange == TAKEN_OVER and actor.child is not None]
        holder = self._holder(TAKEN_OVER)
        owner = next((actor for actor in cast if actor.part.name == holder), None)
        if owner is None or len(cast) < 2:
            return
        heir = next(actor for actor in cast if actor is not owner)
        self._kill(
            owner,
            f"When its key has run out, within {3 * self._heartbeat} s, the standby {heir.part.name} takes over under "
            "a higher epoch, and the killed one comes back as its standby",
        )

    def ended(self, child: Child) -> None:
        """One of all processes has ended; the others are none of our business."""
        actor = next((actor for actor in self._actors if actor.child is child), None)
        if actor is None:
            return
        actor.child, actor.kill_at = None, None
        now = time.monotonic()
        if actor.was_killed:
            actor.was_killed = False
            actor.start_at = now + AWAY * self._heartbeat
            return
        if child.returncode == -signal.SIGKILL:
            # Somebody tries what a crash looks like: long enough to be seen as lost, or to be started again by hand.
            away = AWAY * self._heartbeat
            self._runner.say(
                f"demo: somebody killed {child.name}; unless it is started by hand, it comes back in {away} s"
            )
            actor.kills += 1
            actor.start_at = now + away
            return
        if child.returncode == ExitCode.CONFLICT:
            self._runner.say(f"demo: another instance holds {actor.part.exchange}; again in {LONGEST_PAUSE:g} s")
            actor.start_at = now + LONGEST_PAUSE
            return
        if now - child.started > LONGEST_PAUSE:
            actor.pause = FIRST_PAUSE
        self._runner.say(f"{child.name} has {child.ending}, which was not planned; again in {actor.pause:g} s")
        actor.start_at = now + actor.pause
        actor.pause = min(2 * actor.pause, LONGEST_PAUSE)

    def _start(self, actor: _Actor, now: float) -> None:
        part = actor.part
        actor.start_at = None
        if actor.kills:
            self._runner.say(f"demo: {part.name} comes back")
        actor.child = self._runner.start(
            part.name,
            [
                *(sys.executable, "manage.py", "worker", "--exchange", part.exchange, "--mode", "demo"),
                *(*self._admin, *part.options),
                *("--", sys.executable, "-m", "activity.instance.demo", part.role),
            ],
            folder=BASE_DIR,
            PERSEUS_HOSTNAME=part.name,
        )
        if part.is_killed:
            actor.kill_at = now + (LATER_KILLS if actor.kills else FIRST_KILL) * self._heartbeat
