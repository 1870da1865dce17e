"""Screens on a wall: links that show the network to whoever holds them, without a sign-in."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from activity.models.exchanges import Exchange
from activity.models.people import ShownOnce, User


class WallLink(ShownOnce):
    """A read-only link for a screen. It shows no more than its maker may view."""

    PREFIX: ClassVar = "perseus_wall_"

    name = models.CharField(
        _("name"), max_length=100, help_text=_("Where the screen hangs, e.g. 'office, second floor'.")
    )
    exchanges = models.ManyToManyField(
        Exchange,
        verbose_name=_("exchanges"),
        blank=True,
        related_name="+",
        help_text=_("None chosen: all that you may view, and will be."),
    )
    created_by = models.ForeignKey(
        User, verbose_name=_("created by"), on_delete=models.CASCADE, related_name="wall_links", editable=False
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True, editable=False)

    class Meta:
        db_table = "wall_links"
        verbose_name = _("wall link")
        verbose_name_plural = _("wall links")
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def issue(cls, user: User, name: str) -> tuple["WallLink", str]:
        """A new link over all that the user may view, and its token, which is shown once and not stored."""
        return cls(created_by=user, name=name.strip()).issued()

    @classmethod
    def of_token(cls, token: str) -> "WallLink | None":
        """The unrevoked link of an active maker whose token this is."""
        links = cls.objects.select_related("created_by")
        return links.filter(digest=cls.digest_of(token), revoked_at=None, created_by__is_active=True).first()
