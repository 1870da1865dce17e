"""The sockets and their URLs."""

from typing import Any, Final

from django.urls import path

from activity.consumers import FeedConsumer, WallConsumer

_feed: Final[Any] = FeedConsumer.as_asgi()
_wall: Final[Any] = WallConsumer.as_asgi()

websocket_urlpatterns: list[Any] = [
    path("ws/network/", _feed),
    path("ws/exchanges/<str:name>/", _feed),
    path("ws/wall/<str:token>/", _wall),
]
