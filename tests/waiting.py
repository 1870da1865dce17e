"""Waiting in tests: poll for a condition, never sleep and hope."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], *, within: float = 60.0, every: float = 0.05) -> T:
    """The first truthy answer of `condition`. Fails with its last answer or exception after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        last: object
        try:
            answer = condition()
            if answer:
                return answer
            last = answer
        except (AssertionError, LookupError, OSError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"never within {within:g} s; last: {last!r}")
        time.sleep(every)
