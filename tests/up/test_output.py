"""Several processes on one stream."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest

from activity.management.output import BACKLOG_LINES, Output, OutputClosed


@contextmanager
def pipe() -> Iterator[tuple[TextIO, TextIO]]:
    read, write = os.pipe()
    with os.fdopen(read, encoding="utf-8") as reader, os.fdopen(write, "w", encoding="utf-8") as writer:
        yield reader, writer


def everything(output: Output, reader: TextIO, writer: TextIO) -> list[str]:
    text = b""
    while output.pending:
        output.flush()
        text += os.read(reader.fileno(), 65_536)
    return text.decode(writer.encoding).splitlines()


def test_names_stand_in_a_column() -> None:
    with pipe() as (reader, writer):
        output = Output(writer, ["up", "database"])
        output.line("up", "one")
        output.line("database", "two")
        assert everything(output, reader, writer) == ["up       | one", "database | two"]


def test_colours_mark_the_name_alone() -> None:
    with pipe() as (reader, writer):
        output = Output(writer, ["up", "web"], colour=True)
        output.line("web", "said")
        assert everything(output, reader, writer) == ["\x1b[33mweb |\x1b[0m said"]


def test_what_a_terminal_would_obey_is_made_visible() -> None:
    with pipe() as (reader, writer):
        output = Output(writer, ["up"])
        output.line("up", "a\x1b[2Jb\tc\x00\x9bd é")
        assert everything(output, reader, writer) == [r"up | a\x1b[2Jb" + "\tc" + r"\x00\x9bd é"]


def test_a_reader_who_stands_still_costs_the_oldest_lines_and_is_told_how_many() -> None:
    with pipe() as (reader, writer):
        output = Output(writer, ["up"])
        for number in range(BACKLOG_LINES + 5):
            output.line("up", str(number))
        lines = everything(output, reader, writer)
        assert lines[:2] == ["up | 5 lines were left out here: nothing read this output", "up | 5"]
        assert len(lines) == BACKLOG_LINES + 1
        assert lines[-1] == f"up | {BACKLOG_LINES + 4}"


def test_a_pipe_that_nobody_reads_is_said() -> None:
    with pipe() as (reader, writer):
        output = Output(writer, ["up"])
        reader.close()
        output.line("up", "hello")
        with pytest.raises(OutputClosed):
            output.flush()
        assert not output.pending
