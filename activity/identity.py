"""Who is behind a request that Django's middleware does not see: a socket's session, a program's bearer token.

Reading never writes: a session is looked up and left as it is, unlike in the sockets of Channels, whose `get_user`
deletes a session that was signed with a rotated SECRET_KEY.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from activity.models import ApiToken, User, login_name

_BEARER: Final = "bearer "


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a connection came with: a session key, a bearer token, or neither. Worth nothing until looked up."""

    session_key: str = ""
    token: str = ""

    @classmethod
    def of_scope(cls, scope: Any) -> "Credentials":
        """From the headers of an ASGI scope. A token goes before a session, since only a program sends one."""
        headers = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", [])}
        authorization = headers.get(b"authorization", "")
        if authorization.lower().startswith(_BEARER):
            return cls(token=authorization[len(_BEARER) :].strip())
        try:
            cookie = SimpleCookie(headers.get(b"cookie", "")).get(settings.SESSION_COOKIE_NAME)
        except CookieError:
            return cls()
        return cls(session_key=cookie.value if cookie else "")


def user_of(credentials: Credentials) -> User | None:
    """The active user behind the credentials as of now, None where they are worth nothing. Asks the database."""
    if credentials.token:
        return user_of_token(credentials.token)
    if not credentials.session_key:
        return None
    store = import_module(settings.SESSION_ENGINE).SessionStore(credentials.session_key)
    session: dict[str, Any] = store.load()
    if session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None
    user = User.objects.filter(pk=str(session.get(SESSION_KEY)), is_active=True).first()
    if user is None:
        return None
    signed = str(session.get(HASH_SESSION_KEY, ""))
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return user if any(constant_time_compare(signed, good) for good in hashes) else None


def login_of_attempt(request: HttpRequest | None, credentials: Mapping[str, Any] | None) -> str:
    """The login that a sign-in was tried with, spelled as it is compared: every other spelling is the same attempt."""
    named = credentials or {}
    given = named.get("username") or named.get("email") or (request.POST.get("login") if request is not None else "")
    user = getattr(request, "user", None)
    if not given and user is not None and user.is_authenticated:
        given = user.get_username()  # who proves once more who they are types no e-mail
    return login_name(str(given or ""))


def user_of_token(token: str) -> User | None:
    """The active user whose unrevoked API token this is."""
    found = (
        ApiToken.objects.select_related("user")
        .filter(digest=ApiToken.digest_of(token), revoked_at=None, user__is_active=True)
        .first()
    )
    return found.user if found else None
