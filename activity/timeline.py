"""What an exchange went through between two moments, drawn from its raw entries alone: states, errors, owners, gaps.

Nothing is summed up: a segment begins at one entry and ends at another, and each error is a mark of its own. Moments
are milliseconds since 1970 by Redis' clock, from the entries' ids.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from django.utils.translation import gettext as _

from activity.history import read_downwards, read_gaps
from activity.newer import read_newer
from activity.store.client import SyncClient
from activity.store.gone import RESTING, ended_at, is_lost
from activity.store.history import STEP, TOP, HistoryGap, Position, last_known_of, read_raw_statuses
from activity.text import HEADLINE_CHARS, error_text, milliseconds, visible
from activity.wire.clock import parse_timestamp
from activity.wire.entries import EntryId, StreamEntry

#: Entries that one timeline looks at. Of a window with more, the newest are drawn and the rest is said to be left out.
#: A live page draws it anew every second: with 5,000 ticks one drawing held the browser up for more than 200 ms.
LIMIT: Final = 500
#: Entries behind the end of a window among which the notice of a death inside it is looked for. It is written a minute
#: after the last beat, or as soon as a recorder runs again. One less than a step, so that one step is read.
AHEAD: Final = STEP - 1
#: The spans that a page offers, in minutes.
SPANS: Final[dict[str, int]] = {"15m": 15, "1h": 60, "6h": 360, "24h": 1440, "7d": 10_080}
#: The longest window that can be asked for: 90 days, for which a stream is kept.
LONGEST_MS: Final = 90 * 86_400_000

What = Literal["state", "lost", "unknown"]
#: A window that ends now; one of the past, as it is known by now; or one of the past as it was seen then.
Reach = Literal["now", "past", "then"]


@dataclass(frozen=True, slots=True)
class Segment:
    """Something that held from one moment to another. `entry_id` is the entry with which it began, if it is known."""

    begin: int
    end: int
    what: What
    state: str = ""
    label: str = ""
    entry_id: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """One entry, or one thing that somebody did, at a moment. `correlation_id`: by which its transitions are found."""

    at: int
    label: str
    entry_id: str = ""
    correlation_id: str = ""


@dataclass(slots=True)
class Timeline:
    """A window of an exchange's history. `left_out`: before this moment there are entries that were not looked at.

    `last` is the newest entry of the window that tells a state, `later` whether one behind the window does.
    """

    exchange: str
    begin: int
    end: int
    states: list[Segment] = field(default_factory=list)
    owners: list[Segment] = field(default_factory=list)
    errors: list[Mark] = field(default_factory=list)
    people: list[Mark] = field(default_factory=list)
    left_out: int | None = None
    last: StreamEntry | None = None
    later: bool = False

    def x(self, at: int) -> str:
        """A moment's place in the window, in percent."""
        return f"{max(0.0, min(100.0, 100 * (at - self.begin) / max(1, self.end - self.begin))):.3f}"

    @property
    def axis(self) -> list[int]:
        """Six to twelve round moments inside the window."""
        span = self.end - self.begin
        for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080):
            step = minutes * 60_000
            if span / step <= 9:
                break
        return list(range(-(-self.begin // step) * step, self.end + 1, step))


def _owner(entry: StreamEntry) -> str:
    epoch, host = entry.fields.get("epoch", ""), entry.fields.get("hostname", "")
    if not host and not epoch:
        return ""
    facts = {"host": visible(host[:HEADLINE_CHARS]), "tail": visible(epoch[-6:])}
    return (_("epoch …%(tail)s, %(host)s") if epoch else _("no epoch, %(host)s")) % facts


def read_timeline(client: SyncClient, name: str, begin: int, end: int, reach: Reach = "now") -> Timeline:
    """The window from `begin` to `end` (milliseconds since 1970). Raises StoreUnavailable and ArchiveAway.

    What was written behind a window of the past tells of deaths inside it. Of one that is shown as it was seen then,
    when nobody knew of these, the state is unknown from the last beat on.
    """
    timeline = Timeline(name, begin, end)
    entries = read_downwards(client, name, EntryId(end, TOP.sequence))
    inside: list[StreamEntry] = []
    before: StreamEntry | None = None
    for entry in entries:
        if entry.id.milliseconds < begin:
            before = entry
            break
        if len(inside) == LIMIT:
            timeline.left_out = inside[-1].id.milliseconds
            break
        inside.append(entry)
    inside.reverse()
    known = None
    if before is not None and timeline.left_out is None:
        known = last_known_of(_again(before, entries))[0]
    gaps = read_gaps(client, name, known.id if known else EntryId(begin, 0), EntryId(end, TOP.sequence))
    ahead: list[StreamEntry] = []
    if reach != "now":
        ahead = _read_ahead(client, name, end)
    _states(timeline, known, inside, gaps, ahead, told_later="lost" if reach == "past" else "unknown")
    _owners(timeline, known, inside)
    timeline.errors = [
        Mark(entry.id.milliseconds, visible(error_text(entry.fields["error"])[:HEADLINE_CHARS]), str(entry.id))
        for entry in inside
        if entry.kind == "error"
    ]
    return timeline


def _read_ahead(client: SyncClient, name: str, end: int) -> list[StreamEntry]:
    page = read_newer(client, [name], count=AHEAD, cursor=str(Position(EntryId(end, TOP.sequence), name)))
    return [entry for _, entry in reversed(page.entries)]


def was_gone(client: SyncClient, exchange_id: int, known: tuple[str, StreamEntry], at_ms: int) -> bool:
    """Whether the writer of the newest entry (with its exchange's name) before a moment was gone by then.

    As it is known by now: by a notice that was written later, or by the ownership where nothing was written after that
    entry. Raises StoreUnavailable and ArchiveAway.
    """
    name, entry = known
    moments = _moments(entry, _read_ahead(client, name, at_ms))
    newest = [one for at, one in moments if at <= at_ms][-1:]
    if newest != [entry]:
        return bool(newest) and newest[0].is_death
    if any(at > at_ms and _told(one)[0] != "unknown" for at, one in moments):
        return False
    [raw] = read_raw_statuses(client, [exchange_id])
    if raw.value is not None or (entry.state in RESTING and not is_lost(raw.owner, entry)):
        return False
    ended = ended_at(raw.owner, entry)
    return ended is not None and ended <= at_ms


def end_as_gone(timeline: Timeline, what: Literal["lost", "unknown"], at: int | None) -> None:
    """What a timeline that ends with a state says of an exchange whose key is gone, and no entry says so.

    The state ended at the moment `at`, by the ownership, else with the last entry that was heard.
    """
    last = timeline.states.pop()
    heard = max([last.begin, *(mark.at for mark in timeline.errors)])
    since = max(at, heard) if at is not None and at <= timeline.end else heard
    if since > last.begin:
        timeline.states.append(replace(last, end=since))
    if since < timeline.end:
        told = (last.state, "") if what == "lost" else ("", _("not heard from since"))
        timeline.states.append(Segment(since, timeline.end, what, *told))


def _again(first: StreamEntry, rest: Iterator[StreamEntry]) -> Iterator[StreamEntry]:
    yield first
    yield from rest


class _Band:
    """Segments as they grow: what holds at present, since when, and from which entry."""

    def __init__(self, segments: list[Segment], since: int) -> None:
        self._segments = segments
        self._since = since
        self._now: tuple[What, str] = ("unknown", "")
        self._label = _("before all that is held")
        self._entry_id = ""

    def turn(self, at: int, told: tuple[What, str], label: str = "", entry_id: str = "") -> None:
        """From this moment on something else holds."""
        if told == self._now and label == self._label:
            return
        if at > self._since:
            what, state = self._now
            self._segments.append(Segment(self._since, at, what, state, self._label, self._entry_id))
        self._since, self._now, self._label, self._entry_id = max(at, self._since), told, label, entry_id

    def end(self, at: int) -> None:
        """Nothing comes after this moment."""
        self.turn(at, ("unknown", ""), "the end")


def _states(
    timeline: Timeline,
    known: StreamEntry | None,
    inside: Sequence[StreamEntry],
    gaps: Sequence[HistoryGap],
    ahead: Sequence[StreamEntry],
    told_later: Literal["lost", "unknown"],
) -> None:
    """What each moment's newest entry tells. In a gap, and before all that is held, nobody knows.

    Of the entries behind the window (`ahead`) those count that are notices of a death inside it.
    """
    began = timeline.left_out or timeline.begin
    if timeline.left_out is not None:
        timeline.states.append(Segment(timeline.begin, began, "unknown", label=_("not drawn: more entries than fit")))
    band = _Band(timeline.states, began)
    missing = {gap.after for gap in gaps}
    for at, entry in _moments(known, [*inside, *ahead]):
        told = _told(entry)
        if at > timeline.end:
            timeline.later |= told[0] != "unknown"
            continue
        at = max(at, began)
        if told[0] != "unknown":
            timeline.last = entry
            if entry.id.milliseconds > timeline.end and told_later == "unknown":
                band.turn(at, ("unknown", ""), _("not heard from since"))
            else:
                band.turn(at, told, entry_id=str(entry.id))
        if entry.id in missing:
            band.turn(at, ("unknown", ""), _("entries are missing"))
    band.end(timeline.end)


def _moments(known: StreamEntry | None, inside: Sequence[StreamEntry]) -> list[tuple[int, StreamEntry]]:
    """Since when each holds. A death holds since the instance was last heard, whenever the recorder wrote it down."""
    told: list[tuple[int, StreamEntry]] = []
    heard: dict[int, int] = {}
    for entry in ([known] if known else []) + list(inside):
        at = entry.id.milliseconds
        if entry.is_death:
            beat = parse_timestamp(entry.fields.get("lastHeartbeat"))
            silent = max(milliseconds(beat), heard.get(entry.epoch, 0)) if beat else at
            told.append((min(at, silent), entry))
        else:
            heard[entry.epoch] = at
            told.append((at, entry))
    return sorted(told, key=lambda one: one[0])


def _told(entry: StreamEntry) -> tuple[What, str]:
    if entry.is_death:
        return "lost", entry.state
    return ("state", entry.state) if entry.state else ("unknown", "")


def _owners(timeline: Timeline, known: StreamEntry | None, inside: Sequence[StreamEntry]) -> None:
    current = _owner(known) if known else ""
    since = timeline.left_out or timeline.begin
    entry_id = str(known.id) if known else ""
    for entry in inside:
        owner = _owner(entry)
        if not owner or owner == current or entry.is_death:
            continue  # a notice is about somebody who is gone
        if current and entry.id.milliseconds > since:
            timeline.owners.append(Segment(since, entry.id.milliseconds, "state", label=current, entry_id=entry_id))
        since, current, entry_id = entry.id.milliseconds, owner, str(entry.id)
    if current:
        timeline.owners.append(Segment(since, timeline.end, "state", label=current, entry_id=entry_id))
