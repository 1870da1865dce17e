"""Wall links in the Django admin: made and revoked, never edited. The link is shown once."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from activity.access import exchanges_of
from activity.audit import Action, record
from activity.models import Exchange, User, WallLink

# Only type checkers know these as generic.
if TYPE_CHECKING:
    _LinkAdmin = admin.ModelAdmin[WallLink]
    _LinkForm = forms.ModelForm[WallLink]
else:
    _LinkAdmin, _LinkForm = admin.ModelAdmin, forms.ModelForm


def _administered(request: HttpRequest) -> QuerySet[Exchange]:
    """Inactive ones too: a link may be made before its exchange goes live."""
    return exchanges_of(request.user, "administer")


def _may_make(request: HttpRequest) -> bool:
    return request.user.is_superuser or _administered(request).exists()


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
class WallLinkAdmin(_LinkAdmin):
    """Superusers see everyone's, others their own."""

    form = NewLink
    list_display = ("name", "created_by", "created_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "created_by__email")
    list_select_related = ("created_by",)
    filter_horizontal = ("exchanges",)
    actions = ("revoke",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WallLink]:
        """One's own, or all."""
        links = super().get_queryset(request)
        assert isinstance(request.user, User)  # the admin lets nobody in who is not signed in
        return links if request.user.is_superuser else links.filter(created_by=request.user)

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
        """What the maker does not administer is not offered."""
        return super().formfield_for_manytomany(db_field, request, **{**kwargs, "queryset": _administered(request)})

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever administers an exchange."""
        return _may_make(request)

    def has_view_permission(self, request: HttpRequest, obj: WallLink | None = None) -> bool:
        """Whoever administers an exchange."""
        return _may_make(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever administers an exchange."""
        return _may_make(request)

    def has_change_permission(self, request: HttpRequest, obj: WallLink | None = None) -> bool:
        """Nothing of a link can be edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: WallLink | None = None) -> bool:
        """Revoking keeps the record; deleting is there for when its maker is deleted."""
        return request.user.is_superuser

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Whoever sees a link may revoke it."""
        return self.has_view_permission(request)

    def save_model(self, request: HttpRequest, obj: WallLink, form: Any, change: bool) -> None:  # noqa: FBT001
        """The only moment in which the token exists."""
        assert isinstance(request.user, User)
        obj.created_by = request.user
        obj.draw_text()
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: WallLink, post_url_continue: str | None = None
    ) -> TemplateResponse:
        """Show the link, once: neither a browser nor a proxy keeps the page."""
        address = request.build_absolute_uri(reverse("wall", args=[obj.text]))
        shown = {"title": _("Wall link made"), "link": obj, "address": address, "opts": self.opts}
        context = {**self.admin_site.each_context(request), **shown}
        response = TemplateResponse(request, "admin/activity/walllink/issued.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @admin.action(description=_("Revoke selected links"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[WallLink]) -> None:
        """Their screens go dark within five seconds."""
        revoked = list(queryset.filter(revoked_at=None))
        now = timezone.now()
        queryset.filter(revoked_at=None).update(revoked_at=now)
        for link in revoked:
            self.log_change(request, link, "revoked")
            record(Action.CHANGED, f"wall link {link}", before={"revoked_at": None}, after={"revoked_at": now})
        self.message_user(request, _("%d revoked.") % len(revoked), messages.SUCCESS)
