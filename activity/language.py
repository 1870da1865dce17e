"""The language of a page: what its user chose, else what the browser asks for; and the words of its scripts."""

from collections.abc import Callable
from typing import Any, Final

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.views.decorators.cache import cache_control
from django.views.decorators.http import conditional_page
from django.views.i18n import JavaScriptCatalog

#: Seconds for which a browser uses the words that it has, as long as it does a script.
_FRESH: Final = 60


class UserLanguageMiddleware:
    """Behind LocaleMiddleware, which knows the browser's wish alone."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Somebody who is signed in reads the language that their settings name."""
        if language := getattr(request.user, "language", ""):
            translation.activate(language)
            request.LANGUAGE_CODE = language
        return self._get_response(request)


_catalogue: Any = JavaScriptCatalog.as_view(packages=["activity"])


@login_not_required
@cache_control(max_age=_FRESH)
@conditional_page
def words(request: HttpRequest) -> HttpResponse:
    """Django's catalogue of what scripts say. Pages name their language in its address, for caches."""
    response: HttpResponse = _catalogue(request)
    return response
