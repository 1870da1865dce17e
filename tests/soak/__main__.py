"""``make soak``: a day of SOAK_MINUTES, and what it came to, written into docs/reliability.md between the two marks."""

import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.postgres import postgres_bindir

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN: Final = "<!-- last soak: written by `make soak` -->"
END: Final = "<!-- end of the last soak -->"


def _first_line(*command: str) -> str:
    return subprocess.check_output(command, text=True).splitlines()[0]


def versions() -> str:
    """Of everything that took part."""
    redis = _first_line(shutil.which("redis-server") or "redis-server", "--version").split("v=")[1].split()[0]
    postgres = _first_line(str(postgres_bindir() / "postgres"), "--version").split(") ")[1].split()[0]
    python = platform.python_version()
    return f"Redis {redis}, Postgres {postgres}, SQLite {sqlite3.sqlite_version}, Python {python}"


def told(figures: dict[str, Any], minutes: float) -> str:
    """The figures as a paragraph and a table."""
    held = "held" if figures else "**did not hold**"
    lines = [f"Run of {datetime.now(UTC):%Y-%m-%d}, a day in {minutes:g} minutes: {held}. {versions()}."]
    if figures:
        broken = ", ".join(f"{what} {count}" for what, count in sorted(figures["broken"].items()) if what)
        rows = [
            ("instances that started", figures["instances"]),
            ("of them stopped in order, the others were killed", figures["in_order"]),
            ("entries that were appended", figures["entries"]),
            ("deaths that were written down", figures["deaths"]),
            ("resets of the registry that were told", figures["resets"]),
        ]
        for kind, missing in figures["missing"].items():
            archived = f"{figures['entries'] - missing:,} of {figures['entries']:,}"
            gaps = f"{missing:,} in {figures['gaps'][kind]:,} recorded gaps"
            rows.append((f"archived on {kind}, byte by byte; the others were trimmed before", f"{archived}; {gaps}"))
        lines += ["", "| | |", "|---|---|"]
        lines += [f"| {name} | {value if isinstance(value, str) else f'{value:,}'} |" for name, value in rows]
        lines += [f"| broken in the 24 hours | {broken} |"]
    return "\n".join(lines)


def main() -> int:
    """Exit code 1 where it did not hold; the document says so then."""
    minutes = float(os.environ.get("SOAK_MINUTES") or 10)
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "figures.json"
        command = [sys.executable, "-m", "pytest", "-q", "-s", "--timeout=0", str(Path(__file__).parent)]
        environment = {**os.environ, "SOAK_MINUTES": str(minutes), "SOAK_RESULT": str(result)}
        subprocess.run(command, env=environment, check=False)
        figures = json.loads(result.read_text()) if result.exists() else {}
    text = DOCUMENT.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{told(figures, minutes)}\n\n{END}{after}", "utf-8")
    return 0 if figures else 1


if __name__ == "__main__":
    sys.exit(main())
