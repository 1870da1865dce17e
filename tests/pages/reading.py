"""Looks at a page as a reader does: what is shown, not what is hidden."""

from html.parser import HTMLParser
from typing import Protocol

_VOID = {"br", "input", "link", "meta", "rect", "circle", "use", "path"}


class Node:
    """One element."""

    def __init__(self, tag: str, attributes: dict[str, str | None], parent: "Node | None") -> None:
        self.tag = tag
        self.attributes = attributes
        self.parent = parent
        self.children: list[Node | str] = []

    def all(self, **wanted: str | None) -> list["Node"]:
        """Elements below with these attributes (`data_id` stands for data-id; None: the attribute is there)."""
        found = []
        for child in self.children:
            if isinstance(child, Node):
                if child.has(**wanted):
                    found.append(child)
                found += child.all(**wanted)
        return found

    def one(self, **wanted: str | None) -> "Node":
        """The only such element."""
        found = self.all(**wanted)
        assert len(found) == 1, f"{len(found)} elements with {wanted}"
        return found[0]

    def has(self, **wanted: str | None) -> bool:
        """Whether this element has the attributes, or the `tag`."""
        for name, value in wanted.items():
            if name == "tag":
                if self.tag != value:
                    return False
                continue
            key = name.rstrip("_").replace("_", "-")
            if key not in self.attributes or (value is not None and self.attributes[key] != value):
                return False
        return True

    @property
    def text(self) -> str:
        """The text that is shown: without hidden parts, templates and scripts, white space as a browser shows it."""
        return " ".join(self._shown().replace("\u00a0", " ").split())

    def _shown(self) -> str:
        if "hidden" in self.attributes or self.tag in ("template", "script", "style"):
            return ""
        inner = "".join(child if isinstance(child, str) else child._shown() for child in self.children)
        return f" {inner} " if self.tag in ("div", "li", "p", "dt", "dd", "h1", "h2", "h3", "summary", "pre") else inner


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = self.here = Node("", {}, None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, dict(attrs), self.here)
        self.here.children.append(node)
        if tag not in _VOID:
            self.here = node

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        assert self.here.tag == tag, f"</{tag}> closes <{self.here.tag}>"
        assert self.here.parent is not None
        self.here = self.here.parent

    def handle_data(self, data: str) -> None:
        self.here.children.append(data)


class Answer(Protocol):
    """What the test client got."""

    @property
    def content(self) -> bytes:
        """The body."""


def page_of(answer: Answer) -> Node:
    """The document of an answer. Fails where an element is not closed by its own tag."""
    return document(answer.content.decode())


def document(html: str) -> Node:
    """The same of its text."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    assert parser.here is parser.root, f"<{parser.here.tag}> is never closed"
    return parser.root


def card(page: Node, name: str) -> Node:
    """The card, or the head, of an exchange."""
    return page.one(data_card=name)


def rows(page: Node) -> list[Node]:
    """The rows of the feed; the templates of live rows are not among them."""
    return page.one(data_rows=None).all(class_="entry")
