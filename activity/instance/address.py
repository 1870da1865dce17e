"""The public IP and country of this machine, looked up beside the registration, which it never delays."""

import asyncio
import http.client
import ipaddress
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, urlsplit

from activity.instance.console import LOG

#: Seconds that one service may take to connect, and to answer.
TIMEOUT_SECONDS: Final = 3.0
#: Seconds for one service in all; name resolution has no timeout of its own.
WHOLE_SECONDS: Final = 8.0
_LONGEST_ANSWER: Final = 200
_NO_ANSWER: Final = (OSError, TimeoutError, ValueError, http.client.HTTPException)


def _ask(url: str) -> str:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("not an http or https URL")
    request = urllib.request.Request(url, headers={"User-Agent": "perseus", "Accept": "text/plain"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 (the scheme is checked)
            data: bytes = answer.read(_LONGEST_ANSWER)
    except urllib.error.HTTPError as error:
        error.close()  # it carries the open connection
        raise
    return data.decode("ascii", errors="replace").strip()


async def _ask_beside(url: str) -> str:
    """The answer as text. In a daemon thread: one that hangs in name resolution must not hold up the worker's end."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def settle(text: str, error: Exception | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(text)
        else:
            answer.set_exception(error)

    def work() -> None:
        text, failure = "", None
        try:
            text = _ask(url)
        except Exception as error:  # carried over to the task that waits, whatever it is
            failure = error
        try:
            loop.call_soon_threadsafe(settle, text, failure)
        except RuntimeError:
            return  # the loop has closed: the worker has ended, nobody waits for the answer

    threading.Thread(target=work, name="public-address", daemon=True).start()
    async with asyncio.timeout(WHOLE_SECONDS):
        return await answer


async def find_ip(urls: Sequence[str]) -> str | None:
    """The public IP that the first service to answer sensibly tells; None where none does."""
    for url in urls:
        try:
            return str(ipaddress.ip_address(await _ask_beside(url)))
        except _NO_ANSWER as error:
            LOG.info("%s told no public IP: %s", urlsplit(url).hostname, error or "no answer in time")
    return None


async def find_country(url: str, ip: str) -> str | None:
    """The country code (two letters) of an IP; None where the service tells none."""
    try:
        text = await _ask_beside(url.replace("{ip}", quote(ip)))
    except _NO_ANSWER as error:
        LOG.info("%s told no country: %s", urlsplit(url).hostname, error or "no answer in time")
        return None
    return text.upper() if re.fullmatch(r"[A-Za-z]{2}", text) else None
