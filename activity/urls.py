"""The pages' URLs."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from activity import views, views_selfcheck

urlpatterns = [
    path("", views.network, name="network"),
    path("exchanges/<str:name>/", views.exchange, name="exchange"),
    path("exchanges/<str:name>/entries/<str:entry_id>/", views.entry, name="entry"),
    path("schemas/", views.schemas, name="schemas"),
    path("schemas/<str:file>", views.schema, name="schema"),
    path("self-check/", views_selfcheck.self_check, name="self-check"),
    path("sign-in/", LoginView.as_view(template_name="sign_in.html", redirect_authenticated_user=True), name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
]
