"""What we store in English is recognised when a German reads it, and what others wrote is left alone."""

import ast
from collections.abc import Iterator
from itertools import product
from typing import Final

import pytest
from django.contrib.auth.models import Permission
from django.utils import translation

from activity.audit_signals import _WATCHED
from activity.wire.retold import REASONS, REPORTS, RIGHTS, SUBJECTS, Sentences
from activity.wire.said import Said
from activity.words import spoken
from tests.web import ROOT

#: Where reports are worded: what `_way_of_one`s return and what refuses them, what settles a row, what is not sent.
OBEYING: Final = ("instance/obey.py", "instance/idle.py", "instance/inbox.py")
SETTLING: Final = ("settling.py", "steering.py")
#: A value, in a sentence of which only the rest matters.
VALUE: Final = "7"


def _wordings(node: ast.expr | None) -> Iterator[str]:
    """Every text that the expression may be, with `VALUE` for what only its run knows."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _wordings(node.body)
        yield from _wordings(node.orelse)
    elif isinstance(node, ast.JoinedStr):
        for parts in product(*(list(_part(one)) for one in node.values)):
            yield "".join(parts)


def _part(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        yield str(node.value)
        return
    assert isinstance(node, ast.FormattedValue)
    inner = node.value
    choices = [inner.body, inner.orelse] if isinstance(inner, ast.IfExp) else [inner]
    if isinstance(inner, ast.BoolOp):
        choices = inner.values
    for one in choices:
        yield one.value if isinstance(one, ast.Constant) and isinstance(one.value, str) else VALUE


def _trees(names: tuple[str, ...]) -> Iterator[ast.AST]:
    for name in names:
        yield from ast.walk(ast.parse((ROOT / "activity" / name).read_text(encoding="utf-8")))


def _reports() -> set[str]:
    found: set[str] = set()
    for node in _trees(OBEYING):
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef) and ast.unparse(node.returns or node) == "str":
            if node.name in ("_take", "_filled"):
                continue  # these say nothing to people
            for one in ast.walk(node):
                found.update(_wordings(one.value) if isinstance(one, ast.Return) else ())
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "CannotObey":
            found.update(_wordings(node.args[0]))
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "text":
            found.update(_wordings(node.value))
    for node in _trees(SETTLING):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "text":
            found.update(_wordings(node.value))
        elif isinstance(node, ast.Dict):
            for name, value in zip(node.keys, node.values, strict=True):
                if isinstance(name, ast.Constant) and name.value in ("text", "problem"):
                    found.update(_wordings(value))
    for node in _trees(("store/commands.py",)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "QueueFull":
            found.update(_wordings(node.args[0]))
    return found - {""}


def _recorded(where: int | str) -> set[str]:
    """What `record` is given as its argument of that place or name, in all of the app."""
    found: set[str] = set()
    names = tuple(str(path.relative_to(ROOT / "activity")) for path in (ROOT / "activity").rglob("*.py"))
    for node in _trees(names):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "record":
            given = [word.value for word in node.keywords if word.arg == where]
            if isinstance(where, int):
                given = node.args[where : where + 1]
            found.update(text for one in given for text in _wordings(one))
    return found - {""}


def _template(table: Sentences, text: str) -> str:
    read = table.read(text)
    return read.template if isinstance(read, Said) else ""


def test_every_report_that_we_write_is_recognised() -> None:
    written = _reports()
    assert len(written) > 40
    assert not {text for text in written if not _template(REPORTS, text)}


def test_no_sentence_is_kept_that_nobody_writes() -> None:
    written = {_template(REPORTS, text) for text in _reports()}
    ours = REPORTS.templates[: REPORTS.templates.index("%(where)s: %(what)s")]
    assert not set(ours) - written


def test_every_subject_and_reason_of_an_event_is_recognised() -> None:
    subjects = _recorded(1) | {f"{model._meta.verbose_name_raw} {VALUE}" for model in _WATCHED}
    exports = {f"{name} as csv" for name in ("entries", "commands", "claims", "audit")}
    subjects = {text for text in subjects if not text.startswith(VALUE)} | exports
    reasons = _recorded("reason")
    assert (len(_recorded(1)) > 3, len(reasons) > 1) == (True, True)
    assert not {text for text in subjects if not _template(SUBJECTS, text)}
    assert not {text for text in reasons if not _template(REASONS, text)}


@pytest.mark.django_db
def test_every_name_of_a_right_is_recognised() -> None:
    names = set(Permission.objects.values_list("name", flat=True))
    assert "Can view exchange" in names
    assert not {name for name in names if not _template(RIGHTS, name)}


@pytest.mark.parametrize(
    ("table", "english", "german"),
    [
        (
            REPORTS,
            "a@example.org answers for it, shown from its next heartbeat on",
            "a@example.org ist verantwortlich, zu sehen ab dem nächsten Herzschlag",
        ),
        (
            REPORTS,
            "nobody answers for it, shown from its next heartbeat on",
            "niemand ist verantwortlich, zu sehen ab dem nächsten Herzschlag",
        ),
        (REPORTS, "mode live, the program was started anew", "Modus live, das Programm wurde neu gestartet"),
        (
            REPORTS,
            "not sent: 500 commands wait for this instance already",
            "nicht gesendet: es warten schon 500 Befehle auf diese Instanz",
        ),
        (REPORTS, "the hook ended with exit code 3: told", "der Hook endete mit Code 3: told"),
        (SUBJECTS, "stop to instance 1f", "stop an Instanz 1f"),
        (RIGHTS, "Can view exchange", "Darf ansehen: Börse"),
    ],
)
def test_a_sentence_is_said_in_german(table: Sentences, english: str, german: str) -> None:
    with translation.override("de"):
        assert spoken(table.read(english)) == german
    with translation.override("en"):
        assert spoken(table.read(english)) == english


def _depth(read: object) -> int:
    """Sentences within sentences."""
    return 1 + max(map(_depth, read.facts.values()), default=0) if isinstance(read, Said) else 0


@pytest.mark.parametrize("text", ["not sent: " * 200, "payload: " * 222, "not sent: " * 99 + "it is not paused"])
def test_a_report_that_repeats_itself_is_read_a_few_sentences_deep_and_the_rest_as_it_was_written(text: str) -> None:
    read = REPORTS.read(text)
    assert 1 < _depth(read) <= 4
    with translation.override("en"):
        assert spoken(read) == text
    with translation.override("de"):
        assert spoken(read).endswith(text[-100:])


@pytest.mark.parametrize("text", ["", "fertig", "started, more or less", "100%(count)s", "x" * 100_000])
def test_words_of_others_stay_as_they_are(text: str) -> None:
    with translation.override("de"):
        assert spoken(REPORTS.read(text)) == text
