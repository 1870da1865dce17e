"""Django's settings, made from config.py. What is fixed here is not configurable, and says why."""

from collections.abc import Iterator
from typing import Any

from csp.constants import NONE, SELF

from perseus_admin import config

environment = config.settings()

SECRET_KEY = environment.secret
SECRET_KEY_FALLBACKS = list(environment.secret_key_fallbacks)
DEBUG = environment.debug
ALLOWED_HOSTS = list(environment.allowed_hosts) or ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = list(environment.origins)

INSTALLED_APPS = [
    "perseus_admin.apps.DaphneConfig",  # daphne's runserver, without daphne in every process
    "perseus_admin.apps.PerseusAdminConfig",  # django.contrib.admin, without its sign-in page
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "guardian",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.mfa",
    "allauth.usersessions",
    "axes",
    "csp",
    "activity",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    # Around WhiteNoise, which compresses nothing that a build step has not compressed: scripts and styles went out
    # three times as large.
    "perseus_admin.compression.CompressionMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "activity.language.UserLanguageMiddleware",
    "activity.audit.AuditMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "perseus_admin.urls"
ASGI_APPLICATION = "perseus_admin.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [config.BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- database: schema.sql is the truth on Postgres, the models on SQLite; there are no migration files ---


class _NoMigrations:
    """Every app counts as having none, third-party apps too: Atlas changes Postgres, `carry_over` changes SQLite."""

    def __contains__(self, app: str) -> bool:
        return True

    def __getitem__(self, app: str) -> None:
        return None

    def __iter__(self) -> Iterator[str]:
        return iter(())


MIGRATION_MODULES: Any = _NoMigrations()
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if environment.database_url is not None:
    DATABASES: dict[str, dict[str, Any]] = {
        "default": config.postgres_options(environment.database_url, environment.database_ca)
    }
else:
    assert environment.data is not None  # config.Settings: one of the two is named
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": environment.data / "perseus.sqlite3",
            "OPTIONS": {
                # Web, recorder and commands share the file: writers queue (20 s) instead of failing half-way.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            },
        }
    }

# --- people ---

AUTH_USER_MODEL = "activity.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "network"
LOGOUT_REDIRECT_URL = "sign-in"
GUARDIAN_RAISE_403 = False
ANONYMOUS_USER_NAME = None  # no row for nobody: an anonymous visitor has no rights at all

# Ten failures of one user from one address, then a pause of 15 minutes. 403: we never answer 429.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_CALLABLE = "activity.identity.login_of_attempt"
AXES_USERNAME_FORM_FIELD = "login"
AXES_HTTP_RESPONSE_CODE = 403
AXES_LOCKOUT_TEMPLATE = "sign_in_paused.html"
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False

# Signing in: e-mail and password, then a second factor where the user has one. Nobody signs up: accounts are made by
# an administrator. allauth's own limits are off, since they answer 429 and count per process; axes counts instead.
ACCOUNT_ADAPTER = "activity.sign_in.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_FORMS = {"login": "activity.sign_in.LoginForm"}
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300  # seconds; a takeover asks for a proof that is at most this old
MFA_ADAPTER = "activity.sign_in.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "Perseus"
MFA_TOTP_TOLERANCE = 1  # one step of 30 s either way: a phone's clock is seldom exact
MFA_RATE_LIMITS = False
MFA_ALLOW_UNVERIFIED_EMAIL = True  # an administrator typed the address
SOCIALACCOUNT_ADAPTER = "activity.sign_in.IssuerAdapter"
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_REQUESTS_TIMEOUT = 10  # seconds
SOCIALACCOUNT_OPENID_CONNECT_URL_PREFIX = ""
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": []}}
if environment.oidc_issuer is not None:
    assert environment.oidc_client_secret is not None  # config.Settings: all of it, or none
    SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"] = [
        {
            "provider_id": "issuer",
            "name": environment.oidc_name,
            "client_id": environment.oidc_client_id,
            "secret": environment.oidc_client_secret.get_secret_value(),
            "settings": {"server_url": environment.oidc_issuer},
        }
    ]

# --- the browser ---

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        # A browser holds a form's redirects to this as well: the one to the issuer of identities is one.
        "form-action": [SELF, *([environment.oidc_origin] if environment.oidc_origin else [])],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
# Cookies over TLS only as soon as the site is served over TLS, which PERSEUS_ORIGINS says.
_https = any(origin.startswith("https://") for origin in environment.origins)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
# A browser that came over TLS once comes over TLS only. Redirecting is the proxy's (inside, health checks speak http),
# and what holds for subdomains or for a browser's own list is for the owner of the domain to say.
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _https else None

# --- static files: no build step; the finders serve what `collectstatic` would copy ---

STATIC_URL = "static/"
STATICFILES_DIRS = [config.BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_ALLOW_ALL_ORIGINS = False  # nobody else has a use for them
# Looked at once: a file that changes under a running process would be served with its old length, cut off.
WHITENOISE_AUTOREFRESH = DEBUG

# --- time and language ---

TIME_ZONE = "UTC"
USE_TZ = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [config.BASE_DIR / "activity" / "locale"]  # for templates and scripts too, which are no app
USE_I18N = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "perseus_admin.logs.WithoutTokens", "fmt": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"django.request": {"level": "ERROR"}, "axes": {"level": "WARNING"}},
}
