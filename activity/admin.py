"""The Django admin: exchanges and the rights on them, people and tokens.

Rights on an exchange are asked of access.py, as everywhere.
"""

from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop
from guardian.admin import (
    AdminGroupObjectPermissionsForm,
    AdminUserObjectPermissionsForm,
    GroupManage,
    GuardedModelAdmin,
    UserManage,
)

from activity import admin_notifications, admin_records, admin_sign_in, admin_walls  # noqa: F401 - register themselves
from activity.access import can
from activity.admin_issued import Issued
from activity.admin_scope import administered, viewable
from activity.models import ApiToken, Exchange, User
from activity.wire.retold import RIGHTS
from activity.words import spoken

# Only type checkers know these as generic.
if TYPE_CHECKING:
    _UserCreation = AdminUserCreationForm[User]
    _UserChange = UserChangeForm[User]
    _UserAdmin = DjangoUserAdmin[User]
    _TokenAdmin = admin.ModelAdmin[ApiToken]
    _TokenForm = forms.ModelForm[ApiToken]
else:
    _UserCreation, _UserChange, _UserAdmin, _TokenAdmin = (
        AdminUserCreationForm,
        UserChangeForm,
        DjangoUserAdmin,
        admin.ModelAdmin,
    )
    _TokenForm = forms.ModelForm


#: What pages of guardian, axes and Django say that these libraries have no German for: gathered with ours.
_SAID_BY_LIBRARIES: Final = (
    gettext_noop("Object permissions"),
    gettext_noop("Object"),
    gettext_noop("Users"),
    gettext_noop("User permissions"),
    gettext_noop("Group permissions"),
    gettext_noop("Manage user"),
    gettext_noop("Manage group"),
    gettext_noop("Permissions saved."),
    gettext_noop("Group"),
    gettext_noop("Groups"),
    gettext_noop("Edit"),
    gettext_noop("After you’ve created a user, you’ll be able to edit more user options."),  # noqa: RUF001 - Django's own
    gettext_noop("This action will <strong>enable</strong> password-based authentication for this user."),
    gettext_noop("Disable password-based authentication"),
    gettext_noop("Enable password-based authentication"),
    gettext_noop("Conflicting form data submitted. Please try again."),
    gettext_noop("Password-based authentication was disabled."),
    gettext_noop("Reset password"),
    gettext_noop("Password-based authentication"),
    gettext_noop("Enabled"),
    gettext_noop("Disabled"),
    gettext_noop("Raw passwords are not stored, so there is no way to see the user’s password."),  # noqa: RUF001 - as above
    gettext_noop("Enable password-based authentication for this user by setting a password."),
    gettext_noop("Clean up expired attempts"),
    gettext_noop("Locked Out"),
    gettext_noop("Not set"),
    gettext_noop("Attempt Remaining"),
    gettext_noop("access attempt expiration"),
    gettext_noop("access attempt expirations"),
    gettext_noop("Access Attempt"),
    gettext_noop(
        "Whether the user will be able to authenticate using a password or not. If disabled, they may still be able to "
        "authenticate using other backends, such as Single Sign-On or LDAP."
    ),
)


def _me(request: HttpRequest) -> User:
    """Who asks. The admin lets nobody in who is not signed in."""
    assert isinstance(request.user, User)
    return request.user


def _right(name: str) -> str:
    return spoken(RIGHTS.read(name))


class _RightsOfUser(AdminUserObjectPermissionsForm):
    """One user's rights on an exchange, named in the reader's language."""

    def get_obj_perms_field_choices(self) -> list[tuple[str, str]]:
        """By code, as the base has them."""
        return [(code, _right(name)) for code, name in super().get_obj_perms_field_choices()]


class _RightsOfGroup(AdminGroupObjectPermissionsForm):
    """One group's, likewise."""

    def get_obj_perms_field_choices(self) -> list[tuple[str, str]]:
        """By code, as the base has them."""
        return [(code, _right(name)) for code, name in super().get_obj_perms_field_choices()]


class _RightsNamed:
    """Rights to choose from, named in the reader's language; the table has Django's English names."""

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest | None = None, **given: Any) -> Any:
        """Rights say themselves as everywhere: app, model, right."""
        base: Any = super()
        field = base.formfield_for_manytomany(db_field, request, **given)
        if field is not None and db_field.remote_field.model is Permission:
            field.label_from_instance = lambda right: f"{right.content_type} | {_right(right.name)}"
        return field


class FindUser(UserManage):
    """Whose rights on an exchange are to be changed."""

    user = forms.EmailField(
        label=_("E-mail of the user"), error_messages={"does_not_exist": _("There is no user with this e-mail.")}
    )

    def clean_user(self) -> User:
        """In any case, as everywhere."""
        base: Any = super()
        self.cleaned_data["user"] = self.cleaned_data["user"].lower()
        user: User = base.clean_user()
        return user


class FindGroup(GroupManage):
    """Which group's rights on an exchange are to be changed."""

    group = forms.CharField(
        label=_("Group"), max_length=80, error_messages={"does_not_exist": _("This group does not exist")}
    )


@admin.register(Exchange)
class ExchangeAdmin(GuardedModelAdmin):
    """A user sees the exchanges that they may view, and changes those, and the rights on them, that they administer."""

    list_display = ("name", "display_name", "active", "ws_url", "rest_url")
    list_filter = ("active",)
    search_fields = ("name", "display_name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Exchange]:
        """What the user may not view does not exist for them."""
        base: Any = super()
        exchanges: QuerySet[Exchange] = base.get_queryset(request)
        return exchanges.filter(pk__in=list(viewable(request)))

    def view_on_site(self, obj: Exchange) -> str:
        """Its page."""
        return reverse("exchange", args=[obj.name])

    def get_readonly_fields(self, request: HttpRequest, obj: Exchange | None = None) -> tuple[str, ...]:
        """The name keys the exchange's stream, so it is given once."""
        return ("name",) if obj else ()

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever may view one of them."""
        return self.has_view_permission(request) or self.has_add_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Exchange | None = None) -> bool:
        """Of this one, or of any."""
        return can(request.user, obj, "view") if obj else bool(viewable(request))

    def has_change_permission(self, request: HttpRequest, obj: Exchange | None = None) -> bool:
        """Of this one, or of any."""
        if obj:
            return can(request.user, obj, "administer")
        return bool(administered(request))

    def has_delete_permission(self, request: HttpRequest, obj: Exchange | None = None) -> bool:
        """Needs Django's own right to delete exchanges, too."""
        return super().has_delete_permission(request) and (obj is None or can(request.user, obj, "administer"))

    def get_obj_perms_user_select_form(self, request: HttpRequest) -> type[forms.Form]:
        """Users are found by their e-mail."""
        return FindUser

    def get_obj_perms_group_select_form(self, request: HttpRequest) -> type[forms.Form]:
        """Groups are found by their name."""
        return FindGroup

    def get_obj_perms_manage_user_form(self, request: HttpRequest) -> type[forms.Form]:
        """With rights that are named."""
        return _RightsOfUser

    def get_obj_perms_manage_group_form(self, request: HttpRequest) -> type[forms.Form]:
        """With rights that are named."""
        return _RightsOfGroup

    def get_obj_perms_base_context(self, request: HttpRequest, obj: Exchange) -> dict[str, Any]:
        """The heads of the table are names of rights."""
        base: Any = super()
        context: dict[str, Any] = base.get_obj_perms_base_context(request, obj)
        context["model_perms"] = list(context["model_perms"])
        for right in context["model_perms"]:
            right.name = _right(right.name)  # of this page's own rows, which nobody saves
        return context

    def obj_perms_manage_view(self, request: HttpRequest, object_pk: str) -> HttpResponse:
        """Who has which rights on the exchange."""
        self._require_administer(request, object_pk)
        base: Any = super()
        response: HttpResponse = base.obj_perms_manage_view(request, object_pk)
        return response

    def obj_perms_manage_user_view(self, request: HttpRequest, object_pk: str, user_id: int) -> HttpResponse:
        """One user's rights on the exchange."""
        self._require_administer(request, object_pk)
        base: Any = super()
        response: HttpResponse = base.obj_perms_manage_user_view(request, object_pk, user_id)
        return response

    def obj_perms_manage_group_view(self, request: HttpRequest, object_pk: str, group_id: int) -> HttpResponse:
        """One group's rights on the exchange."""
        self._require_administer(request, object_pk)
        base: Any = super()
        response: HttpResponse = base.obj_perms_manage_group_view(request, object_pk, group_id)
        return response

    def _require_administer(self, request: HttpRequest, object_pk: str) -> None:
        # guardian asks whether the user may change exchanges at all, not whether they may change this one.
        if not can(request.user, get_object_or_404(self.get_queryset(request), pk=object_pk), "administer"):
            raise PermissionDenied


class UserCreation(_UserCreation):
    """A new user: e-mail and password, or none, for who signs in otherwise."""

    class Meta:
        model = User
        fields = ("email",)


class UserChange(_UserChange):
    """An existing user."""

    class Meta:
        model = User
        fields = "__all__"


@admin.register(User)
class UserAdmin(_RightsNamed, _UserAdmin):
    """People. What makes someone mightier, and superusers themselves, are a superuser's business only."""

    form = UserChange
    add_form = UserCreation
    fieldsets = (
        (None, {"fields": ("email", "password", "display_name", "time_zone", "language")}),
        (_("Rights"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("email", "usable_password", "password1", "password2")}),)
    list_display = ("email", "display_name", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser", "groups")
    search_fields = ("email", "display_name")
    ordering = ("email",)
    readonly_fields = ("last_login", "date_joined")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Nobody makes themselves mightier."""
        if request.user.is_superuser:
            return self.readonly_fields
        return (*self.readonly_fields, "is_staff", "is_superuser", "groups", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """A superuser's e-mail or password would be a way to their rights."""
        if obj and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """A superuser, but not themselves: deactivating keeps what a user did, deleting does not."""
        return request.user.is_superuser and obj != request.user


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(_RightsNamed, DjangoGroupAdmin):
    """Django's own."""


@admin.register(ApiToken)
class ApiTokenAdmin(Issued, _TokenAdmin):
    """Tokens are issued and revoked, never edited."""

    owner = "user"
    list_display = ("name", "user", "created_at", "revoked_at")
    search_fields = ("name", "user__email")
    list_select_related = ("user",)

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> tuple[str, ...]:
        """A superuser says whose rights a new token has; everyone else's tokens have their own."""
        if obj:
            return ("name", "user", "created_at", "revoked_at")
        return ("name", "user") if request.user.is_superuser else ("name",)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: _TokenForm, change: bool) -> None:  # noqa: FBT001
        """The only moment in which the token's text exists."""
        if not request.user.is_superuser:
            obj.user = _me(request)
        obj.draw_text()
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None
    ) -> TemplateResponse:
        """Show the text."""
        told = {"name": obj.name, "user": obj.user}
        return self.show_once(
            request,
            title=_("Token issued"),
            words=_("“%(name)s” acts with the rights of %(user)s.") % told,
            label=_("The token, shown now and never again:"),
            secret=obj.text,
        )
