"""The self-check page: what `manage.py doctor` says, for staff, as a page. To everybody else it does not exist."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from activity.access import can
from activity.doctor import Level, examine
from activity.models import Exchange
from perseus_admin.config import settings


@require_safe
@never_cache
def self_check(request: HttpRequest) -> HttpResponse:
    """Every line, the errors first. The WebSocket path is looked at by the browser, which goes through the proxy."""
    if not (request.user.is_authenticated and request.user.is_staff):
        raise Http404
    hidden = [exchange.pk for exchange in Exchange.objects.all() if not can(request.user, exchange, "view")]
    order = list(reversed(Level))
    lines = sorted(examine(settings().redis, hidden=hidden), key=lambda line: order.index(line.level))
    errors = sum(line.level is Level.ERROR for line in lines)
    context = {"lines": lines, "errors": errors, "nav": "self-check"}
    return render(request, "self_check.html", context)
