"""Answers compressed on their way: what is text, and whole."""

from typing import Any, Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

_TEXTS: Final = ("text/", "application/json", "application/schema+json", "application/jsonl", "image/svg+xml")


class CompressionMiddleware(GZipMiddleware):
    """Django's, which compresses whatever there is: pieces of a file that nobody can join then, and fonts that grow."""

    def process_request(self, request: HttpRequest) -> None:
        """The tag of a compressed answer is weak. WhiteNoise compares tags as they stand, and would send all again."""
        tag = request.META.get("HTTP_IF_NONE_MATCH", "")
        if tag.startswith("W/"):
            request.META["HTTP_IF_NONE_MATCH"] = tag.removeprefix("W/")

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> Any:
        """As Django's."""
        kind = response.headers.get("Content-Type", "")
        if response.status_code != 200 or not kind.startswith(_TEXTS):
            return response
        return super().process_response(request, response)
