"""Views that a user saved: a page with its filter under a name, kept on the server, the same in every browser."""

from typing import Final
from urllib.parse import parse_qsl, urlencode

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import Resolver404, resolve
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from activity.access import visible_exchanges
from activity.filters import FIELDS, Filter, FilterError
from activity.models import SavedView, User

#: Views of one user at the most: a menu of more is no help.
MOST: Final = 50


def _me(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # LoginRequiredMiddleware
    return request.user


def _page(request: HttpRequest, path: str) -> str:
    """The path of a page that has a list. Raises Http404 for any other, and for an exchange that does not exist."""
    try:
        match = resolve(path)
    except Resolver404:
        raise Http404(_("There is no such page.")) from None
    if match.url_name == "exchange":
        get_object_or_404(visible_exchanges(request.user), name=match.kwargs["name"])
    elif match.url_name != "network":
        raise Http404(_("There is no such page."))
    return path


def _query(text: str) -> str:
    """What of a query is a filter. Raises FilterError."""
    given = {name: value for name, value in parse_qsl(text.removeprefix("?")) if name in FIELDS}
    return urlencode(Filter.read(given).query)


@require_POST
@never_cache
def save(request: HttpRequest) -> HttpResponse:
    """Keep a page and its filter; a name that is there already leads to the new one."""
    user = _me(request)
    path = _page(request, request.POST.get("path", ""))
    name = " ".join(request.POST.get("name", "").split())
    try:
        view = SavedView(user=user, name=name, path=path, query=_query(request.POST.get("query", "")))
        view.full_clean(exclude=["user"], validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        messages.error(request, _("Not saved. %(why)s") % {"why": "; ".join(error.messages)})
        return redirect(path)
    except FilterError as error:
        messages.error(request, _("Not saved. %(why)s") % {"why": error.said})
        return redirect(path)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # two at once count each other
        if user.saved_views.exclude(name=name).count() >= MOST:
            messages.error(request, _("Not saved. %(most)s views are the most: delete one first.") % {"most": MOST})
            return redirect(path)
        SavedView.objects.update_or_create(user=user, name=name, defaults={"path": view.path, "query": view.query})
    return redirect(view.url)


@require_POST
@never_cache
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget one of one's own."""
    view = get_object_or_404(_me(request).saved_views, pk=pk)
    back = _page(request, request.POST.get("path", ""))
    view.delete()
    return redirect(back)
