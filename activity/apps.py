"""The app's entry: registers its start-up checks."""

from django.apps import AppConfig


class ActivityConfig(AppConfig):
    """Exchanges, their instances and what these report."""

    name = "activity"
    verbose_name = "Exchanges and activity"

    def ready(self) -> None:
        """Register the checks."""
        from activity import checks  # noqa: F401 - registers itself; models must be loaded first
