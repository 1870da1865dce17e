"""What is only looked at in the Django admin: the archive of raw entries, its gaps, and the audit trail.

Each list is exported as it is filtered. Rights on an exchange are asked of access.py, as everywhere.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from activity.access import can
from activity.admin_scope import administered, viewable
from activity.audit import Action, record
from activity.exports import FORMATS, export
from activity.models import ArchivedEntry, ArchiveGap, AuditEvent, Claim, Command
from activity.models.commands import CLAIMS
from activity.text import visible
from activity.wire.clock import format_timestamp

# Only type checkers know these as generic.
if TYPE_CHECKING:
    _EntryAdmin = admin.ModelAdmin[ArchivedEntry]
    _GapAdmin = admin.ModelAdmin[ArchiveGap]
    _EventAdmin = admin.ModelAdmin[AuditEvent]
    _CommandBase = admin.ModelAdmin[Command]
else:
    _EntryAdmin = _GapAdmin = _EventAdmin = _CommandBase = admin.ModelAdmin


#: For what followed from a command.
AFTERMATH: Final = timedelta(minutes=5)


class _OfExchange(admin.SimpleListFilter):
    """The filter by exchange names no exchange that the user may not view."""

    title = _("exchange")
    parameter_name = "exchange"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(exchange.pk), exchange.name) for exchange in viewable(request).values()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        return queryset.filter(exchange_id=int(value)) if value.isdecimal() else queryset


class _Record:
    """What the recorder alone writes: everybody looks, at the exchanges that they may view, and nobody changes."""

    list_filter: ClassVar[Any] = (_OfExchange,)
    list_select_related: ClassVar[Any] = ("exchange",)
    show_full_result_count = False  # counting millions of rows takes longer than showing a hundred

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Of viewable exchanges."""
        base: Any = super()
        queryset: QuerySet[Any] = base.get_queryset(request)
        return queryset.filter(exchange__in=list(viewable(request)))

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever may view an exchange."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: ArchivedEntry | ArchiveGap | None = None) -> bool:
        """Of this one's exchange, or of any."""
        return can(request.user, obj.exchange, "view") if obj else bool(viewable(request))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False


class _Exported:
    """A list with a download of all rows that its filters leave."""

    change_list_template: Any = "admin/activity/exported_list.html"
    #: The file's name, without its ending.
    export_name = ""

    def exported(self, row: Any) -> dict[str, Any]:
        """A row's columns, by name."""
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        """The download beside the list."""
        base: Any = super()
        site: Any = self
        name = f"{site.opts.app_label}_{site.opts.model_name}_export"
        here = path("export.<str:form>", site.admin_site.admin_view(self.export_view), name=name)
        return [here, *base.get_urls()]

    def export_view(self, request: HttpRequest, form: str) -> HttpResponse | Any:
        """Every row of the list as it is filtered; that somebody took it is recorded."""
        site: Any = self
        if not site.has_view_permission(request):
            raise PermissionDenied
        if form not in FORMATS:
            return HttpResponseBadRequest(f"{visible(form)} is no format: {', '.join(FORMATS)}")
        rows = site.get_changelist_instance(request).get_queryset(request)
        record(Action.EXPORTED, f"{self.export_name} as {form}", after={"filter": request.GET.dict()})
        return export(rows, self.exported, form, self.export_name)


@admin.register(ArchivedEntry)
class ArchivedEntryAdmin(_Exported, _Record, _EntryAdmin):
    """Raw entries, with all of their fields as text."""

    list_display = ("entry_id", "exchange", "event", "state", "host", "admin", "shortened")
    search_fields = ("text", "host", "admin")
    search_help_text = _("Looks through every row: choose an exchange first.")
    fields = ("exchange", "entry_id", "all_fields", "recorded_at")
    readonly_fields = fields
    ordering = ("-id",)
    list_filter: ClassVar[Any] = (_OfExchange, "event", "state", "recorded_at")
    export_name = "entries"

    def exported(self, row: ArchivedEntry) -> dict[str, Any]:
        """The raw entry, all of its fields."""
        return {"exchange": row.exchange.name, "id": str(row.entry_id), "fields": row.entry.to_json()}

    @admin.display(description=_("entry id"))
    def entry_id(self, entry: ArchivedEntry) -> str:
        """The id that the stream gave it, written as everywhere: lists of the Django admin take tuples apart."""
        return str(entry.entry_id)

    @admin.display(description=_("text"))
    def shortened(self, entry: ArchivedEntry) -> str:
        """Enough of it for a list."""
        return visible(entry.text[:200])

    @admin.display(description=_("fields"))
    def all_fields(self, entry: ArchivedEntry) -> str:
        """A line per field."""
        return "\n".join(f"{visible(name)}: {visible(value)}" for name, value in entry.entry.fields.items())


class _CommandAdmin(_Exported, _Record, _CommandBase):  # type: ignore[misc] # as of the classes above, which mypy sees
    """What was asked of instances, and how far it came."""

    list_display = ("requested_at", "exchange", "type", "state", "issued_by", "host", "reason")
    search_fields = ("issued_by", "host", "instance_id", "reason", "text", "correlation_id")
    list_filter: ClassVar[Any] = (_OfExchange, "type", "state", "requested_at")
    columns = (
        *("exchange", "correlation_id", "type", "payload", "state", "text", "problem", "issued_by", "ip", "reason"),
        *("instance_id", "host", "epoch", "requested_at", "delivered_at", "acknowledged_at", "ended_at"),
    )
    fields: ClassVar[Any] = (
        *({"text": "text_shown", "problem": "problem_shown"}.get(name, name) for name in columns),
        "entries",
    )
    readonly_fields = fields
    export_name = "commands"

    def exported(self, row: Command) -> dict[str, Any]:
        """All columns."""
        return {name: str(getattr(row, name) if getattr(row, name) is not None else "") for name in self.columns}

    @admin.display(description=_("text"))
    def text_shown(self, row: Command) -> str:
        """What became of it, in the reader's language; the export has it as it is stored."""
        return visible(row.said)

    @admin.display(description=_("problem"))
    def problem_shown(self, row: Command) -> str:
        """Why nobody knows more, likewise."""
        return visible(row.trouble)

    @admin.display(description=_("entries"))
    def entries(self, row: Command) -> str:
        """What the instance wrote meanwhile."""
        ends = (row.ended_at or row.requested_at) + AFTERMATH
        query = urlencode({"since": format_timestamp(row.requested_at), "until": format_timestamp(ends)})
        page = reverse("exchange", args=[row.exchange.name])
        return format_html('<a href="{}?{}#activity">{}</a>', page, query, _("of the exchange, from then on"))


@admin.register(Command)
class CommandAdmin(_CommandAdmin):
    """Every command."""


@admin.register(Claim)
class ClaimAdmin(_CommandAdmin):
    """Claims and releases alone."""

    export_name = "claims"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Of viewable exchanges."""
        return super().get_queryset(request).filter(type__in=CLAIMS)


@admin.register(ArchiveGap)
class ArchiveGapAdmin(_Record, _GapAdmin):
    """Where the archive may lack entries, and why."""

    list_display = ("exchange", "after", "first", "reason", "found_at")
    fields = ("exchange", "after", "first", "reason", "found_at")
    readonly_fields = fields

    @admin.display(description=pgettext_lazy("the entry", "after"))
    def after(self, gap: ArchiveGap) -> str:
        """The newest entry before the gap."""
        return str(gap.after)

    @admin.display(description=pgettext_lazy("the entry", "first"))
    def first(self, gap: ArchiveGap) -> str | None:
        """The first entry behind it."""
        return str(gap.first) if gap.first else None


@admin.register(AuditEvent)
class AuditEventAdmin(_Exported, _Record, _EventAdmin):
    """Who did what. Events of an exchange are seen by whoever administers it, the others by whoever may view events."""

    list_display = ("number", "moment", "actor", "action", "exchange", "subject_shown", "reason_shown", "ip")
    list_filter: ClassVar[Any] = ("action", _OfExchange, "at", "via")
    list_select_related: ClassVar[Any] = False
    search_fields = ("actor", "exchange", "subject", "reason", "host", "ip")
    fields = (
        "number", "at", "action", "actor", "via", "ip", "exchange", "host", "subject_shown", "before_shown",
        "after_shown", "reason_shown", "correlation_id", "previous", "hash", "exchange_then",
    )  # fmt: skip
    readonly_fields = fields
    date_hierarchy = "at"
    export_name = "audit"

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        """What the user may see."""
        events = AuditEvent.objects.all()
        if request.user.has_perm("activity.view_auditevent"):
            return events
        return events.filter(exchange_id__in=list(administered(request)))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Of this one, or of any."""
        if request.user.has_perm("activity.view_auditevent"):
            return True
        return obj.exchange_id in administered(request) if obj else bool(administered(request))

    @admin.display(description=_("page"))
    def exchange_then(self, event: AuditEvent) -> str:
        """The exchange as it was at that moment."""
        if not event.exchange:
            return ""
        page = reverse("exchange", args=[event.exchange])
        moment = urlencode({"at": format_timestamp(event.at)})
        return format_html('<a href="{}?{}">{}</a>', page, moment, _("the exchange as it was then"))

    @admin.display(description=_("at"), ordering="at")
    def moment(self, event: AuditEvent) -> str:
        """In UTC and to the second, in the order of numbers: two of one minute are told apart."""
        return f"{event.at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description=_("subject"), ordering="subject")
    def subject_shown(self, event: AuditEvent) -> str:
        """In the reader's language; what is chained and exported stays English."""
        return visible(event.done_to)

    @admin.display(description=_("reason"), ordering="reason")
    def reason_shown(self, event: AuditEvent) -> str:
        """What a person gave stays as it is."""
        return visible(event.why)

    @admin.display(description=_("before"))
    def before_shown(self, event: AuditEvent) -> str:
        """With unseen characters visible."""
        return visible(event.before)

    @admin.display(description=_("after"))
    def after_shown(self, event: AuditEvent) -> str:
        """With unseen characters visible."""
        return visible(event.after)

    def exported(self, row: AuditEvent) -> dict[str, Any]:
        """Every column."""
        return {field.name: field.value_from_object(row) for field in self.opts.concrete_fields}
