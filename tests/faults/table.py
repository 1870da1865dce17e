"""``python -m tests.faults.table`` runs tests/faults and writes what held into docs/reliability.md.

Each test of this folder says in its docstring ``Fault: …`` and ``Holds: …``. The table between the two marks of the
file is made from these and from the outcomes; the rest of it is written by hand. With a file name as argument, the
outcomes are taken from there (FAULT_RESULTS of an earlier run) and nothing is run.
"""

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
DOCUMENT: Final = FOLDER.parents[1] / "docs" / "reliability.md"
BEGIN: Final = "<!-- table of faults: written by `python -m tests.faults.table` -->"
END: Final = "<!-- end of the table of faults -->"
_WORDS: Final = {"passed": "held", "failed": "**did not hold**", "skipped": "not run"}


@dataclass(frozen=True)
class Fault:
    """One test: what is done, what must hold, and where it is proved (``file.py::test``)."""

    fault: str
    holds: str
    test: str


def faults(folder: Path = FOLDER) -> list[Fault]:
    """All tests, by file and in the order in which they are written. Raises ValueError for one without its words."""
    found = []
    for path in sorted(folder.glob("test_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                text = " ".join((ast.get_docstring(node) or "").split())
                match = re.fullmatch(r"Fault: (.+?) Holds: (.+)", text)
                if not match:
                    raise ValueError(f"{path.name}: {node.name} does not say `Fault: … Holds: …`")
                found.append(Fault(match[1], match[2], f"{path.name}::{node.name}"))
    return found


def table(rows: list[Fault], outcomes: Mapping[str, str]) -> str:
    """A Markdown table."""
    lines = ["| fault | what holds | outcome |", "|---|---|---|"]
    for row in rows:
        outcome = _WORDS.get(outcomes.get(row.test, ""), "not run")
        lines.append(f"| {_cell(row.fault)} | {_cell(row.holds)} | {outcome} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    text = text.rstrip(".").replace("|", "\\|")
    return text[0].upper() + text[1:]


def run() -> dict[str, str]:
    """The outcomes of a run of this folder."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", str(FOLDER)]
        subprocess.run(command, env={**os.environ, "FAULT_RESULTS": str(results)}, check=False)
        outcomes: dict[str, str] = json.loads(results.read_text())
    return outcomes


def main() -> int:
    """Exit code 1 where something did not hold."""
    outcomes = json.loads(Path(sys.argv[1]).read_text()) if len(sys.argv) > 1 else run()
    rows = faults()
    text = DOCUMENT.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    told = f"Run of {datetime.now(UTC):%Y-%m-%d}, {len(rows)} kinds of fault."
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{told}\n\n{table(rows, outcomes)}\n\n{END}{after}", "utf-8")
    bad = [row.test for row in rows if outcomes.get(row.test) != "passed"]
    print(f"{len(rows) - len(bad)} of {len(rows)} held; {DOCUMENT}", *bad, sep="\n", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
