"""docs/reliability.md tells of every fault that is injected, in the words of the tests, and of the last soak."""

from pathlib import Path

import pytest

from tests.faults.table import BEGIN, DOCUMENT, END, Fault, faults, table
from tests.soak import __main__ as soak


def test_every_fault_is_in_the_document_and_no_other() -> None:
    text = DOCUMENT.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    told = [line.split(" | ")[:2] for line in text.splitlines() if line.startswith("| ")][1:]
    wanted = [line.split(" | ")[:2] for line in table(faults(), {}).splitlines()[2:]]
    assert told == wanted, "run `python -m tests.faults.table`"


def test_a_test_without_its_words_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text('def test_a() -> None:\n    """Fault: one."""\n')
    with pytest.raises(ValueError, match="test_a does not say"):
        faults(tmp_path)


def test_what_did_not_hold_or_did_not_run_is_told_so() -> None:
    rows = [Fault("a.", "b | c.", "t.py::test_a"), Fault("d", "e", "t.py::test_b"), Fault("f", "g", "t.py::test_c")]
    lines = table(rows, {"t.py::test_a": "failed", "t.py::test_c": "passed"}).splitlines()
    assert lines[2:] == ["| A | B \\| c | **did not hold** |", "| D | E | not run |", "| F | G | held |"]


def test_the_last_soak_is_told_with_its_figures_and_one_that_did_not_hold_as_such() -> None:
    text = DOCUMENT.read_text("utf-8").partition(soak.BEGIN)[2].partition(soak.END)[0]
    assert ": held. Redis " in text
    assert "| instances that started | " in text
    assert "**did not hold**" in soak.told({}, 10)
