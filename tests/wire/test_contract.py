"""The wire contract: strict in what we write, tolerant in what we read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from activity.wire import commands, entries, frames, keys, schemas, status
from activity.wire.clock import format_timestamp, parse_timestamp
from activity.wire.entries import EntryId, ErrorEntry, StateTransition, read_entry
from activity.wire.status import ConnectionState, InstanceStatus, read_status

NOW = "2026-11-22T14:31:38.907Z"


def transition(**changed: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "timestamp": NOW,
        "fromState": ConnectionState.IDLE,
        "toState": ConnectionState.STARTING,
        "exchangeId": "3",
        "exchangeName": "kraken",
        "hostname": "host-a",
    }
    return fields | changed


def test_the_keys_are_those_of_the_contract() -> None:
    assert keys.status_key(3) == "exchange:3:status"
    assert keys.ownership_key(3) == "{exchange:3:status}:own"
    assert keys.stream_key("Kraken") == "logs:network:kraken"


def test_the_text_of_a_report_is_cut_where_our_own_instances_cut_it() -> None:
    raw = json.dumps({"progress": "failed", "at": 5, "text": "not sent: " * 500}).encode()
    report = commands.read_report(raw)
    assert report is not None
    assert (report.progress, report.at, report.text) == ("failed", 5, "not sent: " * 100)


@pytest.mark.parametrize("field", ["at", "acknowledgedAt"])
def test_a_report_of_a_moment_that_no_calendar_has_is_none(field: str) -> None:
    report = {"progress": "failed", "at": 5, "text": ""}
    assert commands.read_report(json.dumps(report).encode()) is not None
    assert commands.read_report(json.dumps({**report, field: 10**18}).encode()) is None


def test_the_placeholder_of_an_idle_process_is_never_written() -> None:
    with pytest.raises(ValueError, match="never written"):
        keys.status_key(0)


@pytest.mark.parametrize("name", ["", "two words", "a:b", "ä", "x" * 65, "kraken\n"])
def test_what_is_no_exchange_name_has_no_stream(name: str) -> None:
    with pytest.raises(ValueError, match="no exchange name"):
        keys.stream_key(name)


def test_a_transition_is_written_as_strings_and_unknown_is_empty() -> None:
    fields = StateTransition.model_validate(transition()).to_fields()
    assert fields == {
        "timestamp": NOW,
        "exchangeId": "3",
        "exchangeName": "kraken",
        "hostname": "host-a",
        "ip": "",
        "instanceId": "",
        "epoch": "",
        "event": "state_transition",
        "fromState": "idle",
        "toState": "starting",
        "adminEmail": "",
    }


@pytest.mark.parametrize(
    "changed",
    [{"exchangeId": 3}, {"exchangeId": "0"}, {"ip": None}, {"timestamp": "yesterday"}, {"extra": "x"}],
)
def test_what_we_write_is_strict(changed: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        StateTransition.model_validate(transition(**changed))


@pytest.mark.parametrize(
    ("pairs", "kind", "problem"),
    [
        ([b"event", b"error", b"timestamp", NOW.encode(), b"error", b"e", b"theirs", b"kept"], "error", ""),
        ([b"event", b"brewed_coffee", b"cups", b"2"], "unknown", ""),
        ([b"cups", b"2"], "malformed", "event: the field is missing"),
        ([b"event", b"error", b"timestamp", b"t"], "malformed", "error: Field required"),
        (
            [b"event", b"state_transition", b"timestamp", b"t", b"fromState", b"idle", b"toState", b"flying"],
            "malformed",
            "toState: ",
        ),
        ([b"event", b"error", b"timestamp", b"t", b"error", b"\xff"], "error", ""),
    ],
)
def test_an_entry_of_any_origin_is_represented(pairs: list[bytes], kind: str, problem: str) -> None:
    entry = read_entry(b"5-1", pairs)
    assert entry.kind == kind
    assert entry.problem.startswith(problem)
    assert len(entry.fields) == len(pairs) // 2


@given(st.lists(st.binary(max_size=20), max_size=12), st.sampled_from([b"state_transition", b"error", b"x"]))
def test_no_bytes_break_a_reader_and_no_field_is_dropped(pairs: list[bytes], event: bytes) -> None:
    whole = [*pairs[: len(pairs) // 2 * 2], b"event", event]
    entry = read_entry(b"5-1", whole)
    assert len(entry.fields) == len(whole) // 2
    frames.encode_json(entry.to_json()).encode()


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda value: json.dumps(value).encode())
)
def test_no_status_value_breaks_a_reader(raw: bytes) -> None:
    reading = read_status(raw)
    assert reading.status is not None or reading.problem


def test_a_status_of_an_older_writer_is_read_whole() -> None:
    older = {"exchangeId": 3, "exchangeName": "kraken", "hostname": "h", "connectionState": "active", "theirs": [1]}
    reading = read_status(json.dumps(older).encode())
    assert reading.fields == older
    assert reading.status is not None
    assert (reading.status.epoch, reading.status.interval) == (None, 15)


def test_our_status_is_read_back_as_it_was_written() -> None:
    ours = InstanceStatus(
        exchangeId=3, exchangeName="kraken", hostname="h", connectionState=ConnectionState.IDLE, lastHeartbeat=NOW,
        lastStateChange=NOW, registeredAt=NOW, instanceId="i", pid=1, version="1", heartbeatSeconds=15, epoch=1 << 52,
    )  # fmt: skip
    assert json.loads(ours.model_dump_json()) == read_status(ours.model_dump_json().encode()).fields


def test_the_ttl_is_three_intervals() -> None:
    assert status.ttl_seconds(status.HEARTBEAT_SECONDS) == 45


@pytest.mark.parametrize(
    ("interval", "age_ms", "late"),
    [
        (15, 18_999, False),
        (15, 19_000, True),
        (60, 63_999, False),
        (60, 64_000, True),
        (1, 1_999, False),
        (1, 2_000, True),
    ],
)
def test_a_beat_is_late_once_it_cannot_be_on_its_way_any_more(interval: int, age_ms: int, late: bool) -> None:
    assert status.is_late(age_ms, interval) == late


def test_every_state_leads_on_and_only_as_the_contract_says() -> None:
    edges = {(a.value, b.value) for a, targets in status.TRANSITIONS.items() for b in targets}
    assert edges == {
        ("idle", "starting"), ("starting", "warming"), ("starting", "stopping"), ("starting", "idle"),
        ("warming", "active"), ("warming", "stopping"), ("warming", "idle"), ("active", "stopping"),
        ("stopping", "stopped"), ("stopped", "idle"),
    }  # fmt: skip


@given(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1))
def test_ids_sort_as_numbers(milliseconds: int, sequence: int) -> None:
    found = EntryId.parse(f"{milliseconds}-{sequence}")
    assert found == (milliseconds, sequence)
    assert EntryId(9, 0) < EntryId(10, 0)


@pytest.mark.parametrize("text", ["", "5", "-1-0", "a-0", "1-", "1-0-0", "18446744073709551616-0", "٣-0"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no stream id"):
        EntryId.parse(text)


@given(st.datetimes(timezones=st.timezones()))
def test_a_timestamp_survives_being_written_and_read(moment: object) -> None:
    from datetime import datetime

    assert isinstance(moment, datetime)
    try:
        text = format_timestamp(moment)
    except OverflowError:
        return  # year 1 or 9999, moved across a zone
    back = parse_timestamp(text)
    assert back is not None
    assert abs((back - moment).total_seconds()) < 0.001


def test_errors_name_the_state_in_which_they_were_met() -> None:
    entry = ErrorEntry(
        timestamp=NOW, exchangeId="3", exchangeName="kraken", hostname="h", error="boom", state=ConnectionState.WARMING
    )
    assert entry.to_fields()["state"] == "warming"
    assert entries.ENTRY.validate_python(entry.model_dump()) == entry


def test_the_generated_schemas_are_not_stale() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in schemas.FOLDER.glob("*.json")}
    assert written == schemas.schemas(), "run `make schemas`"
