"""Section 5 of the contract: what programs get. HTTP, JSON, `/api/v1/`, with a session or a bearer token.

Synchronous like the pages, for the same reason: the event loop belongs to the feed.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Annotated, Any, cast

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern
from ninja import Field, NinjaAPI, Query, Schema
from ninja.errors import AuthenticationError, ValidationError

from activity.access import visible_exchanges
from activity.filters import Filter, FilterError
from activity.history import read_instances, read_page
from activity.identity import Credentials, user_of_token
from activity.models import Exchange, User
from activity.store.client import StoreUnavailable, pages_client
from activity.store.history import HistoryGap, InstanceView, Position
from activity.wire.entries import StreamEntry
from perseus_admin.config import settings

#: Characters of one answer, unless its first entry alone is larger: nextCursor goes on.
MOST_CHARACTERS = 8 * 1024 * 1024
#: Entries of one answer where the caller names no count.
DEFAULT_COUNT = 50


class Known(Schema):
    """What an exchange's newest entry tells of it while no instance holds it: raw fields with the entry's id."""

    online: bool = Field(description="Whether the status key exists: no key, no instance")
    status: dict[str, Any] | None = Field(description="The status as the instance wrote it (schema: InstanceStatus)")
    lastKnown: dict[str, str] | None = Field(description="While offline: the newest entry that tells the state")
    ttlMs: int | None = Field(description="Milliseconds that the status key has left; null while offline")
    problem: str = Field(description="Why a status that exists cannot be read; empty where it can")


class Instance(Known):
    """One active exchange and the instance that holds it, if any."""

    exchangeId: int
    exchangeName: str
    displayName: str


class Instances(Schema):
    """Every active exchange that the caller may view, by name."""

    instances: list[Instance]


class MissingEntries(Schema):
    """Entries that neither the stream nor the archive holds."""

    exchange: str
    after: str = Field(description="The last entry before the gap")
    first: str | None = Field(description="The first entry behind it; null where the exchange's history began anew")


class Activity(Schema):
    """Raw entries, newest first, and where some are missing."""

    entries: list[dict[str, str]] = Field(
        description="Each entry's id, its exchange and its fields. A field called id or exchange itself travels as "
        "field:id or field:exchange"
    )
    gaps: list[MissingEntries] = Field(
        description="Newest first, each on the answer on which the entry `after` is or would be"
    )
    nextCursor: str | None = Field(description="Pass it back as cursor for the older entries; null at the end")


class Problem(Schema):
    """What is wrong, naming the parameter where there is one."""

    detail: str


class UnknownExchange(Problem):
    """There is no such exchange for this caller."""

    known: list[str] = Field(description="Names of the exchanges that the caller may view")


class _Refused(Exception):
    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(body["detail"])
        self.status = status
        self.body = body


def caller(request: HttpRequest) -> User | None:
    """Who calls: the bearer of a token, else the session's user."""
    credentials = Credentials.of_scope({"headers": [(b"authorization", _authorization(request))]})
    if credentials.token:
        return user_of_token(credentials.token)
    return request.user if isinstance(request.user, User) and request.user.is_active else None


def _authorization(request: HttpRequest) -> bytes:
    return request.headers.get("Authorization", "").encode("latin-1", errors="replace")


def _signed_in(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return view(request, *args, **kwargs) if caller(request) else _unauthorized(request, None)

    return guarded


api = NinjaAPI(
    title="Perseus",
    version="1",
    description="The exchanges of the network, their instances and their raw activity.",
    auth=caller,
    docs_url=None,
    docs_decorator=_signed_in,
    urls_namespace="api",
)


@api.exception_handler(AuthenticationError)
def _unauthorized(request: HttpRequest, _error: Any) -> HttpResponse:
    body = {"detail": "Not signed in: send a session cookie or 'Authorization: Bearer TOKEN'."}
    return JsonResponse(body, status=401, headers={"WWW-Authenticate": "Bearer"})


@api.exception_handler(ValidationError)
def _malformed(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first = error.errors[0]
    return JsonResponse({"detail": f"{first['loc'][-1]}: {first['msg']}"}, status=400)


@api.exception_handler(_Refused)
def _refused(request: HttpRequest, refused: _Refused) -> HttpResponse:
    return JsonResponse(refused.body, status=refused.status)


@api.exception_handler(StoreUnavailable)
def _away(request: HttpRequest, error: StoreUnavailable) -> HttpResponse:
    return JsonResponse({"detail": f"Redis cannot be read, so nothing is known: {error}"}, status=503)


def _unknown(what: str, visible: list[Exchange]) -> _Refused:
    return _Refused(404, {"detail": f"exchange: {what} is unknown", "known": [exchange.name for exchange in visible]})


def _known(view: InstanceView) -> dict[str, Any]:
    reading = view.reading
    return {
        "online": reading is not None,
        "status": (reading.fields or None) if reading else None,
        "lastKnown": view.last_known.to_json() if view.last_known else None,
        "ttlMs": view.ttl_ms,
        "problem": reading.problem if reading else "",
    }


def _entry(exchange: str, entry: StreamEntry) -> dict[str, str]:
    fields = entry.to_json()
    if "exchange" in fields:
        fields["field:exchange"] = fields.pop("exchange")
    return {"id": fields.pop("id"), "exchange": exchange, **fields}


def _read(exchanges: list[Exchange]) -> list[dict[str, Any]]:
    views = read_instances(pages_client(settings().redis), [(exchange.pk, exchange.name) for exchange in exchanges])
    return [
        {
            "exchangeId": exchange.pk,
            "exchangeName": exchange.name,
            "displayName": exchange.display_name,
            **_known(view),
        }
        for exchange, view in zip(exchanges, views, strict=True)
    ]


@api.get("/instances", response={200: Instances, 401: Problem, 503: Problem})
def instances(request: HttpRequest) -> dict[str, Any]:
    """Every active exchange of the exchanges table that the caller may view, online or not."""
    return {"instances": _read(list(visible_exchanges(_user(request))))}


@api.get("/exchanges/{exchange_id}/status", response={200: Known, 401: Problem, 404: UnknownExchange, 503: Problem})
def exchange_status(request: HttpRequest, exchange_id: int) -> dict[str, Any]:
    """One exchange's instance; `online` is false when its key is gone."""
    visible = list(visible_exchanges(_user(request)))
    found = [exchange for exchange in visible if exchange.pk == exchange_id]
    if not found:
        raise _unknown(f"id {exchange_id}", visible)
    return _read(found)[0]


@api.get("/activity", response={200: Activity, 400: Problem, 401: Problem, 404: UnknownExchange, 503: Problem})
def activity(
    request: HttpRequest,
    exchange: Annotated[
        str | None, Query(description="An exchange's name; all that the caller may view if absent")
    ] = None,
    event: Annotated[
        str | None, Query(description="Only entries with this event, e.g. state_transition or error")
    ] = None,
    state: Annotated[str | None, Query(description="Only entries that tell this state, e.g. active")] = None,
    host: Annotated[str | None, Query(description="Part of the hostname, whatever the case")] = None,
    admin: Annotated[str | None, Query(description="Part of adminEmail, whatever the case")] = None,
    text: Annotated[str | None, Query(description="Part of the value of any field, whatever the case")] = None,
    since: Annotated[str | None, Query(description="Taken by Redis at this time or later, ISO 8601")] = None,
    until: Annotated[str | None, Query(description="Taken by Redis at this time or before, ISO 8601")] = None,
    count: Annotated[int, Query(ge=1, le=200, description="Entries of this answer at the most")] = DEFAULT_COUNT,
    cursor: Annotated[str | None, Query(description="nextCursor of an earlier answer")] = None,
) -> dict[str, Any]:
    """Raw entries, newest first, across exchanges, of the whole history: the streams and the archive.

    An answer looks at 10,000 entries at the most, so it may come back short, even empty, and still have a nextCursor.
    """
    visible = list(visible_exchanges(_user(request)))
    names = [one.name for one in visible if exchange is None or one.name == exchange.lower()]
    if exchange is not None and not names:
        raise _unknown(repr(exchange[:64]), visible)
    given = {"event": event, "state": state, "host": host, "admin": admin, "text": text, "since": since, "until": until}
    try:
        where = Filter.read({name: value for name, value in given.items() if value is not None})
        page = read_page(pages_client(settings().redis), names, count=count, cursor=cursor, where=where)
    except FilterError as error:
        raise _Refused(400, {"detail": str(error)}) from None
    except ValueError as error:
        raise _Refused(400, {"detail": f"cursor: {error}"}) from None
    entries: list[dict[str, str]] = []
    size, last = 0, page.next_cursor
    for name, entry in page.entries:
        size += sum(len(value) for value in entry.fields.values())
        if size > MOST_CHARACTERS and entries:
            return _answer(entries, page.gaps, last)
        entries.append(_entry(name, entry))
        last = str(Position(entry.id, name))
    return _answer(entries, page.gaps, page.next_cursor)


def _answer(entries: list[dict[str, str]], gaps: Sequence[HistoryGap], cursor: str | None) -> dict[str, Any]:
    end = Position.parse(cursor).order if cursor else None
    shown = [gap for gap in gaps if end is None or gap.position.order <= end]
    missing = [
        {"exchange": gap.exchange, "after": str(gap.after), "first": str(gap.first) if gap.first else None}
        for gap in shown
    ]
    return {"entries": entries, "gaps": missing, "nextCursor": cursor}


def _user(request: HttpRequest) -> User:
    """The caller that `caller` found before this request came here."""
    user: User = request.auth  # type: ignore[attr-defined]  # set by ninja
    return user


def _urls() -> tuple[list[Any], str, str]:
    """The API's URLs. They answer 401 themselves, where the site's middleware would redirect to the sign-in page."""
    patterns, app_name, namespace = api.urls
    for pattern in patterns:
        if not isinstance(pattern, URLPattern) or pattern.name == "api-root":
            continue  # says nothing but 404: the middleware may have it
        login_not_required(cast("Callable[..., HttpResponse]", pattern.callback))
    return patterns, app_name, namespace


urls = _urls()
