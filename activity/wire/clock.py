"""Timestamps as the contract writes them: ISO 8601, UTC, milliseconds and a ``Z``."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import StringConstraints

TIMESTAMP_PATTERN = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"

#: What we write. What we read may be any text; `parse_timestamp` says whether it tells a time.
Timestamp = Annotated[str, StringConstraints(pattern=TIMESTAMP_PATTERN)]


def format_timestamp(moment: datetime) -> str:
    """2026-11-22T14:31:38.907Z. Raises ValueError for a moment without a time zone."""
    if moment.tzinfo is None:
        raise ValueError("a timestamp needs a time zone: use datetime.now(UTC)")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now_timestamp() -> str:
    """The present moment by this machine's clock."""
    return format_timestamp(datetime.now(UTC))


def parse_timestamp(text: object) -> datetime | None:
    """The moment that a text tells, or None. Times without a zone are read as UTC, as older writers mean them."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # OverflowError: year 1 or 9999 moved across a zone
        return None
