"""Who is behind a request that Django's middleware does not see: a socket's session, a program's bearer token.

Reading never writes: a session is looked up and left as it is, unlike in the sockets of Channels, whose `get_user`
deletes a session that was signed with a rotated SECRET_KEY.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone
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
    claimed = _Claimed.of(session)
    user = User.objects.filter(pk=claimed.user_id, is_active=True).first() if claimed else None
    return user if claimed and user and claimed.is_signed_for(user) else None


@dataclass(frozen=True, slots=True)
class _Claimed:
    """Whose a session says that it is, and the hash of the password with which it began."""

    user_id: str
    signed: str

    @classmethod
    def of(cls, session: Mapping[str, Any]) -> "_Claimed | None":
        if session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
            return None
        return cls(str(session.get(SESSION_KEY)), str(session.get(HASH_SESSION_KEY, "")))

    def is_signed_for(self, user: User) -> bool:
        hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
        return any(constant_time_compare(self.signed, good) for good in hashes)


#: Values of one query: SQLite takes 1,000 parameters at the least.
_VALUES: Final = 500


@lru_cache(maxsize=20_000)
def _claimed_by(session_data: str) -> _Claimed | None:
    """What a session's text says. Read once per text: it is signed, and changes with what it says."""
    return _Claimed.of(Session(session_data=session_data).get_decoded())


def users_of(credentials: Collection[Credentials]) -> dict[Credentials, User]:
    """`user_of` for many at once, in three queries per 500; those that are worth nothing are left out."""
    if settings.SESSION_ENGINE != "django.contrib.sessions.backends.db":
        return {one: user for one in credentials if (user := user_of(one)) is not None}
    tokens = {ApiToken.digest_of(one.token): one for one in credentials if one.token}
    sessions = {one.session_key: one for one in credentials if not one.token and one.session_key}
    found: dict[Credentials, User] = {}
    for some in _in_turn(list(tokens)):
        unrevoked = ApiToken.objects.select_related("user").filter(digest__in=some, revoked_at=None)
        found |= {tokens[token.digest]: token.user for token in unrevoked.filter(user__is_active=True)}
    claims: dict[Credentials, _Claimed] = {}
    for some in _in_turn(list(sessions)):
        rows = Session.objects.filter(session_key__in=some, expire_date__gt=timezone.now())
        for key, data in rows.values_list("session_key", "session_data"):
            if (claimed := _claimed_by(data)) is not None:
                claims[sessions[key]] = claimed
    users: dict[str, User] = {}
    for some in _in_turn(sorted({claimed.user_id for claimed in claims.values() if claimed.user_id.isdecimal()})):
        users |= {str(user.pk): user for user in User.objects.filter(pk__in=some, is_active=True)}
    good: dict[_Claimed, bool] = {}
    for one, claimed in claims.items():
        user = users.get(claimed.user_id)
        if user is not None:
            if claimed not in good:
                good[claimed] = claimed.is_signed_for(user)
            if good[claimed]:
                found[one] = user
    return found


def _in_turn(values: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(values), _VALUES):
        yield values[start : start + _VALUES]


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
