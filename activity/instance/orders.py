"""What commands have changed of what a worker was told at its start. Outlives an epoch, not the process."""

from dataclasses import dataclass


@dataclass(slots=True)
class Orders:
    """`resting`: stopped by a command; the exchange is kept, and nothing runs until a start."""

    mode: str | None
    symbols: tuple[str, ...]
    resting: bool = False
    paused: bool = False
