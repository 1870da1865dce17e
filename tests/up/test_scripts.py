"""What `make` needs on a machine, and what it says where that is missing."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.up.running import ROOT, clean_environment


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what `make install` reads, without a .venv."""
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(clone: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", *arguments],
        cwd=clone,
        env=clean_environment() | {"MAKEFLAGS": "", "MAKELEVEL": ""},  # `make test` is not their parent
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def python(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_make_alone_lists_what_there_is() -> None:
    answer = make(ROOT)
    assert answer.returncode == 0
    for target in ("run", "test", "lint", "lock", "schemas"):
        assert f"make {target} " in answer.stdout


def test_a_python_that_is_too_old_is_named(clone: Path) -> None:
    old = python(clone / "old", '[ "$1" = --version ] && echo "Python 3.9.2" && exit 0; exit 1')
    answer = make(clone, "run", f"PYTHON={old}")
    assert answer.returncode != 0
    assert "Perseus needs Python 3.11 or newer. Found: Python 3.9.2" in answer.stdout
    assert not (clone / ".venv").exists()


def test_a_python_without_its_venv_module_is_named_with_the_package_to_install(clone: Path) -> None:
    bare = python(clone / "bare", f'case "$2" in "import venv"*) exit 1;; esac; exec {sys.executable} "$@"')
    answer = make(clone, "run", f"PYTHON={bare}")
    assert answer.returncode != 0
    assert "its venv module is missing" in answer.stdout
    assert f"apt-get install python3.{sys.version_info.minor}-venv" in answer.stdout
    assert not (clone / ".venv").exists()


def test_an_unchanged_lock_installs_nothing_and_a_changed_one_is_noticed(clone: Path) -> None:
    (clone / "requirements.txt").write_text("")
    first = make(clone, "install")
    assert first.returncode == 0, first.stdout
    assert "Making .venv" in first.stdout
    assert make(clone, "install").stdout == ""
    # Without a hash: that pip refuses it proves that it was read, and that hashes are required.
    with zipfile.ZipFile(clone / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "")
    (clone / "requirements.txt").write_text(f"tiny @ {(clone / 'tiny-1.0-py3-none-any.whl').as_uri()}\n")
    answer = make(clone, "install")
    assert answer.returncode != 0
    assert "hash" in answer.stdout.lower()


def test_missing_programs_are_all_named_with_the_line_that_installs_them(clone: Path) -> None:
    tools = clone / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "xargs", "sed", "id", "env", "echo"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    answer = subprocess.run(
        [clone / ".ci" / "system"],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert answer.returncode == 1
    wanted = ["redis-server", "chromium", "nodejs", "npm", "openssl"]
    (line,) = [line for line in answer.stderr.splitlines() if "sudo apt-get install" in line]
    assert set(wanted) <= set(line.split())


def test_the_scripts_can_be_run() -> None:
    scripts = sorted((ROOT / ".ci").iterdir())
    assert [path.name for path in scripts if not os.access(path, os.X_OK)] == []
