"""One message to one remote through Apprise, with what Apprise hides: the answer's status and what its headers ask for.

Apprise' plugins make their own sessions of `requests`; the one place through which all of them pass is `Session.send`.
There every request of ours is paced, bounded in time and looked at. A URL holds secrets: neither a log nor a reason nor
an exception that leaves this module has more of it than `Service.shown`.
"""

import logging
import re
import threading
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import apprise
import requests

from activity.recorder.pacing import Pacer, seconds_between, told_wait
from activity.wire.said import said as _

#: Seconds until a connection is made, and between two pieces of an answer.
TIMEOUT_SECONDS: Final = 10.0
#: Seconds that one message may take, waits between several requests included.
MESSAGE_SECONDS: Final = 60.0
#: Bytes of an answer that are read; the rest is not wanted.
ANSWER_BYTES: Final = 1_000_000
#: Bytes of one message: some services name no limit, and nobody reads more.
MESSAGE_BYTES: Final = 30_000
#: A piece of a URL that is shorter is no secret, and would be found in every other word.
_SECRET_LENGTH: Final = 4
_WRONG_PARTS: Final = _(
    "Apprise cannot make a service of this URL: a part of it is missing or wrong. "
    "The forms of all services: https://appriseit.com/services/"
)
_NO_SERVICE: Final = _(
    "Apprise cannot make a service of this URL: no service has its scheme, or parts are missing. "
    "The forms of all services: https://appriseit.com/services/"
)


class BadUrl(Exception):
    """No service can be made of a channel's URL. The message does not repeat it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message. `reason` may be shown; `wait` is what the remote asks for, in seconds."""

    sent: bool
    reason: str = ""
    wait: float | None = None


def _asset() -> apprise.AppriseAsset:
    return apprise.AppriseAsset(
        app_id="Perseus",
        app_desc="Perseus",
        app_url="",
        async_mode=False,  # in this thread, where its requests are recognised
        interpret_escapes=False,
        interpret_emojis=False,
        http_redirects=False,  # a message goes where the channel says
        default_service_retry=0,  # the queue repeats, Apprise does not
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        pgp_autogen=False,
        pem_autogen=False,
    )


class Service:
    """A channel's URL as Apprise reads it."""

    def __init__(self, url: str) -> None:
        """Raises BadUrl."""
        self._url = url.strip()
        with _said_by_apprise() as said:
            self._plugin: Any = apprise.Apprise.instantiate(self._url, asset=_asset())
        if self._plugin is None:
            known = bool(said) and not any("unsupported" in line.lower() for line in said)
            raise BadUrl(_WRONG_PARTS if known else _NO_SERVICE)
        self._plugin.retry = 0  # the URL may ask for it
        own_pace = float(self._plugin.request_rate_per_sec)
        self._plugin.request_rate_per_sec = 0  # paced here, with what is known of other messages to the same remote
        self.schema: str = str(self._plugin.schema or "").lower()
        #: Seconds between two requests.
        self.interval = seconds_between(self.schema, own_pace)

    @cached_property
    def _has_host(self) -> bool:
        """Whether what stands in a host's place is one: in many services it is a token."""
        host = str(self._plugin.host or "")
        named = any("{host}" in template for template in self._plugin.templates)
        return named and bool(re.search(r"[.:]", host) or host == "localhost")

    @cached_property
    def shown(self) -> str:
        """The URL as it may be shown: its scheme and host, the host only where it is one."""
        if not self._has_host:
            return f"{self.schema}://…"
        port = f":{self._plugin.port}" if self._plugin.port else ""
        return f"{self.schema}://{self._plugin.host}{port}/…"

    @cached_property
    def remote(self) -> str:
        """What shares one pace: the host, or the account at a service that many use."""
        if self._has_host:
            return f"{self.schema.removesuffix('s')} {self._plugin.host}:{self._plugin.port or ''}"
        return f"{type(self._plugin).__name__} {self._plugin.url_identifier}"

    @property
    def titled(self) -> bool:
        """Whether the service knows titles."""
        return bool(self._plugin.title_maxlen)

    @property
    def room(self) -> int:
        """Bytes of text that one message holds, as `measure` counts them."""
        return max(200, min(int(self._plugin.body_maxlen), MESSAGE_BYTES))

    def measure(self, text: str) -> int:
        """Bytes that a text takes: as HTML where the service is written to in HTML, or escapes as if it were."""
        sizes = [len(text.encode())]
        if self.schema == "slack" or self._plugin.notify_format == apprise.NotifyFormat.HTML:
            escape: Any = apprise.URLBase.escape_html  # what Apprise makes of it
            sizes.append(len(escape(text, convert_new_lines=True).encode()))
        return max(sizes)

    def send(self, title: str, body: str, pacer: Pacer) -> Outcome:
        """Send one message; the remote must be free (`pacer.left(remote)` is 0). Never raises for what it does."""
        call = _Call(self, pacer)
        sender = apprise.Apprise(asset=_asset())
        sender.add(self._plugin)
        pacer.asked(self.remote, self.interval)
        with _said_by_apprise() as said, call:
            try:
                sent = bool(sender.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT))
            except Exception as error:  # a hundred plugins: none may end the notifier
                return Outcome(sent=False, reason=self.scrub(f"{type(error).__name__}: {error}"), wait=call.told)
        if sent:
            return Outcome(sent=True, wait=call.told)
        return Outcome(sent=False, reason=call.problem or self._reason(said), wait=call.told)

    def scrub(self, text: str) -> str:
        """A text of any origin without any piece of the URL, in one line of at most 300 characters."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        text = re.sub(r"(\w+://)\S+", r"\1…", text)
        return " ".join(text.split())[:300]

    def _reason(self, said: list[str]) -> str:
        return self.scrub(said[-1]) if said else "Apprise could not send it and did not say why"

    @cached_property
    def _secrets(self) -> list[str]:
        parts = urlsplit(self._url)
        pieces = [self._url, parts.query, parts.fragment, parts.path, parts.netloc.rpartition("@")[0]]
        pieces += [*parts.path.split("/"), *parts.netloc.rpartition("@")[0].split(":")]
        pieces += [value for _, value in parse_qsl(parts.query)]
        if not self._has_host:
            pieces += parts.netloc.split("@")
        every = {*pieces, *map(unquote, pieces)}
        return sorted((piece for piece in every if len(piece) >= _SECRET_LENGTH), key=len, reverse=True)


class _Call:
    """The requests of one message. Within its `with`, `requests` comes by here."""

    def __init__(self, service: Service, pacer: Pacer) -> None:
        self.told: float | None = None
        self.problem = ""
        self._service = service
        self._pacer = pacer
        self._requests = 0
        self._until = time.monotonic() + MESSAGE_SECONDS

    def __enter__(self) -> None:
        _local.call = self

    def __exit__(self, *_: object) -> None:
        _local.call = None

    def request(self, session: requests.Session, request: requests.PreparedRequest, options: Any) -> requests.Response:
        """Send one of them. Raises RequestException where nothing more may be sent, which plugins take as a failure."""
        host = urlsplit(request.url or "").hostname or "the remote"
        if self.problem:
            raise requests.RequestException(self.problem)
        self._pace()
        options.update(timeout=(TIMEOUT_SECONDS, TIMEOUT_SECONDS), stream=True, allow_redirects=False)
        try:
            answer = _send(session, request, **options)
            body = self._read(answer)
        except requests.RequestException as error:
            self.problem = f"{host}: {_plainly(error)}"
            raise
        self._look_at(host, answer, body)
        return answer

    def _pace(self) -> None:
        """The first request's turn was waited for by the caller, each further one's is waited for here."""
        if self._requests:
            wait = self._pacer.left(self._service.remote)
            if time.monotonic() + wait > self._until:
                self.problem = f"not finished within {MESSAGE_SECONDS:g} s"
                raise requests.RequestException(self.problem)
            time.sleep(wait)
            self._pacer.asked(self._service.remote, self._service.interval)
        self._requests += 1

    def _read(self, answer: requests.Response) -> bytes:
        body = b""
        for piece in answer.iter_content(8192):
            body += piece
            if len(body) > ANSWER_BYTES:
                break
            if time.monotonic() > self._until:
                raise requests.Timeout(f"no whole answer within {MESSAGE_SECONDS:g} s")
        answer.close()
        answer._content = body  # noqa: SLF001 - what `content` would have read, without its bounds
        return body

    def _look_at(self, host: str, answer: requests.Response, body: bytes) -> None:
        wait = told_wait(answer.status_code, answer.headers, body)
        if wait is not None:
            self.told = max(wait, self.told or 0.0)
            self._pacer.hold(self._service.remote, wait)
        if answer.status_code == 429:
            self.problem = f"{host} answered 429 (too many requests) and asks to wait {wait or 0:.0f} s"
            raise requests.RequestException(self.problem)  # a plugin's own repetition would provoke the next one
        if not 200 <= answer.status_code < 300:
            self.problem = f"{host} answered {answer.status_code} {answer.reason or ''}".strip()


def _plainly(error: requests.RequestException) -> str:
    """What went wrong, without the URL that every one of these exceptions repeats."""
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT_SECONDS:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate or TLS was refused"
    cause: BaseException | None = error
    for _step in range(10):  # requests wraps urllib3, which wraps the socket's own error
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        reason = getattr(cause.args[0], "reason", None) if cause is not None and cause.args else None
        cause = (
            reason if isinstance(reason, BaseException) else (cause.__cause__ or cause.__context__ if cause else None)
        )
    return "no connection, or it broke"


class _Local(threading.local):
    call: _Call | None = None
    said: list[str] | None = None


_local: Final = _Local()
_send: Final = requests.Session.send


def _watched_send(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
    call = _local.call
    return _send(session, request, **options) if call is None else call.request(session, request, options)


class _said_by_apprise:  # noqa: N801 - used as a function
    """Collects what Apprise logs in this thread: its only way to tell why, and too full of secrets for a log."""

    def __enter__(self) -> list[str]:
        said: list[str] = []
        _local.said = said
        return said

    def __exit__(self, *_: object) -> None:
        _local.said = None


class _Collect(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line for who asked in this thread, else drop it."""
        if _local.said is not None:
            _local.said.append(record.getMessage())


requests.Session.send = _watched_send  # type: ignore[method-assign, assignment]
_log = logging.getLogger("apprise")
_log.handlers = [_Collect(logging.WARNING)]
_log.setLevel(logging.WARNING)
_log.propagate = False
logging.getLogger("urllib3").setLevel(logging.WARNING)  # its debug lines hold paths, which are tokens
