"""docs/worker.md tells every option, exit code and variable of the worker."""

import re

from activity.instance.exits import ExitCode
from activity.instance.program import NOT_INHERITED
from activity.management.commands.worker import Command
from perseus_admin.config import BASE_DIR

TEXT = (BASE_DIR / "docs" / "worker.md").read_text("utf-8")
#: Options that every command of Django has.
COMMON = {"--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color"}


def test_every_option_is_documented_and_no_other() -> None:
    parser = Command().create_parser("manage.py", "worker")
    options = {name for action in parser._actions for name in action.option_strings if name.startswith("--")}
    documented = set(re.findall(r"`(--[a-z-]+)", TEXT))
    assert documented - {"--"} == options - COMMON - {"--force-color", "--skip-checks"}


def test_every_exit_code_is_documented() -> None:
    for code in ExitCode:
        assert f"| {int(code)} | {code.name} |" in TEXT


def test_every_variable_that_the_program_does_not_inherit_is_documented() -> None:
    for name in NOT_INHERITED:
        assert f"`{name}`" in TEXT
