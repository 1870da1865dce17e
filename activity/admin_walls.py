"""Wall links in the Django admin: made and revoked, never edited. The link is shown once."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from activity.access import exchanges_of
from activity.admin_issued import Issued
from activity.admin_scope import administered
from activity.models import User, WallLink

# Only type checkers know these as generic.
if TYPE_CHECKING:
    _LinkAdmin = admin.ModelAdmin[WallLink]
    _LinkForm = forms.ModelForm[WallLink]
else:
    _LinkAdmin, _LinkForm = admin.ModelAdmin, forms.ModelForm


def _may_make(request: HttpRequest) -> bool:
    return request.user.is_superuser or bool(administered(request))


class NewLink(_LinkForm):
    """A new link: of exchanges that its maker administers, or, where a superuser makes it, of all."""

    all_allowed: bool = False

    def clean_exchanges(self) -> Any:
        """Nobody but a superuser makes a link over whatever there will be."""
        chosen = self.cleaned_data["exchanges"]
        if not chosen and not self.all_allowed:
            raise ValidationError(_("Choose at least one exchange."))
        return chosen


@admin.register(WallLink)
class WallLinkAdmin(Issued, _LinkAdmin):
    """Made by whoever administers an exchange. Revoking turns their screens dark within five seconds."""

    owner = "created_by"
    form = NewLink
    list_display = ("name", "created_by", "created_at", "revoked_at")
    search_fields = ("name", "created_by__email")
    list_select_related = ("created_by",)
    filter_horizontal = ("exchanges",)

    def get_fields(self, request: HttpRequest, obj: WallLink | None = None) -> tuple[str, ...]:
        """What is chosen once, and what came of it."""
        chosen = ("name", "exchanges")
        return (*chosen, "created_by", "created_at", "revoked_at") if obj else chosen

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002
        """Of exchanges that the maker administers."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.all_allowed = request.user.is_superuser
        return form

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """What the maker does not administer is not offered. Inactive ones are: a link may come before its exchange."""
        offered = exchanges_of(request.user, "administer")
        return super().formfield_for_manytomany(db_field, request, **{**kwargs, "queryset": offered})

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever administers an exchange."""
        return _may_make(request)

    def has_view_permission(self, request: HttpRequest, obj: WallLink | None = None) -> bool:
        """Whoever administers an exchange."""
        return _may_make(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever administers an exchange."""
        return _may_make(request)

    def save_model(self, request: HttpRequest, obj: WallLink, form: Any, change: bool) -> None:  # noqa: FBT001
        """The only moment in which the token exists."""
        assert isinstance(request.user, User)
        obj.created_by = request.user
        obj.draw_text()
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: WallLink, post_url_continue: str | None = None
    ) -> TemplateResponse:
        """Show the link."""
        return self.show_once(
            request,
            title=_("Wall link made"),
            words=_(
                "“%(name)s” shows the network to whoever opens this link, without a sign-in. "
                "Revoke it in the list of wall links."
            )
            % {"name": obj.name},
            label=_("The link, shown now and never again:"),
            secret=request.build_absolute_uri(reverse("wall", args=[obj.text])),
        )
