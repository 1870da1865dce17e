"""People and real workers: claimed, taken over, stopped, assigned, each watched by a second browser."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE_MS, chromium, chromium_at  # noqa: F401 - fixtures
from tests.instance.workers import PYTHON, Worker, Workers
from tests.once import once_per_run
from tests.servers import RedisServer
from tests.waiting import eventually
from tests.web import PASSWORD, DataFolder, WebServer, copy_of

_PEOPLE = """
import json
from django.test import Client
from guardian.shortcuts import assign_perm
sessions = {}
for name in ("marta", "jonas", "anna"):
    user = User.objects.create_user(f"{name}@example.org", %r, display_name=name.title())
    for verb in ("view", "claim", "command", "takeover"):
        assign_perm(f"activity.{verb}_exchange", user, Exchange.objects.get(name="kraken"))
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    sessions[user.email] = client.cookies["sessionid"].value
print(json.dumps(sessions))
"""
SignIn = Callable[..., Page]


@pytest.fixture(scope="session")
def peopled(data_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which three people may steer kraken, and have signed in."""

    def make(folder: Path) -> None:
        data = DataFolder(shutil.copytree(data_template, folder, dirs_exist_ok=True), "redis://127.0.0.1:1")
        data.hand_out(json.loads(data.run(_PEOPLE % PASSWORD)))

    return once_per_run(tmp_path_factory, "peopled", make)


@pytest.fixture
def own_web(peopled: Path, tmp_path: Path, own_redis: RedisServer) -> Iterator[WebServer]:
    """A web process that knows these people."""
    server = WebServer(copy_of(peopled, tmp_path / "data"), own_redis.url)
    yield server
    server.stop()


@pytest.fixture
def sign_in(chromium: Browser, own_web: WebServer) -> Iterator[SignIn]:  # noqa: F811 - the fixture
    """A browser of one's own for each, at the exchange's page."""
    contexts = []

    def enter(name: str, *, through_the_form: bool = False) -> Page:
        context = chromium.new_context(viewport={"width": 1440, "height": 1000})
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        if not through_the_form:
            cookie, _, value = own_web.cookie(f"{name}@example.org").partition("=")
            context.add_cookies([{"name": cookie, "value": value, "url": own_web.url}])
        page = context.new_page()
        page.goto(f"{own_web.url}/exchanges/kraken/")
        if through_the_form:
            page.fill("#login", f"{name}@example.org")
            page.fill("#password", PASSWORD)
            page.get_by_role("button", name="Sign in").click()
        page.wait_for_selector('.live[data-live="on"]')
        return page

    yield enter
    for context in contexts:
        context.close()


@pytest.fixture
def workers(tmp_path: Path, own_redis: RedisServer) -> Iterator[Workers]:
    """Real `manage.py worker` processes."""
    folder = tmp_path / "w"
    folder.mkdir()
    workers = Workers(folder, own_redis.url)
    yield workers
    workers.end()


@pytest.fixture
def bot(own_web: WebServer, workers: Workers, own_redis: RedisServer) -> Worker:
    """A worker of kraken that carries a real program."""
    program = "import time\nprint('trading', flush=True)\ntime.sleep(600)\n"
    worker = workers.manage(
        *("--exchange", "kraken", "--ready-after", "0.2", "--stop-grace", "2", "--", PYTHON, "-c", program),
        PERSEUS_DATA=str(own_web.folder),
    )
    worker.says("→ active")
    return worker


def responsible(page: Page) -> str:
    return page.inner_text("section[aria-labelledby='h-responsible']")


def test_a_claim_reaches_the_instance_and_comes_back_with_its_heartbeat(sign_in: SignIn, bot: Worker) -> None:
    marta, jonas = sign_in("marta", through_the_form=True), sign_in("jonas")
    marta.get_by_role("button", name="Claim kraken").click()
    marta.wait_for_url("**/exchanges/kraken/")
    expect(jonas.locator("[data-card] dl").first).to_contain_text("Marta")
    eventually(lambda: "Marta" in responsible(jonas))
    eventually(lambda: "you" in responsible(marta))
    expect(marta.locator(".receipt").first).to_contain_text("answers for it")
    expect(marta.locator(".receipt").first).to_have_attribute("data-state", "succeeded")


def test_of_two_who_take_over_at_once_one_wins_and_the_other_sees_the_new_holder(sign_in: SignIn, bot: Worker) -> None:
    marta = sign_in("marta")
    marta.get_by_role("button", name="Claim kraken").click()
    eventually(lambda: "you" in responsible(marta))
    pages = [sign_in("jonas"), sign_in("anna")]
    for page in pages:
        page.get_by_role("link", name="Take over").click()
        page.fill("#reason", "the shift has changed")
        page.get_by_role("button", name="Take over").click()
        page.get_by_label("Password").fill(PASSWORD)
    jonas, anna = pages
    jonas.get_by_role("button", name="Go on").click()
    jonas.wait_for_selector('.live[data-live="on"]')
    eventually(lambda: "jonas@example.org" in responsible(jonas))
    anna.get_by_role("button", name="Go on").click()
    expect(anna.get_by_text("Somebody else was faster")).to_be_visible()
    expect(anna.locator(".holder .changed")).to_have_count(1)
    assert re.search(r"marta@example.org\s+jonas@example.org", anna.inner_text(".holder .changed"))


def test_a_stop_ends_the_real_program_and_both_browsers_see_it(sign_in: SignIn, bot: Worker) -> None:
    marta, jonas = sign_in("marta"), sign_in("jonas")
    marta.get_by_role("link", name="Stop").click()
    marta.fill("#reason", "a bad fill")
    marta.fill("#confirm", "kraken")
    marta.get_by_role("button", name="Stop").click()
    bot.says("Program ended")
    for page in (marta, jonas):
        expect(page.locator("[data-glyph][data-state]").first).to_have_attribute("data-state", "idle")
        expect(page.locator(".receipt").first).to_contain_text("a bad fill")
        expect(page.locator(".receipt").first).to_have_attribute("data-state", "succeeded")
    jonas.get_by_role("button", name="Start").click()
    bot.says("started")
    eventually(lambda: marta.get_attribute("[data-glyph][data-state]", "data-state") == "active")
    assert bot.process.poll() is None


def test_an_idle_instance_is_assigned_and_becomes_active(
    sign_in: SignIn, workers: Workers, own_web: WebServer, own_redis: RedisServer
) -> None:
    marta, jonas = sign_in("marta"), sign_in("jonas")
    program = ["--", PYTHON, "-c", "import time; time.sleep(600)"]
    worker = workers.manage("--idle", "--ready-after", "0.2", *program, PERSEUS_DATA=str(own_web.folder))
    worker.says("waiting for an exchange")
    marta.get_by_role("link", name="Instances").first.click()
    marta.get_by_role("link", name="Assign").first.click()
    marta.select_option("#exchange", "kraken")
    marta.fill("#mode", "paper")
    marta.fill("#symbols", "BTC/USD ETH/USD")
    marta.get_by_role("button", name="Assign and start").click()
    worker.says("→ active")
    eventually(lambda: "active" in jonas.inner_text("[data-card]"))
    eventually(lambda: "paper" in jonas.inner_text("[data-card]"))
    with own_redis.client() as client:
        assert isinstance(client, redis.Redis)
        assert not client.exists("exchange:0:status")


def test_a_right_that_is_withdrawn_while_the_page_is_open_ends_it(
    sign_in: SignIn, bot: Worker, own_web: WebServer
) -> None:
    marta = sign_in("marta")
    own_web.run(
        "from guardian.shortcuts import remove_perm\n"
        "user = User.objects.get(email='marta@example.org')\n"
        "remove_perm('activity.view_exchange', user, Exchange.objects.get(name='kraken'))\n"
    )
    marta.wait_for_selector('.live[data-live="off"]')
    assert marta.goto(f"{own_web.url}/exchanges/kraken/").status == 404  # type: ignore[union-attr]
