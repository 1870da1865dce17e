"""Data folders, and one `up` that those tests share which only look."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.up.running import Up, short_folder, up


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a data folder may be made."""
    with short_folder() as path:
        yield path


@pytest.fixture(scope="package")
def network() -> Iterator[Up]:
    """A network without demo instances. Only look: others look too."""
    with short_folder() as path, up(path, "--no-demo") as run:
        yield run.ready()
