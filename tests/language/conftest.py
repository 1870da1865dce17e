"""Three exchanges and people, as the tests of pages have them."""

from tests.pages.conftest import (  # noqa: F401 - fixtures
    admin,
    exchanges,
    kraken_viewer,
    nobody,
    sign_in,
    store,
)
