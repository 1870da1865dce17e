"""Second factors, linked accounts and sessions in the Django admin: looked at and removed, never edited.

What allauth would show beyond these holds nothing here, or secrets.
"""

from typing import TYPE_CHECKING, Any, ClassVar

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from activity.audit import Action, record

# Only type checkers know this as generic.
if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
else:
    _Admin = admin.ModelAdmin

for _model in (EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken, UserSession):
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)


#: allauth calls these models and columns by their English names alone.
for _model, _one, _many in (
    (Authenticator, _("authenticator"), _("authenticators")),
    (UserSession, _("user session"), _("user sessions")),
):
    _model._meta.verbose_name, _model._meta.verbose_name_plural = _one, _many  # noqa: SLF001 - as Django's admin does
for _model, _columns in (
    (Authenticator, {"user": _("user"), "type": _("type"), "created_at": _("created at")}),
    (Authenticator, {"last_used_at": _("last used at")}),
    (UserSession, {"user": _("user"), "ip": _("ip"), "created_at": _("created at"), "user_agent": _("user agent")}),
):
    for _name, _words in _columns.items():
        _model._meta.get_field(_name).verbose_name = _words  # noqa: SLF001 - as above


class _LookedAt(_Admin):
    """Superusers look and remove: a second factor that is lost, a session that is not the user's."""

    search_fields: ClassVar[Any] = ("user__email",)
    list_select_related: ClassVar[Any] = ("user",)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Superusers."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers."""
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Superusers."""
        return bool(request.user.is_superuser)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Removed, and recorded."""
        record(Action.DELETED, f"{self.opts.verbose_name_raw} of {obj.user}")
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """One by one, so that each is recorded."""
        for row in queryset:
            self.delete_model(request, row)


@admin.register(Authenticator)
class AuthenticatorAdmin(_LookedAt):
    """Second factors, without what they prove."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    fields = ("user", "type", "created_at", "last_used_at")


@admin.register(SocialAccount)
class SocialAccountAdmin(_LookedAt):
    """Accounts at the issuer of identities."""

    list_display = ("user", "provider", "uid", "last_login", "date_joined")
    fields = ("user", "provider", "uid", "last_login", "date_joined")


@admin.register(UserSession)
class UserSessionAdmin(_LookedAt):
    """Where users are signed in. Deleting one ends it."""

    list_display = ("user", "ip", "created_at", "user_agent")
    fields = ("user", "ip", "created_at", "user_agent")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """End the session, too: without its row it would go on unseen."""
        record(Action.SIGNED_OUT, f"session of {obj.user} from {obj.ip}", reason="ended in the Django admin")
        obj.end()
