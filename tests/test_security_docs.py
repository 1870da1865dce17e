"""docs/security.md names tests that exist, and what a deployment over TLS is checked for."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = (ROOT / "docs" / "security.md").read_text("utf-8")


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", DOCUMENT))))
def test_every_test_that_is_named_exists(named: str) -> None:
    path, _, function = named.partition("::")
    text = (ROOT / path).read_text("utf-8")
    assert not function or re.search(rf"^(?:async )?def {function}\(", text, re.MULTILINE), named


def test_a_deployment_over_tls_passes_djangos_own_check(tmp_path: Path) -> None:
    (tmp_path / "secret-key").write_text("only read by the check, and long enough for it: 0123456789abcdefghij")
    environment = {
        "PATH": os.environ["PATH"],
        "PERSEUS_DATA": str(tmp_path),
        "PERSEUS_ORIGINS": "https://perseus.example",
        "PERSEUS_ALLOWED_HOSTS": "perseus.example",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_locked_with_its_hash(lock: str) -> None:
    blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / lock).read_text("utf-8"))
    wanted = [block for block in blocks if re.match(r"[a-z0-9._\[\]-]+==", block)]
    assert len(wanted) > 20
    assert [block.split()[0] for block in wanted if "--hash=sha256:" not in block] == []
