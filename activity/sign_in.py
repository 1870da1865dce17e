"""Signing in: what allauth is told to do differently here.

Nobody signs up. A wrong password and a wrong code count alike, per user and address, and the pause that follows is
axes' answer 403. What proves a second factor is encrypted in the database.
"""

import base64
import hashlib
from functools import lru_cache
from typing import Any, Final

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import LoginForm as AllauthLoginForm
from allauth.account.internal.flows.reauthentication import did_recently_reauthenticate
from allauth.mfa import signals as factor_signals
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base import views as factor_views
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from axes.handlers.proxy import AxesProxyHandler
from axes.helpers import get_lockout_response
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_noop

from activity.models import User, login_name

#: What allauth says in German as among friends: gathered with ours, and said in our way.
_SAID_BY_ALLAUTH: Final = (
    gettext_noop("Please type your current password."),
    gettext_noop("You must type the same password each time."),
    gettext_noop("Your account has no password set up."),
    gettext_noop("Your account has no verified email address."),
)

#: Messages of allauth that say what the page shows anyway.
_SILENT: Final = frozenset({"account/messages/logged_in.txt", "account/messages/logged_out.txt"})


class AccountAdapter(DefaultAccountAdapter):
    """Accounts are made by an administrator, and an e-mail is compared in lower case."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Nobody signs up."""
        return False

    def add_message(self, request: HttpRequest, level: int, *arguments: Any, **words: Any) -> None:
        """Without those that repeat what is on the page."""
        template = words.get("message_template") or (arguments[0] if arguments else None)
        if template not in _SILENT:
            super().add_message(request, level, *arguments, **words)


class LoginForm(AllauthLoginForm):
    """E-mail and password. The e-mail in any case, with white space around it."""

    def clean_login(self) -> str:
        """As it is stored."""
        return login_name(super().clean_login())


class IssuerAdapter(DefaultSocialAccountAdapter):
    """Signing in with an OpenID Connect issuer: accounts that exist, found by an e-mail that the issuer verified."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """The issuer vouches for who somebody is, not for their being an admin here."""
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """The first time, tie the issuer's account to the user with its verified e-mail."""
        if sociallogin.is_existing or request.user.is_authenticated:
            return
        verified = [login_name(address.email) for address in sociallogin.email_addresses if address.verified]
        user = User.objects.filter(email__in=verified, is_active=True).first()
        if user is not None:
            sociallogin.connect(request, user)


@lru_cache(maxsize=1)
def _cipher() -> MultiFernet:
    """Encrypts with the secret key, decrypts with its fallbacks as well."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet(
        [Fernet(base64.urlsafe_b64encode(hashlib.sha256(f"second factor {key}".encode()).digest())) for key in keys]
    )


class SecondFactorAdapter(DefaultMFAAdapter):
    """Secrets of second factors are encrypted with a key made from the secret key."""

    def encrypt(self, text: str) -> str:
        """For the database."""
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """From the database. What no key opens proves nothing: the code is then refused as wrong."""
        try:
            return _cipher().decrypt(encrypted_text.encode()).decode()
        except InvalidToken:
            return ""

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """The site as a security key knows it."""
        return {**super().get_public_key_credential_rp_entity(), "name": "Perseus"}


def _paused(request: HttpRequest, user: User) -> HttpResponse | None:
    """The refusal, while the user's sign-in is paused for the address of the request."""
    credentials = {"username": user.email}
    if AxesProxyHandler.is_allowed(request, credentials):
        return None
    response: HttpResponse = get_lockout_response(request, credentials=credentials)
    return response


class SecondFactorView(factor_views.AuthenticateView):
    """The second step of signing in."""

    def post(self, request: HttpRequest, *arguments: Any, **words: Any) -> HttpResponse:
        """Refused while the user's sign-in is paused."""
        return _paused(request, self.stage.login.user) or super().post(request, *arguments, **words)


class SecondFactorAgainView(factor_views.ReauthenticateView):
    """The proof before something grave, by a code."""

    def post(self, request: HttpRequest, *arguments: Any, **words: Any) -> HttpResponse:
        """Refused while the user's sign-in is paused."""
        assert isinstance(request.user, User)  # the view needs a signed-in user
        return _paused(request, request.user) or super().post(request, *arguments, **words)


def _code_was_wrong(request: HttpRequest, user: User, **_: Any) -> None:
    """Counted and recorded as a failed sign-in."""
    user_login_failed.send(sender=__name__, credentials={"username": user.email}, request=request)


factor_signals.authentication_failed.connect(_code_was_wrong, dispatch_uid="a wrong code is a failed sign-in")

second_factor = SecondFactorView.as_view()
second_factor_again = SecondFactorAgainView.as_view()
second_factor_index = factor_views.index


def proved_lately(request: HttpRequest) -> bool:
    """Whether the user has typed a password or used a second factor for a second time within the last five minutes."""
    return bool(did_recently_reauthenticate(request))
