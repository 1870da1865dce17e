"""`make screenshots`: docs/screenshots anew, from a demo network of its own and a real Chromium.

Takes about two minutes: it waits until the demo has killed one of its instances and its card has turned to lost.
"""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

from tests.servers import free_port
from tests.waiting import eventually
from tests.web import ROOT

FOLDER: Final = ROOT / "docs" / "screenshots"
SIZES: Final = {"light": (1440, 1000), "dark": (1440, 1000), "narrow": (390, 844)}
CHROMIUM: Final = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-gpu"]


def take(browser: Browser, base: str, password: str) -> None:
    """Network and exchange page, light, dark and narrow."""
    for name, (width, height) in SIZES.items():
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if name == "dark" else "light",
            device_scale_factor=1 if width > 600 else 2,
        )
        page = context.new_page()
        page.goto(f"{base}/sign-in/")
        page.fill("[name=login]", "admin@localhost")
        page.fill("[name=password]", password)
        page.keyboard.press("Enter")
        page.wait_for_selector("[data-live=on]")
        page.screenshot(path=FOLDER / f"network-{name}.png")
        page.goto(f"{base}/exchanges/coinbase/")
        page.wait_for_selector("[data-live=on]")
        page.screenshot(path=FOLDER / f"exchange-{name}.png")
        context.close()


def main() -> None:
    """Start a network, wait for its first loss, take the pictures, end it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    port, password = free_port(), secrets.token_urlsafe(12)
    with tempfile.TemporaryDirectory(prefix="prs-shots-") as data:
        log = Path(data, "up.log")
        settings = {"PERSEUS_ADMIN_PASSWORD": password, "PERSEUS_IP_LOOKUP_URLS": "http://127.0.0.1:9/"}
        with log.open("wb") as output:
            up = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--port", str(port), "--data", f"{data}/data"],
                cwd=ROOT,
                env={**os.environ, **settings},
                stdout=output,
                stderr=output,
            )
        try:
            eventually(lambda: "Perseus is ready" in log.read_text(), within=90)
            print("the network runs; waiting until the demo has lost an instance", file=sys.stderr)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
                page = browser.new_page()
                page.goto(f"http://127.0.0.1:{port}/sign-in/")
                page.fill("[name=login]", "admin@localhost")
                page.fill("[name=password]", password)
                page.keyboard.press("Enter")
                page.wait_for_selector("article[data-cond=lost]", timeout=240_000)
                take(browser, f"http://127.0.0.1:{port}", password)
                browser.close()
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(20)
    print(f"{len(SIZES) * 2} pictures in {FOLDER}", file=sys.stderr)


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"took {time.monotonic() - started:.0f} s", file=sys.stderr)
