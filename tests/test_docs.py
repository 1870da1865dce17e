"""What operators read is complete: every setting, command, option, exit code and Redis key is documented."""

import re
from pathlib import Path

import pytest
from django.core.management import load_command_class

from activity.instance.exits import ExitCode
from activity.wire import keys
from perseus_admin.config import Settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = sorted(path.stem for path in (ROOT / "activity" / "management" / "commands").glob("[a-z]*.py"))


def everything_said() -> str:
    pages = [
        ROOT / "README.md",
        ROOT / "activity" / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").glob("*.md"),
    ]
    return "\n".join(page.read_text("utf-8") for page in pages)


@pytest.mark.parametrize("field", sorted(Settings.model_fields))
def test_every_setting_stands_in_the_readme(field: str) -> None:
    name = str(Settings.model_fields[field].validation_alias or f"PERSEUS_{field.upper()}")
    assert f"`{name}`" in README


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_told_of(command: str) -> None:
    assert re.search(rf"(manage\.py|`) ?{command}\b", everything_said())


def test_every_option_of_the_worker_is_told_of() -> None:
    parser = load_command_class("activity", "worker").create_parser("manage.py", "worker")
    own = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
    django = {"--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color"}
    django |= {"--force-color", "--skip-checks"}
    page = (ROOT / "docs" / "worker.md").read_text("utf-8")
    assert [option for option in sorted(own - django) if option not in page] == []


def test_every_exit_code_of_the_worker_is_told_of() -> None:
    page = (ROOT / "docs" / "worker.md").read_text("utf-8")
    assert [code.name for code in ExitCode if not re.search(rf"\|\s*`?{int(code)}`?\s*\|", page)] == []


@pytest.mark.parametrize(
    "key",
    [
        keys.status_key(7).replace("7", "{id}"),
        keys.ownership_key(7).replace("7", "{id}"),
        keys.stream_key("name").replace("name", "{name}"),
    ],
)
def test_every_redis_key_stands_on_the_map(key: str) -> None:
    assert f"`{key}`" in (ROOT / "activity" / "README.md").read_text("utf-8")


def test_every_file_that_the_map_names_exists() -> None:
    page = (ROOT / "activity" / "README.md").read_text("utf-8")
    table = page.split("## Where to look")[1].split("## The two journeys")[0]
    named = re.findall(r"`([\w./]+\.(?:py|js))`", table)
    js = ROOT / "static" / "js"
    places = (ROOT / "activity", js)
    assert len(named) > 20
    assert [name for name in named if not any((place / name).resolve().exists() for place in places)] == []
