"""The Django admin's site: one sign-in page for everything, with its pauses for who guesses."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache


class PerseusAdminSite(admin.AdminSite):
    """Has no sign-in page of its own."""

    site_header = "Perseus"
    site_title = "Perseus"
    index_title = _("Administration")

    @method_decorator(never_cache)
    @method_decorator(login_not_required)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """To the sign-in page and back. Who is signed in and may not be here is told so: signing in again is no use."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied
        return redirect_to_login(
            request.GET.get("next") or reverse("admin:index", current_app=self.name), resolve_url(settings.LOGIN_URL)
        )
