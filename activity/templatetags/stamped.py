"""One part of a page for many cards: rendered once with holes where a card's facts go, then stamped once per card.

A card has some 120 tags. Rendered by Django one after the other, a hundred cards took 150 ms of the 100 that the page
may take; stamped they take 15.

A part that is stamped says everything about its card through ``{{ c.fact }}`` and the tags of perseus.py. It has no
``{% if %}`` about a card: what a card does not have is there and hidden, so that the page's scripts can show it.
"""

import functools
import operator
import re
from collections.abc import Callable
from typing import Any, Final

from django import template
from django.template.base import FilterExpression, Node, Parser, Token, render_value_in_context
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString

register = template.Library()

_MARK: Final = re.compile("\0(\\d+)\0")
_INDENTED: Final = re.compile(r"\n\s+")

#: What stands in a hole, given the item.
_Filler = Callable[[Any], Any]


class _Hole(SafeString):
    """Marks the place of what is not known before there is an item. Who decides by it spoils the stamp."""

    stamp: "_Stamp"
    filler: _Filler

    def _decide(self, *_others: object) -> bool:
        self.stamp.spoilt = True  # an exception would be taken for False: {% if %} swallows those of its operators
        return False

    __bool__ = __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __contains__ = _decide
    __hash__ = SafeString.__hash__


class _Stamp:
    """In place of the item while the part is rendered: gives a hole for each of its attributes."""

    def __init__(self, **known: Any) -> None:
        """`known` are the attributes that all of its items share: by these the part may decide."""
        self._fillers: list[_Filler] = []
        self._known = known
        self.spoilt = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._known[name] if name in self._known else self.hole(operator.attrgetter(name))

    def hole(self, filler: _Filler) -> _Hole:
        hole = _Hole(f"\0{len(self._fillers)}\0")
        hole.stamp, hole.filler = self, filler
        self._fillers.append(filler)
        return hole

    def press(self, part: str, context: template.Context) -> Callable[[Any], SafeString]:
        """What makes the rendered part an item's. Raises TypeError for what is not the same for all."""
        if self.spoilt:
            raise TypeError(
                "a stamped part may not decide by what its item says: use `when`, `with_`, `without`, `kept`"
            )
        texts = _MARK.split(_INDENTED.sub("\n", part))  # the indentation of a card is 500 bytes
        if any("\0" in text for text in texts[::2]):
            raise TypeError("a stamped part may not take apart what its item says, as a filter does")
        first = texts[0]
        places = [(self._fillers[int(number)], text) for number, text in zip(texts[1::2], texts[2::2], strict=True)]

        def pressed(item: Any) -> SafeString:
            pieces = [first]
            for filler, text in places:
                said = filler(item)
                # What a tag says is safe by now; looking again took a quarter of the time.
                pieces += (said if type(said) is SafeString else render_value_in_context(said, context), text)
            return SafeString("".join(pieces))

        return pressed


def stampable(tag: Callable[..., Any]) -> Callable[..., Any]:
    """A tag's function that leaves a hole where an argument waits for an item."""

    @functools.wraps(tag)
    def call(*arguments: Any) -> Any:
        for argument in arguments:
            if isinstance(argument, _Hole | _Stamp):
                stamp = argument if isinstance(argument, _Stamp) else argument.stamp
                return stamp.hole(_filler(tag, arguments))
        return tag(*arguments)

    return call


def _filler(tag: Callable[..., Any], arguments: tuple[Any, ...]) -> _Filler:
    # A tag asks for one thing of its item: the item, or a fact of it.
    (place,) = (at for at, argument in enumerate(arguments) if isinstance(argument, _Hole | _Stamp))
    before, asked, after = arguments[:place], arguments[place], arguments[place + 1 :]
    way = asked.filler if isinstance(asked, _Hole) else None

    def fill(item: Any) -> Any:
        said = tag(*before, item if way is None else way(item), *after)
        return said if type(said) is SafeString else conditional_escape(said)

    return fill


class _Stamped(Node):
    def __init__(self, part: str, name: str, items: FilterExpression, by: str | None) -> None:
        self._part = part
        self._name = name
        self._items = items
        self._by = by

    def render(self, context: template.Context) -> str:
        presses: dict[Any, Callable[[Any], SafeString]] = {}
        pieces: list[str] = []
        for item in self._items.resolve(context):
            kind = None if self._by is None else getattr(item, self._by)
            if kind not in presses:
                stamp = _Stamp() if self._by is None else _Stamp(**{self._by: kind})
                presses[kind] = stamp.press(_render(self._part, context, **{self._name: stamp}), context)
            pieces.append(presses[kind](item))
        return SafeString("".join(pieces))


class _Kept(Node):
    def __init__(self, part: str, name: str, fact: str) -> None:
        self._part = part
        self._name = name
        self._fact = fact

    def render(self, context: template.Context) -> str:
        item = context[self._name]
        if not isinstance(item, _Stamp):
            return _render(self._part, context) if getattr(item, self._fact) else ""
        stamp = _Stamp()
        pressed = stamp.press(_render(self._part, context, **{self._name: stamp}), context)
        return item.hole(lambda one: pressed(one) if getattr(one, self._fact) else SafeString(""))


def _render(name: str, context: template.Context, **more: Any) -> SafeString:
    assert context.template is not None  # it is being rendered
    part = context.template.engine.get_template(name)
    with context.push(**more):
        return part.render(context)


@register.tag
def stamped(parser: Parser, token: Token) -> Node:
    """``{% stamped "parts/card.html" c group %}``: the part for each item of the group, which it knows as `c`.

    ``{% stamped "parts/row.html" e rows by kind %}``: the same, and the part may decide by ``e.kind``.
    """
    words = token.split_contents()[1:]
    if len(words) not in (3, 5) or words[3:4] not in ([], ["by"]):
        raise template.TemplateSyntaxError('stamped takes a part, a name, a list: "parts/card.html" c cards [by fact]')
    return _Stamped(words[0].strip("\"'"), words[1], parser.compile_filter(words[2]), words[4] if words[4:] else None)


@register.tag
def kept(_parser: Parser, token: Token) -> Node:
    """``{% kept "parts/notes.html" c.noted %}``: the part where the fact holds; the page's scripts add it later."""
    words = token.split_contents()[1:]
    if len(words) != 2 or words[1].count(".") != 1:
        raise template.TemplateSyntaxError('kept takes a part and a fact: "parts/notes.html" c.noted')
    name, _, fact = words[1].partition(".")
    return _Kept(words[0].strip("\"'"), name, fact)
