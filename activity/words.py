"""Texts and numbers in the language of the page that is made."""

from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext

from activity.wire.said import Said


def spoken(words: object) -> str:
    """What was said in English where nothing knows of languages, an error too. Other texts stay as they are."""
    if isinstance(words, BaseException):
        words = words.args[0] if len(words.args) == 1 else str(words)
    if not isinstance(words, Said):
        return str(words)
    facts: dict[str, Any] = {
        name: spoken(fact) if isinstance(fact, Said) else fact for name, fact in words.facts.items()
    }
    return gettext(words.template) % facts if facts else gettext(words.template)


def number(value: float, decimals: int = 0) -> str:
    """With the thousands apart and as many decimals."""
    return number_format(round(value, decimals) if decimals else round(value), decimals, force_grouping=True)
