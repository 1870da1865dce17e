"""A real Chromium, signed in to a real web process."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.servers import RedisServer
from tests.waiting import eventually
from tests.web import WebServer

#: Milliseconds that anything on a page may take to appear.
PATIENCE_MS = 15_000

CHROMIUM = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--mute-audio", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-background-timer-throttling"),
    *("--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding", "--disable-dev-shm-usage"),
)

OpenPage = Callable[..., Page]


expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def chromium_at() -> Iterator[str]:
    """One browser per test process: its first page costs ten times as much as the ones that follow. Gives its URL."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    assert executable, "chromium is not installed: `make test` installs it"
    with tempfile.TemporaryDirectory(prefix="pc-", ignore_cleanup_errors=True) as profile:
        port_file = Path(profile) / "DevToolsActivePort"
        process = subprocess.Popen(
            [executable, *CHROMIUM, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def port() -> str:
            assert process.poll() is None, "chromium does not start"
            return port_file.read_text().partition("\n")[0] if port_file.exists() else ""

        try:
            eventually(lambda: port() != "", within=30)
            yield f"http://127.0.0.1:{port()}"
        finally:
            process.terminate()
            try:
                process.wait(10)
            finally:
                process.kill()
                process.wait(5)


@pytest.fixture(scope="module")
def chromium(chromium_at: str) -> Iterator[Browser]:
    """It, once per file: playwright's loop must not outlive the file, else no asyncio test runs after it."""
    with sync_playwright() as playwright:
        yield playwright.chromium.connect_over_cdp(chromium_at)


class Visitor:
    """Opens pages of one server as a signed-in user, and notes every complaint of the browser."""

    def __init__(self, chromium: Browser) -> None:
        self._chromium = chromium
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def context(self, web: WebServer, **options: object) -> BrowserContext:
        """A browser context that carries the admin's session."""
        context = self._chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        name, _, value = web.cookie().partition("=")
        context.add_cookies([{"name": name, "value": value, "url": web.url}])
        self._contexts.append(context)
        return context

    def open(self, web: WebServer, path: str = "/", *, live: bool = True, through: int = 0, **options: object) -> Page:
        """A page, by default once its socket is open; by the web process' own port, or through that of a proxy."""
        return self.open_in(self.context(web, **options), web, path, live=live, through=through)

    def open_in(
        self, context: BrowserContext, web: WebServer, path: str = "/", *, live: bool = True, through: int = 0
    ) -> Page:
        """The same in a new tab of a context: a tenth of the work."""
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.goto((f"http://127.0.0.1:{through}" if through else web.url) + path)
        if live:
            page.wait_for_selector('.live[data-live="on"]')
        return page

    def close(self) -> None:
        """Leave."""
        for context in self._contexts:
            context.close()


@pytest.fixture
def visitor(chromium: Browser) -> Iterator[Visitor]:
    """Someone who looks at pages. A test that meets no error on purpose ends by asserting that none was logged."""
    visitor = Visitor(chromium)
    yield visitor
    visitor.close()


@pytest.fixture
def store(web: WebServer, redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A plain client of the Redis that `web` reads."""
    assert web
    with redis_server.client() as client:
        yield client


@pytest.fixture
def own_store(own_redis: RedisServer) -> Iterator[redis.Redis]:
    """A plain client of the Redis that `own_web` reads."""
    with own_redis.client() as client:
        yield client
