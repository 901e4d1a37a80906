"""Python as a tree: its words, the shapes of its parts, and where its values come from.

tree-sitter reads what does not parse as a whole too, and the Python 2 in older data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

Shape = tuple[str, tuple["Shape", ...]]
#: A variable with the names that its value is made of; or, where its value is read, with
#: none and the kind of expression it is read in.
Relation = tuple[str, tuple[str, ...], str]

_FIRST = ("for_in_clause", "if_clause")
#: Nobody nests deeper; a row of opening brackets does.
_DEEPEST = 150


@dataclass(frozen=True)
class Code:
    """What CodeBLEU compares of a program."""

    words: tuple[str, ...]
    shapes: Counter[Shape]
    data_flow: Counter[Relation]


@lru_cache(maxsize=4096)
def analysed(source: str) -> Code:
    """A program taken apart. One that is nested too deeply has no shapes and no data flow."""
    root = root_of(source)
    if _is_too_deep(root):
        return Code(tuple(source.split()), Counter(), Counter())
    return Code(tuple(words(root)), shapes(root), data_flow(root))


@lru_cache(maxsize=1)
def _parser() -> Parser:
    import tree_sitter_python
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_python.language()))


def root_of(source: str) -> Node:
    """The tree of a program, whole or broken."""
    return _parser().parse(source.encode("utf-8", "replace")).root_node


def words(root: Node) -> list[str]:
    """The words of a program in order, comments left out; a string is one word.

    >>> words(root_of("x=f('a b') # one"))
    ['x', '=', 'f', '(', "'a b'", ')']
    """
    return [text for node in _leaves(root) if (text := _text(node).strip())]


def shapes(root: Node) -> Counter[Shape]:
    """How often every shape of a part occurs: kinds of nodes, without names and comments.

    A part has parts itself; a name or a number alone has no shape.
    """
    found: Counter[Shape] = Counter()

    def visit(node: Node) -> Shape:
        parts = tuple(
            visit(child) for child in node.named_children if child.type != "comment"
        )
        shape = (node.type, parts)
        if parts:
            found[shape] += 1
        return shape

    visit(root)
    return found


def data_flow(root: Node) -> Counter[Relation]:
    """Where values come from, with variables numbered in the order of their appearance.

    A variable is what the program binds: targets of assignments, loops, `with`,
    parameters. Relations are: it is made of these names (an assignment), and: its earlier
    value is read, in an argument, a sum, a `return`. Without that kind every text that
    repeats a name would share in the data flow of every program. Branches and
    loops are followed once, in the order of the text.
    """
    flow = _Flow()
    flow.read(root)
    numbers: dict[str, str] = {}
    for name, sources, _ in flow.relations:
        for one in (name, *sources):
            numbers.setdefault(one, f"var_{len(numbers)}")
    return Counter(
        (numbers[name], tuple(numbers[source] for source in sources), kind)
        for name, sources, kind in flow.relations
    )


@dataclass
class _Flow:
    bound: set[str] = field(default_factory=set)
    relations: list[Relation] = field(default_factory=list)

    def read(self, node: Node) -> None:
        """Follow a part of the program in the order in which it is evaluated."""
        if node.type == "identifier":
            name = _text(node)
            if name in self.bound:
                self.relations.append((name, (), node.parent.type if node.parent else ""))
            return
        if node.type in ("parameters", "lambda_parameters"):
            for parameter in node.named_children:
                if _binding(parameter) is None:
                    self.bound.update(_names(parameter))
                else:
                    self.read(parameter)
            return
        binding = _binding(node)
        if binding is not None:
            target, value, keeps = binding
            if value is not None:
                self.read(value)
            if target is not None:
                self.bind(target, value, keeps=keeps)
            rest = [child for child in node.children if child not in (target, value)]
        else:
            rest = list(_read_children(node))
        for child in rest:
            self.read(child)

    def bind(self, target: Node, value: Node | None, *, keeps: bool) -> None:
        """Give the names in `target` a value made of the names in `value`; with `keeps`
        of their own earlier ones too."""
        sources = tuple(dict.fromkeys(_names(value))) if value is not None else ()
        for name in _names(target):
            made_of = tuple(dict.fromkeys((name, *sources))) if keeps else sources
            if made_of:
                self.relations.append((name, made_of, ""))
            self.bound.add(name)


def _binding(node: Node) -> tuple[Node | None, Node | None, bool] | None:
    """What a node binds, to what, and whether the old value goes into the new one."""
    field_of = node.child_by_field_name
    match node.type:
        case "assignment":
            return field_of("left"), field_of("right"), False
        case "augmented_assignment":
            return field_of("left"), field_of("right"), True
        case "for_statement" | "for_in_clause":
            return field_of("left"), field_of("right"), False
        case "named_expression" | "default_parameter" | "typed_default_parameter":
            return field_of("name"), field_of("value"), False
        case "as_pattern":
            return field_of("alias"), node.named_children[0], False
        case _:
            return None


def _read_children(node: Node) -> Sequence[Node]:
    """The parts of a node that are evaluated, clauses of a comprehension first."""
    match node.type:
        case "attribute":
            return [child for child in (node.child_by_field_name("object"),) if child]
        case "keyword_argument":
            return [child for child in (node.child_by_field_name("value"),) if child]
    return sorted(node.named_children, key=lambda child: child.type not in _FIRST)


def _names(node: Node) -> Iterator[str]:
    """The names in an expression or a target, but not those of attributes and keywords."""
    if node.type == "identifier":
        yield _text(node)
    for child in _read_children(node):
        yield from _names(child)


def _is_too_deep(root: Node) -> bool:
    level, depth = [root], 0
    while level and depth <= _DEEPEST:
        level = [child for node in level for child in node.children]
        depth += 1
    return bool(level)


def _leaves(node: Node) -> Iterator[Node]:
    if node.type == "comment":
        return
    if node.type == "string" or not node.children:
        yield node
        return
    for child in node.children:
        yield from _leaves(child)


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")
