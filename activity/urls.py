"""The pages' URLs."""

from allauth.account import views as account
from allauth.socialaccount import views as linked
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from activity import (
    language,
    sign_in,
    views,
    views_account,
    views_export,
    views_instances,
    views_saved,
    views_selfcheck,
    views_steering,
    views_timeline,
    views_wall,
)

urlpatterns = [
    path("", views.network, name="network"),
    path("exchanges/<str:name>/", views.exchange, name="exchange"),
    path("exchanges/<str:name>/steering/", views_steering.steering, name="steering"),
    path("exchanges/<str:name>/command/<str:kind>/", views_steering.command, name="command"),
    path("find/", views.find, name="find"),
    path("entries.<str:form>", views_export.export_entries, name="export"),
    path("instances/", views_instances.instances, name="instances"),
    path("instances/<str:instance_id>/assign/", views_instances.assign_exchange, name="assign"),
    path("exchanges/<str:name>/timeline/", views_timeline.timeline, name="timeline"),
    path("exchanges/<str:name>/strip/", views_timeline.strip, name="strip"),
    path("exchanges/<str:name>/entries/<str:entry_id>/", views.entry, name="entry"),
    path("schemas/", views.schemas, name="schemas"),
    path("schemas/<str:file>", views.schema, name="schema"),
    path("views/", views_saved.save, name="saved-views"),
    path("views/<int:pk>/delete/", views_saved.delete, name="saved-view-delete"),
    path("self-check/", views_selfcheck.self_check, name="self-check"),
    path("words.js", language.words, name="words"),
    path("wall/<str:token>/", views_wall.wall, name="wall"),
    # Signing in. Each view under the name that allauth looks it up by, too.
    path("sign-in/", account.login, name="account_login"),
    path("sign-in/", account.login, name="sign-in"),
    path("sign-in/inactive/", account.account_inactive, name="account_inactive"),
    path("sign-in/second-factor/", sign_in.second_factor, name="mfa_authenticate"),
    path("sign-in/again/", account.reauthenticate, name="account_reauthenticate"),
    path("sign-in/again/code/", sign_in.second_factor_again, name="mfa_reauthenticate"),
    path("sign-in/with/", include("allauth.socialaccount.providers.openid_connect.urls")),
    path("sign-in/cancelled/", linked.login_cancelled, name="socialaccount_login_cancelled"),
    path("sign-in/failed/", linked.login_error, name="socialaccount_login_error"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    # What users keep about themselves.
    path("account/", views_account.user_settings, name="account"),
    path("account/settings.json", views_account.export_settings, name="account-export"),
    path("account/password/", account.password_change, name="account_change_password"),
    path("account/password/set/", account.password_set, name="account_set_password"),
    path("account/sessions/", views_account.sessions, name="usersessions_list"),
    path("account/linked/", linked.connections, name="socialaccount_connections"),
    path("account/second-factor/", sign_in.second_factor_index, name="mfa_index"),
    path("account/second-factor/app/", include("allauth.mfa.totp.urls")),
    path("account/second-factor/codes/", include("allauth.mfa.recovery_codes.urls")),
    path("account/second-factor/keys/", include("allauth.mfa.webauthn.urls")),
]
