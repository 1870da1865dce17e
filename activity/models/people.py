"""Who works here: users, and the tokens of programs that act with a user's rights."""

import hashlib
import secrets
from typing import Any, ClassVar, Self
from zoneinfo import available_timezones

from django.conf import settings as site
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _


def login_name(text: str | None) -> str:
    """An e-mail as it is stored and compared: without white space around it, in lower case."""
    return (text or "").strip().lower()


class UserManager(BaseUserManager["User"]):
    """Makes users whose login is their e-mail, compared without regard to case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Raises ValueError without an e-mail."""
        if not email:
            raise ValueError("a user needs an e-mail: it is the login")
        user = self.model(email=login_name(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A user who may everything."""
        return self.create_user(email, password, **{**fields, "is_staff": True, "is_superuser": True})

    def get_by_natural_key(self, username: str | None) -> "User":
        """By e-mail, in any case."""
        return self.get(email=login_name(username))


def validate_time_zone(value: str) -> None:
    """Refuse what the IANA time zone database does not know."""
    if value not in available_timezones():
        raise ValidationError(_("%(value)s is no IANA time zone, e.g. Europe/Berlin"), params={"value": value})


class User(AbstractBaseUser, PermissionsMixin):
    """An admin. The e-mail is the login and is stored in lower case."""

    email = models.EmailField(_("email"), unique=True)
    display_name = models.CharField(_("display name"), max_length=100, blank=True, default="")
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC", validators=[validate_time_zone])
    language = models.CharField(
        _("language"),
        max_length=8,
        blank=True,
        default="",
        choices=site.LANGUAGES,
        help_text=_("Empty: what the browser asks for."),
    )
    is_staff = models.BooleanField(_("is staff"), default=False, help_text=_("May open the Django admin."))
    is_active = models.BooleanField(
        _("is active"), default=True, help_text=_("Instead of deleting a user, clear this.")
    )
    date_joined = models.DateTimeField(_("date joined"), auto_now_add=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        db_table = "users"
        verbose_name = _("user")
        verbose_name_plural = _("users")
        ordering: ClassVar = ["email"]
        constraints: ClassVar = [
            # With the unique e-mail: no two users who differ in case only, whoever writes the row.
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="users_email_lower"),
        ]

    def __str__(self) -> str:
        return self.email

    def clean(self) -> None:
        """The login is compared in lower case, so it is stored in lower case."""
        super().clean()
        self.email = login_name(self.email)

    def get_full_name(self) -> str:
        """The name that pages show."""
        return self.display_name or self.email

    def get_short_name(self) -> str:
        """The name that the top bar shows."""
        return self.get_full_name()


class UserSettings(models.Model):
    """How a user works: the document of `wire.settings.UserSettings`, without the columns of the user."""

    user = models.OneToOneField(
        User, verbose_name=_("user"), on_delete=models.CASCADE, primary_key=True, related_name="settings"
    )
    document = models.JSONField(_("document"), default=dict)
    changed_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        db_table = "user_settings"
        verbose_name = _("settings of a user")
        verbose_name_plural = _("settings of users")

    def __str__(self) -> str:
        return f"of {self.user}"


class SavedView(models.Model):
    """A page with its filter, under a name of its user's own."""

    user = models.ForeignKey(User, verbose_name=_("user"), on_delete=models.CASCADE, related_name="saved_views")
    name = models.CharField(_("name"), max_length=60)
    path = models.CharField(_("path"), max_length=200)
    query = models.CharField(_("query"), max_length=2000, blank=True, default="")
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "saved_views"
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "name"], name="saved_views_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def url(self) -> str:
        """Where it leads."""
        return f"{self.path}?{self.query}" if self.query else self.path


class ShownOnce(models.Model):
    """A row behind a random text that is shown when it is issued and not stored: only its hash is."""

    #: What every such text begins with, so that people and scanners see what was leaked.
    PREFIX: ClassVar = ""

    digest = models.CharField(_("digest"), max_length=64, unique=True, editable=False)

    #: The text itself, only in the process that issues it and until it has been shown. No column.
    text: str = ""

    class Meta:
        abstract = True

    @staticmethod
    def digest_of(text: str) -> str:
        """SHA-256 in hex. The text has 256 random bits, so no slow hash is needed."""
        return hashlib.sha256(text.encode()).hexdigest()

    def draw_text(self) -> None:
        """Give a row that is not saved yet its text, at random, and the digest that will be saved."""
        self.text = f"{self.PREFIX}{secrets.token_urlsafe(32)}"
        self.digest = self.digest_of(self.text)

    def issued(self) -> tuple[Self, str]:
        """The new row, saved, and its text. Raises ValidationError for fields that cannot be."""
        self.draw_text()
        self.full_clean()
        self.save()
        return self, self.text


class ApiToken(ShownOnce):
    """A bearer token of a program that acts with one user's rights."""

    PREFIX: ClassVar = "perseus_"

    user = models.ForeignKey(User, verbose_name=_("user"), on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=100, help_text=_("What uses it, e.g. 'grafana in the office'."))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        db_table = "api_tokens"
        verbose_name = _("api token")
        verbose_name_plural = _("api tokens")
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.user})"

    @classmethod
    def issue(cls, user: User, name: str) -> tuple["ApiToken", str]:
        """A new token and its text, which is shown once and not stored. Raises ValidationError for a bad name."""
        return cls(user=user, name=name.strip()).issued()
