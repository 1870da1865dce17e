"""The URLs of the whole site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from activity import api

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("activity.urls")),
    path("api/v1/", api.urls),
    path("admin/", admin.site.urls),
]
