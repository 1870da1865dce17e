"""The app's entry: registers its start-up checks and what the audit trail listens to."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ActivityConfig(AppConfig):
    """Exchanges, their instances and what these report."""

    name = "activity"
    verbose_name = _("Exchanges and activity")

    def ready(self) -> None:
        """Register the checks, and listen."""
        from activity import audit_signals, checks  # noqa: F401 - registers itself; models must be loaded first

        audit_signals.connect()
