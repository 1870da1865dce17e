"""Three exchanges, people, and a language that no test leaves behind."""

from collections.abc import Iterator

import pytest
from django.utils import translation

from tests.pages.conftest import (  # noqa: F401 - fixtures
    _fast_passwords,
    admin,
    exchanges,
    kraken_viewer,
    nobody,
    sign_in,
    store,
)


@pytest.fixture(autouse=True)
def _no_language_left() -> Iterator[None]:
    yield
    translation.deactivate()
