"""The permanent record of every exchange's activity, written by the recorder alone and changed by nobody.

A stream forgets after 90 days; what stands here stays. Ids of entries are kept as two columns of 63 bits, which is what
SQL has: an id beyond that (the year 292 million, so somebody's mistake) is recorded as a gap and said.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from activity.models.exchanges import Exchange
from activity.wire.entries import EntryId, StreamEntry, read_entry

#: The largest number that a bigint column holds. Redis' ids go to 2^64 - 1 in both of their parts.
LARGEST: Final = (1 << 63) - 1

#: Characters of the columns that are there to be searched. `raw` has all of it.
EVENT_CHARS: Final = 100
HOST_CHARS: Final = 255
ADMIN_CHARS: Final = 254
TEXT_CHARS: Final = 10_000

_ENTRY_ID_HELP: Final = _("A stream id is two numbers: milliseconds since 1970 and a sequence number.")


def can_be_kept(entry_id: EntryId) -> bool:
    """Whether both parts of the id fit into a column."""
    return max(entry_id) <= LARGEST


#: How nearly all parts begin, ready made: this is done for every field of every entry.
_LENGTHS: Final = tuple(b"%d:" % length for length in range(1024))


def pack(pairs: Sequence[bytes]) -> bytes:
    """Names and values in turn, each behind its length: ``5:event,5:error,``. Any bytes, any order, any repetition."""
    parts = [b","] * (3 * len(pairs))
    try:
        parts[::3] = [_LENGTHS[len(part)] for part in pairs]
    except IndexError:
        parts[::3] = [b"%d:" % len(part) for part in pairs]
    parts[1::3] = pairs
    return b"".join(parts)


def unpack(raw: bytes | memoryview) -> list[bytes]:
    """The names and values that `pack` was given. Raises ValueError where somebody has damaged them."""
    data, parts, at = bytes(raw), [], 0
    while at < len(data):
        colon = data.index(b":", at)
        start = colon + 1
        end = start + int(data[at:colon])
        if data[end : end + 1] != b",":
            raise ValueError("an archived entry is damaged: its raw bytes are no list of fields")
        parts.append(data[start:end])
        at = end + 1
    return parts


class ArchivedEntry(models.Model):
    """One entry of one exchange's stream, as it was: `raw` is the truth, the texts beside it are there to be searched.

    Bytes that are not UTF-8 stand in the texts as U+FFFD and NUL, which Postgres refuses, as U+2400.
    """

    exchange = models.ForeignKey(
        Exchange, verbose_name=_("exchange"), on_delete=models.PROTECT, db_index=False, related_name="archived_entries"
    )
    ms = models.BigIntegerField(_("ms"), help_text=_ENTRY_ID_HELP)
    seq = models.BigIntegerField(_("seq"))
    raw = models.BinaryField(_("raw"))
    event = models.CharField(_("event"), max_length=EVENT_CHARS)
    state = models.CharField(_("state"), max_length=16)
    host = models.CharField(_("host"), max_length=HOST_CHARS)
    admin = models.CharField(_("admin"), max_length=ADMIN_CHARS)
    text = models.TextField(_("text"))
    recorded_at = models.DateTimeField(_("recorded at"), default=timezone.now)

    class Meta:
        db_table = "archived_entries"
        verbose_name = _("archived entry")
        verbose_name_plural = _("archived entries")
        ordering: ClassVar = ["-ms", "-seq"]
        constraints: ClassVar = [
            # Exactly once, whoever writes. It is also the index by which the pages read on.
            models.UniqueConstraint(fields=["exchange", "ms", "seq"], name="archived_entries_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["exchange", "event", "ms", "seq"], name="archived_entries_by_event"),
        ]

    def __str__(self) -> str:
        return str(self.entry_id)

    @property
    def entry_id(self) -> EntryId:
        """The id that the stream gave it."""
        return EntryId(self.ms, self.seq)

    @property
    def pairs(self) -> list[bytes]:
        """Names and values in turn, byte by byte as they were written."""
        return unpack(self.raw)

    @property
    def entry(self) -> StreamEntry:
        """The same that reading it from the stream gives."""
        return read_entry(str(self.entry_id), self.pairs)


class ArchiveCursor(models.Model):
    """How far one exchange's stream has been archived. Its row is locked while entries are added."""

    exchange = models.OneToOneField(
        Exchange, verbose_name=_("exchange"), on_delete=models.CASCADE, primary_key=True, related_name="archive_cursor"
    )
    ms = models.BigIntegerField(_("ms"), default=0)
    seq = models.BigIntegerField(_("seq"), default=0)
    restarts = models.BigIntegerField(
        _("restarts"),
        default=0,
        help_text=_(
            "How often the stream began anew, or lacked an entry that it had had: Redis was emptied or fell back."
        ),
    )
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        db_table = "archive_cursors"
        verbose_name = _("archive cursor")
        verbose_name_plural = _("archive cursors")

    def __str__(self) -> str:
        return f"{self.exchange} at {self.entry_id}"

    @property
    def entry_id(self) -> EntryId:
        """The newest entry that is archived; 0-0 before the first."""
        return EntryId(self.ms, self.seq)


class ArchiveGap(models.Model):
    """Entries that the archive may lack: said, never papered over."""

    class Reason(models.TextChoices):
        """How it came to be."""

        TRIMMED = "trimmed", _("the stream was trimmed before the entries were read")
        RECREATED = "recreated", _("the stream began anew: Redis was emptied, or fell back to an older state")
        BEYOND = "beyond", _("the id is larger than SQL can hold")
        CONFLICT = "conflict", _("the stream gave an id to a second, different entry after it began anew")

    exchange = models.ForeignKey(
        Exchange, verbose_name=_("exchange"), on_delete=models.PROTECT, db_index=False, related_name="archive_gaps"
    )
    after_ms = models.BigIntegerField(_("after ms"), help_text=_("The newest entry before the gap."))
    after_seq = models.BigIntegerField(_("after seq"))
    first_ms = models.BigIntegerField(
        _("first ms"), null=True, help_text=_("The first entry behind it; empty while there is none.")
    )
    first_seq = models.BigIntegerField(_("first seq"), null=True)
    reason = models.CharField(_("reason"), max_length=16, choices=Reason.choices)
    found_at = models.DateTimeField(_("found at"), default=timezone.now)

    class Meta:
        db_table = "archive_gaps"
        verbose_name = _("gap in the archive")
        verbose_name_plural = _("gaps in the archive")
        ordering: ClassVar = ["-found_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["exchange", "after_ms", "after_seq", "reason"], name="archive_gaps_once"),
        ]

    def __str__(self) -> str:
        told = {"exchange": self.exchange, "reason": self.reason, "after": self.after}
        return gettext("%(exchange)s: %(reason)s after %(after)s") % told

    @property
    def after(self) -> EntryId:
        """The newest entry before the gap."""
        return EntryId(self.after_ms, self.after_seq)

    @property
    def first(self) -> EntryId | None:
        """The first entry behind the gap; None while there is none."""
        if self.first_ms is None or self.first_seq is None:
            return None
        return EntryId(self.first_ms, self.first_seq)
