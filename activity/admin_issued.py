"""What the Django admin issues, shows once and revokes, and nobody edits: tokens of programs, links for walls."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from activity.audit import Action, record


class Issued:
    """For a ModelAdmin. Superusers see everyone's rows, others their own."""

    #: The field that names whose row it is.
    owner = ""
    actions: ClassVar[Any] = ("revoke",)
    list_filter: ClassVar[Any] = (("revoked_at", admin.EmptyFieldListFilter),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """One's own, or all."""
        base: Any = super()
        rows: QuerySet[Any] = base.get_queryset(request)
        return rows if request.user.is_superuser else rows.filter(**{self.owner: request.user})

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nothing of it can be edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Revoking keeps the record; deleting is there for when its owner is deleted."""
        return request.user.is_superuser

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Whoever sees it may revoke it."""
        site: Any = self
        return bool(site.has_view_permission(request))

    def show_once(self, request: HttpRequest, *, title: Any, words: Any, label: Any, secret: str) -> TemplateResponse:
        """The only page that ever has the secret: neither a browser nor a proxy keeps it."""
        site: Any = self
        shown = {"title": title, "words": words, "label": label, "secret": secret, "opts": site.opts}
        context = {**site.admin_site.each_context(request), **shown}
        response = TemplateResponse(request, "admin/activity/issued.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @admin.action(description=_("Revoke selected"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """From now on they open nothing; what is open ends within seconds."""
        site: Any = self
        revoked = list(queryset.filter(revoked_at=None))
        now = timezone.now()
        queryset.filter(revoked_at=None).update(revoked_at=now)
        for row in revoked:
            site.log_change(request, row, "revoked")
            what = f"{site.opts.verbose_name_raw} {row}"
            record(Action.CHANGED, what, before={"revoked_at": None}, after={"revoked_at": now})
        site.message_user(request, _("%d revoked.") % len(revoked), messages.SUCCESS)
