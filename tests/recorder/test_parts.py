"""The parts of the recorder by themselves: its process, its words, its packing of fields."""

import asyncio
import io
import logging
import os
import signal
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activity.models.archive import pack, unpack
from activity.recorder.database import DatabaseAway, DatabaseThread
from activity.recorder.exits import ExitCode
from activity.recorder.outages import Outages
from activity.recorder.progress import Progress
from activity.recorder.service import Job, serve


@given(st.lists(st.binary(max_size=50) | st.integers(1020, 1030).map(bytes)))
def test_any_names_and_values_come_back_as_they_were(parts: list[bytes]) -> None:
    assert unpack(pack(parts)) == parts


@pytest.mark.parametrize("raw", [b"3:abc", b"4:abc,", b"abc", b"1:a,x"])
def test_damaged_bytes_are_no_entry(raw: bytes) -> None:
    with pytest.raises(ValueError):
        unpack(raw)


# --- the process ---


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def _fails() -> None:
    raise RuntimeError("broken on purpose")


async def _returns() -> None:
    return


@pytest.mark.parametrize("job", [_fails, _returns])
def test_a_job_that_dies_ends_the_process_loudly(job: Callable[[], object], caplog: pytest.LogCaptureFixture) -> None:
    ended: list[str] = []

    async def other() -> None:
        try:
            await _for_ever()
        finally:
            ended.append("in order")

    code = asyncio.run(serve([Job("other", other), Job("archive", job)]))  # type: ignore[arg-type]
    assert code == ExitCode.INTERNAL_ERROR
    assert ended == ["in order"]
    (record,) = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert record.getMessage().startswith("archive has died, so the recorder ends: ")


def test_a_signal_ends_every_job_in_order() -> None:
    async def ask() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await _for_ever()

    assert asyncio.run(serve([Job("one", _for_ever), Job("two", ask)])) == ExitCode.DONE


def test_jobs_that_may_end_end_the_process_when_the_last_of_them_has_ended() -> None:
    assert asyncio.run(serve([Job("one", _returns, may_end=True), Job("two", _returns, may_end=True)])) == 0


# --- the database thread ---


async def test_a_mistake_in_a_function_reaches_its_caller_and_the_thread_goes_on() -> None:
    from django.db import OperationalError

    def wrong() -> None:
        raise KeyError("wrong")

    def away() -> None:
        raise OperationalError("could not connect\nmore")

    thread = DatabaseThread("a test")
    try:
        with pytest.raises(KeyError):
            await thread.run(wrong)
        with pytest.raises(DatabaseAway, match=r"^could not connect$"):
            await thread.run(away)
        assert await thread.run(lambda: 7) == 7
    finally:
        await thread.end()


# --- what it says ---


def test_an_outage_is_said_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    outages = Outages()
    with caplog.at_level(logging.WARNING):
        for who in ("kraken", "kraken", "binance"):
            outages.away("Redis", "refused", to=who)
        for who in ("okx", "kraken", "kraken"):
            outages.back("Redis", to=who)
        assert len(caplog.records) == 1, "binance still misses it"
        outages.gone("binance")
        outages.gone("binance")
    assert [record.getMessage() for record in caplog.records] == [
        "Redis is away, trying again until it is back; nothing is lost meanwhile: refused",
        "Redis is back",
    ]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_with_a_rate_and_no_trace_of_it_at_the_end() -> None:
    now = 0.0
    terminal = _Terminal()
    progress = Progress(terminal, lambda: now)
    progress.stored("kraken", 1000, 9000)
    for left in range(8000, -1000, -1000):
        now += 1
        progress.stored("kraken", 1000, left)
    drawn = terminal.getvalue().split("\r\x1b[K")
    assert drawn[5].startswith("[##################............]  60%  6,000 entries, about 4,000 left  1,200/s")
    assert drawn[-1] == ""


def test_without_a_terminal_a_line_is_said_every_five_seconds_at_the_most(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    progress = Progress(io.StringIO(), lambda: now)
    with caplog.at_level(logging.INFO):
        for left in range(20_000, -1000, -1000):
            progress.stored("kraken", 1000, left)
            now += 1
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4
    assert lines[0] == "catching up: 29%  6,000 entries, about 15,000 left  1,200/s  kraken"
    assert lines[-1] == "caught up: 21,000 entries in 20.0 s, 1,050/s"


def test_live_entries_are_stored_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress(io.StringIO())
    with caplog.at_level(logging.INFO):
        for _ in range(100):
            progress.stored("kraken", 1, 0)
    assert caplog.records == []
