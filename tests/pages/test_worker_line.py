"""The line that an exchange without an instance gives to copy: it works as it stands."""

from pathlib import Path

import pytest

from activity.templatetags.perseus import worker_command
from perseus_admin import config


def test_beside_an_embedded_network_the_line_names_its_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    embedded = config.settings().model_copy(update={"data": Path("/srv/my data"), "redis_url": None})
    monkeypatch.setattr(config, "settings", lambda: embedded)
    assert worker_command() == "PERSEUS_DATA='/srv/my data' .venv/bin/python manage.py worker"


def test_elsewhere_the_settings_are_the_operators_own() -> None:
    assert worker_command() == "python manage.py worker"
