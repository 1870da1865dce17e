"""axe-core looks at every page in both themes. What it finds is a wall for somebody."""

import json

import pytest
import redis
from playwright.sync_api import Page

from tests.browser.conftest import Visitor
from tests.pages.writing import append_error, append_move, put_status
from tests.web import ROOT, WebServer

AXE = (ROOT / "tests" / "node" / "node_modules" / "axe-core" / "axe.min.js").read_text()
PAGES = [
    *("/", "/exchanges/kraken/", "/exchanges/coinbase/", "/exchanges/kraken/command/stop/", "/instances/"),
    *("/account/", "/account/sessions/", "/account/password/", "/account/second-factor/", "/self-check/", "/schemas/"),
    *("/find/?q=nothing-at-all", "/exchanges/nowhere/", "/?q=nothing-at-all"),
    *("/admin/", "/admin/activity/auditevent/", "/admin/activity/exchange/1/change/"),
]
#: What differs in the dark is contrast alone: a page of each kind will do.
DARK = ("/", "/exchanges/kraken/", "/account/", "/self-check/", "/admin/activity/auditevent/")
_RULES = {
    "light": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "dark": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}
_RUN = """async (runOnly) => (
  await axe.run(document, { runOnly, resultTypes: ["violations"] })
).violations.map((one) => ({
  rule: one.id, help: one.help, where: one.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`),
}))"""


def violations(page: Page, theme: str) -> list[dict[str, object]]:
    page.evaluate(AXE)
    found: list[dict[str, object]] = page.evaluate(_RUN, _RULES[theme])
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_is_closed_to_anybody(web: WebServer, store: redis.Redis, visitor: Visitor, theme: str) -> None:
    put_status(store, "kraken")
    append_move(store, "kraken", "idle", "starting")
    append_error(store, "kraken", "Order book: out of sequence")
    wrong: dict[str, object] = {}
    page = visitor.open(web, "/", color_scheme=theme)
    for path in PAGES if theme == "light" else DARK:
        page.goto(web.url + path)
        if found := violations(page, theme):
            wrong[path] = found
    page.context.clear_cookies()
    page.goto(web.url + "/sign-in/")
    if found := violations(page, theme):
        wrong["/sign-in/"] = found
    assert not wrong, json.dumps(wrong, indent=1)
