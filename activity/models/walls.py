"""Screens on a wall: links that show the network to whoever holds them, without a sign-in."""

import secrets
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from activity.models.exchanges import Exchange
from activity.models.people import ApiToken, User


class WallLink(models.Model):
    """A read-only link for a screen. Only its token's hash is stored. It shows no more than its maker may view."""

    name = models.CharField(max_length=100, help_text=_("Where the screen hangs, e.g. 'office, second floor'."))
    digest = models.CharField(max_length=64, unique=True, editable=False)
    exchanges = models.ManyToManyField(
        Exchange, blank=True, related_name="+", help_text=_("None chosen: all that you may view, and will be.")
    )
    created_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="wall_links", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    #: The token itself, only in the process that makes it and until it has been shown. No column.
    text: str = ""

    class Meta:
        db_table = "wall_links"
        verbose_name = _("wall link")
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def issue(cls, user: User, name: str) -> tuple["WallLink", str]:
        """A new link over all that the user may view, and its token, which is shown once and not stored."""
        link = cls(created_by=user, name=name.strip())
        link.draw_text()
        link.full_clean()
        link.save()
        return link, link.text

    @classmethod
    def of_token(cls, token: str) -> "WallLink | None":
        """The unrevoked link of an active maker whose token this is."""
        links = cls.objects.select_related("created_by")
        digest = ApiToken.digest_of(token)
        return links.filter(digest=digest, revoked_at=None, created_by__is_active=True).first()

    def draw_text(self) -> None:
        """Give a link that is not saved yet its token, 256 random bits, and the digest that will be saved."""
        self.text = f"perseus_wall_{secrets.token_urlsafe(32)}"
        self.digest = ApiToken.digest_of(self.text)
