"""The rooms of the package, and the one direction in which they know each other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import peftbench

PACKAGE = Path(str(peftbench.__file__)).parent

#: From the question to the page: a room may import those above it, and none below.
ROOMS = (
    "spec",
    "tasks",
    "models",
    "encoding",
    "methods",
    "training",
    "evaluation",
    "cost",
    "store",
    "planning",
    "search",
    "engine",
    "scoring",
    "imports",
    "published",
    "report",
    "testing",  # also of what commands check for others
    "api",
    "cli",
)
#: Files that belong to no room and know none but `spec`: anybody may use them.
SHARED = ("catalogue", "errors", "manifest", "reading", "visible")
#: Who is asked from above only: the package itself, and its ways in.
ENTRANCES = ("__init__", "__main__", "_peft")
#: Other files beside `api.py` that are of its room.
OF_API = ("evidence", "news", "results")


def room_of(path: Path) -> str:
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "api" if name in OF_API else name


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """What a file imports of the package, wherever in it: (room, line)."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        modules = []
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module]
            if node.module == "peftbench":
                modules = [f"peftbench.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        for module in modules:
            first, _, rest = module.partition(".")
            if first == "peftbench" and rest:
                name = rest.split(".")[0]
                yield "api" if name in OF_API else name, node.lineno


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_folder_and_file_is_a_known_room() -> None:
    found = {room_of(path) for path in FILES}
    assert found == {*ROOMS, *SHARED, *ENTRANCES}


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_up_the_list_of_rooms(room: str) -> None:
    above = {*ROOMS[: ROOMS.index(room) + 1], *SHARED, "__version__"}
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} imports {other}"
        for path in FILES
        if room_of(path) == room
        for other, line in imported(path)
        if other not in above
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", SHARED)
def test_what_all_share_knows_no_room_but_spec(name: str) -> None:
    found = {other for other, _ in imported(PACKAGE / f"{name}.py")}
    assert found <= {"spec", *SHARED}
