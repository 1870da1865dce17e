"""A language in which every message stands in brackets: whatever stands outside of them could not be translated."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from django.conf import settings
from django.test import override_settings
from django.utils import translation
from django.utils.translation import trans_real

OPEN, CLOSE = "⟦", "⟧"
#: Its code: one of a language that no library speaks, so that nothing is kept of it for a page in another.
CODE: Final = "la"
#: Not messages but lists of words, which code takes apart.
_LISTS: Final = frozenset({"yes,no,maybe"})
#: What stands in these is code, data, or nothing that is read.
_UNREAD: Final = frozenset({"script", "style", "code", "pre", "kbd", "textarea", "svg"})
_VOID: Final = frozenset({"br", "hr", "img", "input", "link", "meta"})
_SAID_BY_ATTRIBUTES: Final = ("aria-label", "title", "placeholder", "alt")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _messages() -> Iterator[str]:
    """Every message that a German catalogue has, ours and those of the libraries, as an entry in brackets."""
    known: dict[str, set[int]] = {}
    for catalogue in trans_real.translation("de")._catalog._catalogs:  # type: ignore[attr-defined]
        for key in catalogue:
            name, form = key if isinstance(key, tuple) else (key, -1)
            known.setdefault(name, set()).add(form)
    for name, forms in known.items():
        context, _, message = name.rpartition("\x04")
        if not message or message in _LISTS:
            continue
        # A newline at either end stands at the same end of the translation, as msgfmt asks for.
        body = message.strip("\n")
        said = message.replace(body, f"{OPEN}{body}{CLOSE}") if body else message
        head = f"msgctxt {_quoted(context)}\n" if context else ""
        if forms == {-1}:
            yield f"{head}msgid {_quoted(message)}\nmsgstr {_quoted(said)}\n"
        else:
            forms_said = "".join(f"msgstr[{form}] {_quoted(said)}\n" for form in (0, 1))
            yield f"{head}msgid {_quoted(message)}\nmsgid_plural {_quoted(message)}\n{forms_said}"


@contextmanager
def language_of_brackets(folder: Path) -> Iterator[None]:
    """Within the block it is one of the site's languages, and the present one. Its catalogue is made in the folder."""
    messages = folder / CODE / "LC_MESSAGES"
    messages.mkdir(parents=True)
    head = (
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\nPlural-Forms: nplurals=2; plural=(n != 1);\\n"\n'
    )
    (messages / "django.po").write_text("\n".join([head, *_messages()]), encoding="utf-8")
    subprocess.run(["msgfmt", "-o", messages / "django.mo", messages / "django.po"], check=True)
    site = {"LOCALE_PATHS": [folder, *settings.LOCALE_PATHS], "LANGUAGES": [*settings.LANGUAGES, (CODE, "Brackets")]}
    with override_settings(**site), translation.override(CODE):
        yield


class _Reader(HTMLParser):
    """Collects what is said, outside of brackets."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self._depth = 0
        self._unread: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            said = name in _SAID_BY_ATTRIBUTES
            if value and (said or (name == "value" and tag == "input" and ("type", "submit") in attrs)):
                self.outside.append(_outside(value, 0)[0])
        if tag in _UNREAD and tag not in _VOID:
            self._unread.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._unread and self._unread[-1] == tag:
            self._unread.pop()

    def handle_data(self, data: str) -> None:
        if not self._unread:
            text, self._depth = _outside(data, self._depth)
            self.outside.append(text)


def _outside(text: str, depth: int) -> tuple[str, int]:
    """What of the text stands outside of brackets, and how many are open behind it."""
    kept = []
    for char in text:
        depth += (char == OPEN) - (char == CLOSE)
        kept.append(" " if depth or char == CLOSE else char)
    return "".join(kept), depth


def untranslatable(page: str, data: re.Pattern[str]) -> list[str]:
    """The texts of a page that have a letter outside of brackets, once what is data has been taken out of them."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    found = (data.sub(" ", " ".join(text.split())) for text in reader.outside)
    return [text for text in found if any(char.isalpha() for char in text)]
