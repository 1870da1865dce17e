"""`make screenshots`: docs/screenshots anew, from a demo network of its own and a real Chromium.

Every page in both themes and on a phone, and docs/tour.md walked as it is written, with a picture of each step. Takes
about four minutes: it waits until the demo has killed one of its instances and its card has turned to lost.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.servers import free_port
from tests.waiting import eventually
from tests.web import ROOT

FOLDER: Final = ROOT / "docs" / "screenshots"
SIZES: Final = {"light": (1440, 1000), "dark": (1440, 1000), "narrow": (390, 844)}
CHROMIUM: Final = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-gpu"]
#: Pages by the names of their pictures.
PAGES: Final = {
    "network": "/",
    "exchange": "/exchanges/coinbase/",
    "instances": "/instances/",
    "stop": "/exchanges/binance/command/stop/",
    "account": "/account/",
    "sessions": "/account/sessions/",
    "second-factor": "/account/second-factor/",
    "self-check": "/self-check/",
    "admin": "/admin/",
    "audit": "/admin/activity/auditevent/",
}
LIVE: Final = ("network", "exchange", "wall")
WAIT_MS: Final = 60_000


#: Whether the bands of all cards in sight are drawn: they come after the page, one by one.
DRAWN: Final = """() => [...document.querySelectorAll("[data-strip]")]
    .filter((band) => band.getBoundingClientRect().top < innerHeight)
    .every((band) => band.querySelector("[data-drawn] > *"))"""


def wait_live(page: Page) -> None:
    """Until the page hears of changes, and shows all that comes after it."""
    page.wait_for_selector("[data-live=on]")
    page.wait_for_function(DRAWN)


def sign_in(page: Page, base: str, password: str) -> None:
    """Through the form."""
    page.goto(f"{base}/sign-in/")
    page.fill("[name=login]", "admin@localhost")
    page.fill("[name=password]", password)
    page.keyboard.press("Enter")
    wait_live(page)


def wall_of(data: Path) -> str:
    """The path of a new link for a wall."""
    made = "from activity.models import *; print(WallLink.issue(User.objects.first(), 'office')[1])"
    command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", made]
    told = subprocess.check_output(command, cwd=ROOT, env={**os.environ, "PERSEUS_DATA": str(data)}, text=True)
    return f"/wall/{told.strip()}/"


def take(browser: Browser, base: str, password: str, wall: str) -> None:
    """Every page, light, dark and narrow."""
    for name, (width, height) in SIZES.items():
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if name == "dark" else "light",
            device_scale_factor=1 if width > 600 else 2,
        )
        page = context.new_page()
        page.goto(f"{base}/sign-in/")
        page.screenshot(path=FOLDER / f"sign-in-{name}.png")
        sign_in(page, base, password)
        for picture, path in [*PAGES.items(), ("wall", wall)]:
            page.goto(base + path)
            if picture in LIVE:
                wait_live(page)
            page.screenshot(path=FOLDER / f"{picture}-{name}.png")
        context.close()


def take_german(browser: Browser, base: str, password: str, wall: str) -> None:
    """What a browser sees that asks for German."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, locale="de-DE", color_scheme="light")
    page = context.new_page()
    sign_in(page, base, password)
    for picture, path in [*PAGES.items(), ("wall", wall)]:
        if picture in LIVE:
            page.goto(base + path)
            wait_live(page)
            page.screenshot(path=FOLDER / f"{picture}-german.png")
    context.close()


def walk(browser: Browser, base: str, password: str, standby: "subprocess.Popen[bytes]") -> None:
    """docs/tour.md, step by step."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, color_scheme="light")
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()

    def picture(step: str) -> None:
        page.screenshot(path=FOLDER / f"tour-{step}.png")

    sign_in(page, base, password)
    page.wait_for_selector("article[data-cond=lost]")
    page.get_by_role("link", name="by need").click()
    wait_live(page)
    page.wait_for_selector("article[data-cond=lost]")
    picture("1-network")
    page.get_by_role("link", name="by name").click()
    wait_live(page)
    page.get_by_role("link", name="coinbase").last.click()
    wait_live(page)
    picture("2-why")
    page.get_by_role("button", name="Release").click()
    page.get_by_role("button", name="Claim coinbase").click()
    expect(page.locator("section[aria-labelledby='h-responsible']")).to_contain_text("you")
    picture("3-claimed")
    page.get_by_role("link", name="Stop").click()
    page.fill("#reason", "order book checksums do not match")
    page.fill("#confirm", "coinbase")
    picture("4-stop")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".receipt").first).to_have_attribute("data-state", "succeeded")
    picture("5-stopped")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("[data-glyph][data-state]").first).to_have_attribute("data-state", "active")
    assert standby.poll() is None, "the standby has ended"
    page.goto(f"{base}/exchanges/coinbase/")
    page.get_by_role("link", name="Hand over").click()
    page.get_by_role("button", name="Hand over").click()
    expect(page.locator(".receipt").first).to_have_attribute("data-state", "succeeded")
    expect(page.locator("section.head")).to_contain_text("stand-by", timeout=2 * WAIT_MS)
    expect(page.locator("[data-glyph][data-state]").first).to_have_attribute("data-state", "active", timeout=WAIT_MS)
    wait_live(page)
    picture("6-handed-over")
    page.goto(f"{base}/admin/activity/auditevent/?q=coinbase")
    picture("7-audit")
    context.close()


@contextmanager
def network(password: str) -> Iterator[tuple[str, Path]]:
    """`make run` in a folder of its own: its address and its data folder."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="prs-shots-") as folder:
        data, log = Path(folder, "data"), Path(folder, "up.log")
        settings = {"PERSEUS_ADMIN_PASSWORD": password, "PERSEUS_IP_LOOKUP_URLS": "http://127.0.0.1:9/"}
        with log.open("wb") as output:
            up = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--port", str(port), "--data", str(data)],
                cwd=ROOT,
                env={**os.environ, **settings},
                stdout=output,
                stderr=output,
            )
        try:
            eventually(lambda: "Perseus is ready" in log.read_text(), within=90)
            yield f"http://127.0.0.1:{port}", data
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(20)


def main() -> None:
    """Start a network and a standby, wait for the first loss, take the pictures, end them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    assert executable, "chromium is not installed"
    password = secrets.token_urlsafe(12)
    with network(password) as (base, data):
        standby = subprocess.Popen(
            [sys.executable, "manage.py", "worker", "--exchange", "coinbase", "--standby", "--mode", "demo",
             "--error-pattern", "^ERROR", "--", sys.executable, "-m", "activity.instance.demo", "quiet"],
            cwd=ROOT, env={**os.environ, "PERSEUS_DATA": str(data), "PERSEUS_HOSTNAME": "stand-by"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        print("the network runs; waiting until the demo has lost an instance", file=sys.stderr)
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM)
                page = browser.new_page()
                sign_in(page, base, password)
                page.wait_for_selector("article[data-cond=lost]", timeout=240_000)
                page.close()
                walk(browser, base, password, standby)
                wall = wall_of(data)
                take(browser, base, password, wall)
                take_german(browser, base, password, wall)
                browser.close()
        finally:
            standby.terminate()
            standby.wait(20)
    print(f"{len(list(FOLDER.glob('*.png')))} pictures in {FOLDER}", file=sys.stderr)


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"took {time.monotonic() - started:.0f} s", file=sys.stderr)
