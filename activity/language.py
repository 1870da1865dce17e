"""The language of a page: what its user chose, else what the browser asks for; and the words of its scripts."""

from collections.abc import Callable
from typing import Any, Final

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.translation import gettext_noop
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


#: What scripts of the Django admin say that Django has no German for.
_SAID_BY_ADMIN: Final = (
    gettext_noop('Choose %s by selecting them and then select the "Choose" arrow button.'),
    gettext_noop('Remove %s by selecting them and then select the "Remove" arrow button.'),
    gettext_noop("Type into this box to filter down the list of available %s."),
    gettext_noop("Type into this box to filter down the list of selected %s."),
    gettext_noop("Choose all %s"),
    gettext_noop("Choose selected %s"),
    gettext_noop("Remove all %s"),
    gettext_noop("Remove selected %s"),
    gettext_noop("(click to clear)"),
)


class _Catalogue(JavaScriptCatalog):
    def get_catalog(self) -> dict[str, Any]:
        return {**super().get_catalog(), **{text: translation.gettext(text) for text in _SAID_BY_ADMIN}}


_catalogue: Any = _Catalogue.as_view(packages=["activity"])


@login_not_required
@cache_control(max_age=_FRESH)
@conditional_page
def words(request: HttpRequest) -> HttpResponse:
    """Django's catalogue of what scripts say. Pages name their language in its address, for caches."""
    response: HttpResponse = _catalogue(request)
    return response
