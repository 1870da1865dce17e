"""What the doctor says."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How it is. Only an error makes the command fail: a warning can be meant that way."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at: what was found, and, unless it is fine, what to do."""

    level: Level
    name: str
    found: str
    remedy: str = ""

    def __post_init__(self) -> None:
        """A line that only complains helps nobody."""
        assert (self.level is Level.OK) == (not self.remedy), self


def ok(name: str, found: str) -> Line:
    """As it should be."""
    return Line(Level.OK, name, found)


def warning(name: str, found: str, remedy: str) -> Line:
    """Worth knowing."""
    return Line(Level.WARNING, name, found, remedy)


def error(name: str, found: str, remedy: str) -> Line:
    """Must be changed."""
    return Line(Level.ERROR, name, found, remedy)
