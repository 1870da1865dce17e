"""An entry's row says what everybody else reads in the entry, whatever its bytes are."""

from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from activity.models import ArchivedEntry, Exchange
from activity.models.archive import ADMIN_CHARS, EVENT_CHARS, HOST_CHARS, TEXT_CHARS, pack
from activity.recorder.rows import TEXT_COLUMNS, copy_data, rows
from activity.recorder.writing import Batch, load_cursor, store
from activity.wire.entries import EntryId, RawEntry
from activity.wire.status import ConnectionState
from tests.recorder.archiving import Database

_NAMES = ("event", "timestamp", "error", "state", "fromState", "toState", "hostname", "adminEmail", "exchangeName")
_names = st.sampled_from([*(name.encode() for name in _NAMES), b"hostname#2", b"ip", b"state\xff"]) | st.binary(
    max_size=9
)
_values = (
    st.sampled_from([b"error", b"state_transition", b"", *(state.value.encode() for state in ConnectionState)])
    | st.binary(max_size=30)
    | st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.sampled_from(["a", "ü", "😀", "\0", "\udc80"]).flatmap(
        lambda char: st.sampled_from([99, 100, 101, 254, 255, 256, 10_001]).map(
            lambda count: (char * count).encode("utf-8", "surrogatepass")
        )
    )
)
_states = st.sampled_from([state.value.encode() for state in ConnectionState])
#: Nearly well-formed ones as well, which chance alone would hardly make.
_nearly = st.fixed_dictionaries(
    {b"event": st.sampled_from([b"error", b"state_transition"])},
    optional={
        **dict.fromkeys((b"timestamp", b"error", b"hostname", b"adminEmail", b"exchangeName"), _values),
        **dict.fromkeys((b"state", b"fromState", b"toState"), _states | _values),
    },
).map(lambda fields: [part for pair in fields.items() for part in pair])
_any = st.lists(st.tuples(_names, _values), max_size=10).map(lambda pairs: [part for pair in pairs for part in pair])
_pairs = _nearly | _any


def _fields(**fields: str) -> list[bytes]:
    return [part.encode() for pair in fields.items() for part in pair]


#: Each is told apart from its neighbour by one thing alone.
EDGES = [
    _fields(event="error", timestamp="t", error="e", state="active"),
    _fields(event="error", timestamp="t", error="e", state="actives"),
    _fields(event="error", timestamp="t", state="active"),
    _fields(event="error", error="e", state="active"),
    _fields(event="errors", timestamp="t", error="e", state="active"),
    _fields(event="state_transition", timestamp="t", fromState="idle", toState="active"),
    _fields(event="state_transition", timestamp="t", fromState="idle", toState="actives"),
    _fields(event="state_transition", timestamp="t", fromState="idles", toState="active", error="e"),
    _fields(event="state_transition", fromState="idle", toState="active"),
    _fields(event="state_transition", timestamp="t", toState="active"),
    *(
        _fields(
            event=char * (EVENT_CHARS + more), hostname=char * (HOST_CHARS + more), error=char * (TEXT_CHARS + more)
        )
        for char in "aü\0"
        for more in (0, 1)
    ),
    *(_fields(timestamp="t", adminEmail=char * (ADMIN_CHARS + more)) for char in "aü\0" for more in (0, 1)),
    [b"event", b"error", b"timestamp"],
    [b"hostname"],
    [],
]


def _shown(text: str, chars: int) -> str:
    return text[:chars].replace("\0", "\u2400")


def said(entry: RawEntry) -> tuple[str, ...]:
    """What the columns are to say, by what everybody else makes of the entry."""
    read = entry.read()
    fields = read.fields
    text = fields.get("error", "")
    if read.kind == "state_transition":
        text = f"{fields['fromState']} → {fields['toState']}"
    return (
        _shown(fields.get("event", ""), EVENT_CHARS),
        read.state,
        _shown(fields.get("hostname", ""), HOST_CHARS),
        _shown(fields.get("adminEmail", ""), ADMIN_CHARS),
        _shown(text, TEXT_CHARS),
    )


def numbered(some: list[list[bytes]]) -> list[RawEntry]:
    return [RawEntry(EntryId(1000 + number, number), pairs) for number, pairs in enumerate(some)]


@given(st.lists(_pairs, max_size=5))
@example(EDGES)
def test_the_columns_of_a_row_say_what_is_read_in_the_entry(some: list[list[bytes]]) -> None:
    entries = numbered(some)
    found = list(rows(entries))
    assert [entry for entry, _, _ in found] == entries
    assert [raw for _, raw, _ in found] == [pack(pairs) for pairs in some]
    assert [tuple(text.decode() for text in texts) for _, _, texts in found] == [said(entry) for entry in entries]


def test_the_database_reads_the_rows_as_they_were_meant(database: Database) -> None:
    exchange = Exchange.objects.get(name="kraken")
    entries = numbered(
        [
            [b"event", b"error", b"timestamp", b"t", b"error", b"tab\tline\nback\\slash\0nul", b"state", b"active"],
            [b"event", b"state_transition", b"timestamp", b"t", b"fromState", b"idle", b"toState", b"starting"],
            [b"event", "ü".encode() * 101, b"hostname", b"h" * 256, b"adminEmail", b"\xff@example.org"],
            [b"big", b"b" * 3_000_000],
            [],
        ]
    )
    entries.append(RawEntry(EntryId((1 << 63) - 1, (1 << 63) - 1), [b"event", b"last"]))
    before = datetime.now(UTC)
    assert store(exchange.pk, Batch(load_cursor(exchange.pk), entries[-1].id, entries)) == "stored"
    found = list(ArchivedEntry.objects.order_by("ms", "seq"))
    assert [(row.entry_id, row.pairs) for row in found] == [tuple(entry) for entry in entries]
    assert [tuple(getattr(row, name) for name in TEXT_COLUMNS) for row in found] == [said(entry) for entry in entries]
    assert all(before <= row.recorded_at <= datetime.now(UTC) for row in found)


def test_a_batch_without_entries_copies_nothing(postgres_database: Database) -> None:
    assert copy_data(3, [], datetime.now(UTC)) == b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\xff\xff"
