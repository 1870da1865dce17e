"""Parts that a page has many times are rendered once and stamped: what comes out is what Django renders one by one."""

import random
import re
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from django.template import Context, Engine, Template, TemplateSyntaxError
from django.utils import translation

from activity.cards import Card, Condition
from activity.rows import KINDS, Row
from activity.templatetags import stamped
from tests.web import ROOT

NOW = datetime(2026, 11, 22, 14, 31, 38, tzinfo=UTC)
AT = int(NOW.timestamp() * 1000) - 33_000
NASTY = "<b>\0001\0 & \"quotes\" '%(name)s' {{ c.name }}"


def cards() -> list[Card]:
    """One of each condition with all facts, one with none, and some with one or the other."""
    chance = random.Random(7)
    found: list[Card] = []
    for cond in get_args(Condition):
        for share in (0, 0.5, 0.5, 1):
            facts: dict[str, Any] = {}
            for name, kind in Card.__annotations__.items():
                if name not in ("cond", "name", "url", "status_key", "interval") and chance.random() < share:
                    facts[name] = AT - len(facts) if "int" in str(kind) else chance.choice([NASTY, "11", "plain"])
            found.append(
                Card(f"x-{len(found)}", f"/exchanges/x-{len(found)}/", "exchange:1:status", cond=cond, **facts)
            )
    return found


def rows() -> list[Row]:
    full = {"exchange": "kraken", "lead": NASTY, "rest": NASTY, "host": "h", "epoch": "1", "raw": NASTY, "words": NASTY}
    return [row for kind in KINDS for row in (Row(kind), Row(kind, id="1-2", at=NOW, taken=NOW, skew="+3 s", **full))]


def text(source: str, **context: Any) -> str:
    said = Template("{% load stamped %}" + source).render(Context({"now": NOW, **context}))
    return even(said)


def even(said: str) -> str:
    return re.sub(r"\s*\n\s*", "\n", said).strip()  # a stamp keeps no indentation


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("part", ["parts/card.html", "parts/tile.html", "parts/notes.html"])
def test_a_stamped_card_says_what_a_rendered_one_says(part: str, language: str) -> None:
    with translation.override(language):
        for one in cards():
            stamped = text(f'{{% stamped "{part}" c cards %}}', cards=[one])
            assert stamped == text(f'{{% include "{part}" %}}', c=one)


def test_a_hundred_stamped_cards_stand_in_their_order() -> None:
    together = text('{% stamped "parts/card.html" c cards %}', cards=cards())
    assert together == "\n".join(text('{% include "parts/card.html" %}', c=one) for one in cards())


def test_a_stamped_row_says_what_a_rendered_one_says() -> None:
    together = text('{% stamped "parts/row.html" e rows by kind %}', rows=rows())
    assert together == "\n".join(text('{% include "parts/row.html" %}', e=row) for row in rows())


def test_what_a_card_says_cannot_stand_for_markup_or_for_a_place_of_the_stamp() -> None:
    one = Card("x", "/", "exchange:1:status", NASTY, "fresh", state="active", host=NASTY, error=NASTY)
    said = text('{% stamped "parts/card.html" c cards %}', cards=[one])
    assert "<b>\0" not in said
    assert said.count("&lt;b&gt;\0001\0 &amp; &quot;quotes&quot;") >= 3


@pytest.mark.parametrize("said", ["c.error", "c.error == 'x'", "'x' in c.error", "c.error and c.state", "not c.error"])
def test_a_part_that_decides_by_what_its_item_says_is_refused(said: str) -> None:
    with pytest.raises(TypeError, match="may not decide by what its item says"):
        stamp_of(f"{{% if {said} %}}so{{% endif %}}")


def stamp_of(part: str) -> str:
    parts = {"part.html": part, "page.html": "{% stamped 'part.html' c cards %}"}
    loader = ("django.template.loaders.locmem.Loader", parts)
    engine = Engine(loaders=[loader], builtins=[stamped.__name__])
    return engine.get_template("page.html").render(Context({"cards": cards()}))


def test_the_parts_that_are_stamped_use_no_filter_and_no_loop_on_what_their_item_says() -> None:
    """Some of these the stamp cannot notice: `|upper` of a place is that place."""
    seen: set[str] = set()
    parts = ["card", "tile", "notes", "row"]
    while parts:
        name = parts.pop()
        source = (ROOT / f"templates/parts/{name}.html").read_text()
        seen.add(name)
        parts += set(re.findall(r'"parts/(\w+)\.html"', source)) - seen
        for tag in re.findall(r"{[{%].*?[%}]}", source):
            filtered = re.search(r"\b[ce]\.\w+\|", tag)
            decides = re.match(r"{% (if|elif|for|with)\b.*\b[ce]\.(?!kind\b)", tag) and "if linked and" not in tag
            assert [filtered, bool(decides)] == [None, False], (name, tag)
    assert seen >= {"card", "lostbar", "situation", "entry"}


def test_a_filter_that_takes_apart_what_an_item_says_is_refused() -> None:
    with pytest.raises(TypeError, match="may not take apart"):
        stamp_of("{{ c.error|make_list|first }}")


@pytest.mark.parametrize(
    "source",
    ["{% stamped 'a' c %}", "{% stamped 'a' c cards with kind %}", "{% kept 'a' %}", "{% kept 'a' noted %}"],
)
def test_a_stamp_that_is_written_wrongly_says_how_it_is_written(source: str) -> None:
    with pytest.raises(TemplateSyntaxError, match="takes a part"):
        Template("{% load stamped %}" + source)
