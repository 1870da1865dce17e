"""A security key in a real browser, with the virtual key of its developer tools."""

from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE_MS
from tests.web import PASSWORD, WebServer


def give_a_key(page: Page) -> None:
    """As if one were plugged in, and touched whenever the browser asks."""
    tools = page.context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "usb",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    tools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def type_password(page: Page, url: str) -> None:
    page.goto(f"{url}/sign-in/")
    page.fill("#login", "nobody@example.org")
    page.fill("#password", PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_a_security_key_is_added_and_then_asked_for(chromium: Browser, own_web: WebServer) -> None:
    url = own_web.url.replace("127.0.0.1", "localhost")  # an address of digits has no security keys
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    try:
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        give_a_key(page)
        type_password(page, url)
        page.goto(f"{url}/account/second-factor/keys/add/")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Go on").click()
        page.get_by_label("Name").fill("the key on my ring")
        page.get_by_role("button", name="Add").click()
        expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
        page.goto(f"{url}/account/second-factor/keys/")
        expect(page.get_by_text("the key on my ring").first).to_be_visible()

        page.locator(".menu.own > summary").click()
        page.get_by_role("button", name="Sign out").click()
        type_password(page, url)
        expect(page.get_by_role("heading", name="One more proof")).to_be_visible()
        page.get_by_role("button", name="Use a security key").click()
        expect(page.locator(".menu.own > summary")).to_be_visible()
        assert page.url == f"{url}/"
        assert complaints == []
    finally:
        context.close()
