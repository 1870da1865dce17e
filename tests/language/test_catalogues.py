"""The catalogues are current and complete, and what is compiled is what is written."""

import gettext
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.web import ROOT

MESSAGES: Final = Path("activity", "locale", "de", "LC_MESSAGES")
DOMAINS: Final = ("django", "djangojs")
_PARTS: Final = re.compile(r"%\(\w+\)[sd]|%[sd]|</?\w+>")


@pytest.fixture(scope="module")
def gathered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogues of a copy of this tree, gathered anew."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("activity", "perseus_admin", "templates", "static", ".ci"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", copy)
    (copy / ".venv").symlink_to((ROOT / ".venv").resolve())
    subprocess.run([copy / ".ci" / "messages"], check=True, capture_output=True)
    return copy / MESSAGES


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_message_of_the_code_is_translated(gathered: Path, domain: str) -> None:
    # Fails for a message that is missing, fuzzy or empty.
    ours = ROOT / MESSAGES / f"{domain}.po"
    told = subprocess.run(["msgcmp", ours, gathered / f"{domain}.po"], capture_output=True, text=True)
    assert told.returncode == 0, f"{told.stderr}\nRun `make messages` and translate what it found."


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_message_is_left_that_nothing_says(gathered: Path, domain: str) -> None:
    for folder in (ROOT / MESSAGES, gathered):
        gone = re.findall(r"^#~ msgid .*", (folder / f"{domain}.po").read_text(encoding="utf-8"), re.MULTILINE)
        assert not gone, folder


def _said_by(compiled: Path) -> str:
    return subprocess.check_output(["msgunfmt", "--sort-output", compiled], text=True)


@pytest.mark.parametrize("domain", DOMAINS)
def test_what_is_compiled_is_what_is_written(tmp_path: Path, domain: str) -> None:
    compiled = tmp_path / f"{domain}.mo"
    subprocess.run(["msgfmt", "--check", "-o", compiled, ROOT / MESSAGES / f"{domain}.po"], check=True)
    assert _said_by(compiled) == _said_by(ROOT / MESSAGES / f"{domain}.mo")


@pytest.mark.parametrize("domain", DOMAINS)
def test_translations_keep_placeholders_and_tags(domain: str) -> None:
    with (ROOT / MESSAGES / f"{domain}.mo").open("rb") as file:
        catalogue: dict[str | tuple[str, int], str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    wrong = {}
    for key, translated in catalogue.items():
        message = key if isinstance(key, str) else key[0]
        if message and sorted(_PARTS.findall(message)) != sorted(_PARTS.findall(translated)):
            wrong[message] = translated
    assert not wrong
