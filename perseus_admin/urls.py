"""The URLs of the whole site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("activity.urls")),
    path("admin/", admin.site.urls),
]
