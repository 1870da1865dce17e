"""What the network page of a hundred exchanges costs who opens it: on a phone, at night, on a bad line."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.bench.statuses import write_entries, write_statuses
from tests.browser.conftest import Visitor
from tests.servers import RedisServer
from tests.web import WebServer, make_data_folder

COUNT = 100


@pytest.fixture
def large_web(own_redis: RedisServer, tmp_path: Path) -> Iterator[WebServer]:
    """A web process of a hundred exchanges, each with an instance and a history."""
    make_data_folder(tmp_path / "data", {number: f"x-{number}" for number in range(1, COUNT + 1)})
    write_statuses(own_redis, COUNT)
    write_entries(own_redis, COUNT, each=60)
    server = WebServer(tmp_path / "data", own_redis.url)
    yield server
    server.stop()


_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map((one) => one.value)))
  .observe({ type: "layout-shift", buffered: true });
"""


def test_a_hundred_exchanges_are_there_with_100_kb_in_all_and_nothing_moves(
    large_web: WebServer, visitor: Visitor
) -> None:
    page = visitor.context(large_web).new_page()
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    paths: dict[str, str] = {}
    sizes: Counter[str] = Counter()
    network.on("Network.requestWillBeSent", lambda sent: paths.__setitem__(sent["requestId"], sent["request"]["url"]))
    network.on(
        "Network.dataReceived",
        lambda came: sizes.update({paths[came["requestId"]]: int(came["encodedDataLength"])}),
    )
    page.add_init_script(_SHIFTS)
    page.goto(large_web.url)
    page.wait_for_selector('.live[data-live="on"]')
    expect(page.locator("article.card")).to_have_count(COUNT)
    page.wait_for_load_state("networkidle")
    assert len(sizes) > 25, sizes  # the page, its styles, its scripts, its font
    assert sizes.total() < 100_000, sizes.most_common()
    assert sum(page.evaluate("window.shifts")) < 0.01, page.evaluate("window.shifts")
