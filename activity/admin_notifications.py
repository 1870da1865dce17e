"""The Django admin's part about notifications: channels, a test of each, and the list of what was sent.

Whoever may view all exchanges that a channel is about sees it, and sees the deliveries whose entries they may view. The
URL is entered and never shown again: only its scheme and host are.
"""

from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from activity.admin_scope import viewable
from activity.models import Delivery, DeliveryEntry, Exchange, NotificationChannel
from activity.models.notifications import KINDS
from activity.words import spoken

if TYPE_CHECKING:  # only type checkers know these as generic
    _ChannelForm = forms.ModelForm[NotificationChannel]
    _ChannelAdmin = admin.ModelAdmin[NotificationChannel]
    _DeliveryAdmin = admin.ModelAdmin[Delivery]
else:
    _ChannelForm, _ChannelAdmin, _DeliveryAdmin = forms.ModelForm, admin.ModelAdmin, admin.ModelAdmin

#: From which pages a delivery may be deleted: with its channel, never alone.
_WITH_ITS_CHANNEL: Final = ("activity_notificationchannel_delete", "activity_notificationchannel_changelist")


def _hidden_from(request: HttpRequest) -> list[int]:
    """Ids of the exchanges that the user may not view, inactive ones included."""
    return list(Exchange.objects.exclude(pk__in=list(viewable(request))).values_list("pk", flat=True))


class ChannelForm(_ChannelForm):
    """A channel. Its URL comes in through a field that is never filled."""

    new_url = forms.CharField(
        label=_("Apprise URL"),
        strip=True,
        widget=forms.PasswordInput(attrs={"size": 80, "autocomplete": "off", "spellcheck": "false"}),
    )
    kinds = forms.MultipleChoiceField(
        label=_("Told of"), choices=list(KINDS.items()), widget=forms.CheckboxSelectMultiple, initial=["error", "lost"]
    )

    #: Set by the admin: what the user who edits may not view.
    hidden: tuple[int, ...] = ()

    class Meta:
        model = NotificationChannel
        fields = ("name", "new_url", "active", "kinds", "exchanges")
        widgets = {"exchanges": forms.CheckboxSelectMultiple}  # noqa: RUF012 - Django's own form of it

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["new_url"]
        field.required = self.instance.pk is None
        example = _("For example discord://WEBHOOK_ID/TOKEN, tgram://BOT_TOKEN/CHAT_ID, mailto://USER:PASSWORD@HOST.")
        kept = _("Stored: %s. Leave empty to keep it.") % self.instance.shown_url if self.instance.pk else ""
        field.help_text = format_html("{} {}", kept, example)
        if "exchanges" in self.fields:
            choices: Any = self.fields["exchanges"]
            choices.queryset = Exchange.objects.exclude(pk__in=self.hidden)

    def clean_new_url(self) -> str:
        """Something that Apprise understands. The text of a refusal does not repeat it."""
        from activity.recorder.outbound import BadUrl, Service  # here: a web process loads Apprise when it needs it

        url: str = self.cleaned_data["new_url"]
        if url:
            try:
                self.instance.shown_url = Service(url).shown[:300]
            except BadUrl as error:
                raise forms.ValidationError(spoken(error)) from None
            self.instance.url = url
        return url

    def clean_exchanges(self) -> QuerySet[Exchange]:
        """None chosen means all: only for who may view all."""
        chosen: QuerySet[Exchange] = self.cleaned_data["exchanges"]
        if self.hidden and not chosen:
            raise forms.ValidationError(_("Choose at least one: you may not view all exchanges."))
        return chosen


@admin.register(NotificationChannel)
class NotificationChannelAdmin(_ChannelAdmin):
    """Channels, with a test of each."""

    form = ChannelForm
    change_form_template = "admin/activity/notificationchannel/change_form.html"
    list_display = ("name", "shown_url", "active", "told_of", "condition")
    list_filter = ("active",)
    search_fields = ("name", "shown_url")
    actions = ("send_tests", "retry_now")
    readonly_fields = ("condition",)
    fields = ("name", "new_url", "active", "kinds", "exchanges", "condition")

    def get_queryset(self, request: HttpRequest) -> QuerySet[NotificationChannel]:
        """A channel about an exchange that the user may not view does not exist for them."""
        channels = super().get_queryset(request)
        hidden = _hidden_from(request)
        if not hidden:
            return channels
        return channels.filter(exchanges__isnull=False).exclude(exchanges__in=hidden).distinct()

    def get_form(
        self,
        request: HttpRequest,
        obj: NotificationChannel | None = None,
        change: bool = False,  # noqa: FBT001, FBT002 - Django's own signature
        **kwargs: Any,
    ) -> Any:
        """The form for this user."""
        base: Any = super().get_form(request, obj, change, **kwargs)
        return type("ChannelForm", (base,), {"hidden": tuple(_hidden_from(request))})

    @method_decorator(sensitive_post_parameters("new_url"))
    def changeform_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        """The URL stays out of error reports."""
        base: Any = super()
        response: HttpResponse = base.changeform_view(*args, **kwargs)
        return response

    def save_model(self, request: HttpRequest, obj: NotificationChannel, form: Any, change: bool) -> None:  # noqa: FBT001
        """A channel that is switched on begins at the newest entry."""
        if obj.active and (not change or "active" in form.changed_data):
            obj.begin_anew()
        if change and "new_url" in form.changed_data:
            obj.retry_at, obj.failures = None, 0  # whatever was wrong with the old one
        super().save_model(request, obj, form, change)

    def get_urls(self) -> list[URLPattern]:
        """And the button's."""
        send = self.admin_site.admin_view(require_POST(self.send_test_view))
        return [path("<int:object_id>/test/", send, name="activity_notificationchannel_test"), *super().get_urls()]

    def send_test_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Queue a test and show where it stands."""
        channel = get_object_or_404(self.get_queryset(request), pk=object_id)
        if not self.has_change_permission(request, channel):
            raise PermissionDenied
        delivery = Delivery.test_of(channel, request.user)
        self.log_change(request, channel, "sent a test")
        text = _("Test %s is queued. The recorder sends it in its turn; this page tells how it went when loaded again.")
        self.message_user(request, text % delivery.pk, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:activity_delivery_change", args=[delivery.pk]))

    @admin.display(description=_("told of"))
    def told_of(self, channel: NotificationChannel) -> str:
        """Kinds and exchanges."""
        names = ", ".join(exchange.name for exchange in channel.exchanges.all()) or _("all exchanges")
        return f"{', '.join(channel.kinds)}: {names}"

    @admin.display(description=_("condition"))
    def condition(self, channel: NotificationChannel) -> str:
        """Whether its messages arrive."""
        if channel._state.adding:  # noqa: SLF001 - documented by Django under this name
            return ""
        waiting = channel.deliveries.filter(state=Delivery.State.WAITING).order_by("id").first()
        if waiting is None:
            sent = channel.deliveries.filter(state=Delivery.State.SENT).order_by("-id").first()
            return (
                str(_("last sent %s") % f"{sent.sent_at:%Y-%m-%d %H:%M:%S} UTC") if sent else str(_("nothing sent yet"))
            )
        when = f"{channel.retry_at:%Y-%m-%d %H:%M:%S} UTC" if channel.retry_at else _("soon")
        told = {"number": waiting.pk, "failures": channel.failures, "when": when, "reason": waiting.reason}
        return str(_("delivery %(number)s waits, %(failures)s failures, next try %(when)s: %(reason)s") % told)

    @admin.action(description=_("Send a test"), permissions=["change"])
    def send_tests(self, request: HttpRequest, queryset: QuerySet[NotificationChannel]) -> None:
        """One to each."""
        for channel in queryset:
            Delivery.test_of(channel, request.user)
            self.log_change(request, channel, "sent a test")
        self.message_user(request, _("Tests are queued; see the deliveries."), messages.SUCCESS)

    @admin.action(description=_("Try again now"), permissions=["change"])
    def retry_now(self, request: HttpRequest, queryset: QuerySet[NotificationChannel]) -> None:
        """Without the rest of the pause after failures. What a remote asked for is kept to."""
        queryset.update(retry_at=None)
        self.message_user(request, _("What waits is sent as soon as the service allows it."), messages.SUCCESS)


@admin.register(Delivery)
class DeliveryAdmin(_DeliveryAdmin):
    """What was sent, and what was not and why. Nothing of it can be edited."""

    list_display = ("id", "channel", "state", "reason", "title", "test", "attempts", "created_at", "sent_at")
    list_filter = ("state", "test", "channel")
    list_select_related = ("channel",)
    actions = ("give_up",)
    fields = (
        *("channel", "state", "reason", "title", "text", "test", "parts_sent", "attempts"),
        *("created_at", "changed_at", "sent_at"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Neither the channels nor the entries that the user may not view."""
        deliveries = super().get_queryset(request)
        hidden = _hidden_from(request)
        if not hidden:
            return deliveries
        told = DeliveryEntry.objects.filter(entry__exchange__in=hidden)
        channels = admin.site.get_model_admin(NotificationChannel).get_queryset(request)
        return deliveries.filter(channel__in=channels).exclude(pk__in=told.values("delivery"))

    @admin.display(description=_("text"))
    def text(self, delivery: Delivery) -> str:
        """All parts of it."""
        return "\n".join(str(part) for part in delivery.parts)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The recorder makes them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        """They are what they were."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        """Only together with the channel."""
        match = request.resolver_match
        return bool(match and match.url_name in _WITH_ITS_CHANNEL) and super().has_delete_permission(request, obj)

    def has_give_up_permission(self, request: HttpRequest) -> bool:
        """Whoever may change channels."""
        return bool(request.user.has_perm("activity.change_notificationchannel"))

    @admin.action(description=_("Give up selected deliveries that wait"), permissions=["give_up"])
    def give_up(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """For a message that its service will never take: it holds up those behind it."""
        given_up = 0
        for delivery in queryset.filter(state__in=(Delivery.State.QUEUED, Delivery.State.WAITING)):
            reason = f"Given up by {request.user}. {delivery.reason}"[:400]
            still = Delivery.objects.filter(pk=delivery.pk, state=delivery.state)
            given_up += still.update(state=Delivery.State.GIVEN_UP, reason=reason)
            NotificationChannel.objects.filter(pk=delivery.channel_id).update(retry_at=None, failures=0)
            self.log_change(request, delivery, "given up")
        self.message_user(request, _("%d given up.") % given_up, messages.SUCCESS)
