"""A file's name is its name: found in the folder, in plug-in files, in other packages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from peftbench import catalogue, methods, tasks
from peftbench.catalogue import PLUGINS_VARIABLE, Catalogue
from peftbench.errors import InvalidSpec, PeftbenchError, UnknownName
from peftbench.evaluation import metrics

Plug = Callable[..., Path]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any) -> str:
    """An importable package with two public modules and a private one."""
    name = f"shelf_{abs(hash(request.node.name))}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "big_red.py").write_text("THING = 'red'\n")
    (folder / "blue.py").write_text("THING = 'blue'\n")
    (folder / "empty.py").write_text("OTHER = 1\n")
    (folder / "_hidden.py").write_text("THING = 'hidden'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


@pytest.fixture
def things(package: str) -> Catalogue[str]:
    return Catalogue("thing", package, "THING", separator="-")


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Write a plug-in file and name it, and those before it, in the environment."""
    paths: list[str] = []

    def write(name: str, text: str, folder: str = "plugins") -> Path:
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        paths.append(str(path))
        monkeypatch.setenv(PLUGINS_VARIABLE, os.pathsep.join(paths))
        return path

    return write


@pytest.fixture
def announce(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Make an installed package announce a thing under an entry point."""

    def entry_points(*, group: str) -> list[EntryPoint]:
        return [EntryPoint(name, value, group) for name, value in found if group[-1] == "s"]

    found: list[tuple[str, str]] = []
    monkeypatch.setattr(catalogue, "entry_points", entry_points)
    return lambda name, value: found.append((name, value))


def test_names_are_those_of_the_public_files_in_the_folder(things: Catalogue[str]) -> None:
    assert things.names() == ("big-red", "blue", "empty")


@pytest.mark.parametrize("kind", [tasks, methods, metrics])
def test_a_catalogue_of_the_package_lists_exactly_its_files(kind: ModuleType) -> None:
    folder = Path(str(kind.__file__)).parent
    files = [path.stem for path in folder.glob("*.py") if path.stem[0] != "_"]
    assert sorted(name.replace("-", "_") for name in kind.names()) == sorted(files)
    assert len(files) >= 5


def test_both_spellings_of_a_name_find_it(things: Catalogue[str]) -> None:
    assert things.get("big-red") == things.get("big_red") == "red"
    assert things.canonical("big_red") == "big-red"


def test_listing_imports_nothing(things: Catalogue[str], package: str) -> None:
    things.names()
    assert f"{package}.blue" not in sys.modules
    things.get("blue")
    assert f"{package}.blue" in sys.modules


def test_an_unknown_name_is_refused_with_the_nearest(things: Catalogue[str]) -> None:
    with pytest.raises(UnknownName, match=r"Unknown thing 'bleu'\. Did you mean 'blue'\?"):
        things.get("bleu")


@pytest.mark.parametrize("name", ["_hidden", "", "..", "blue.py", "os", "__init__"])
def test_only_listed_names_are_imported(things: Catalogue[str], name: str) -> None:
    with pytest.raises(UnknownName):
        things.get(name)


def test_a_file_without_its_object_is_refused(things: Catalogue[str]) -> None:
    with pytest.raises(InvalidSpec, match=r"empty\.py defines no THING; a thing file must"):
        things.get("empty")


@pytest.mark.parametrize(
    "text",
    ["THING = 'green'\n", "# mine\nTHING: str = 'green'\n", "import os\nTHING='green'\n"],
)
def test_a_plug_in_file_is_found_by_its_name(
    things: Catalogue[str], plug: Plug, text: str
) -> None:
    plug("dark_green.py", text)
    assert "dark-green" in things.names()
    assert things.get("dark-green") == things.get("dark_green") == "green"


def test_several_plug_in_files_are_found(things: Catalogue[str], plug: Plug) -> None:
    plug("one.py", "THING = '1'\n")
    plug("two.py", "THING = '2'\n", folder="elsewhere")
    assert (things.get("one"), things.get("two")) == ("1", "2")


def test_a_plug_in_file_of_another_kind_is_passed_over(
    things: Catalogue[str], plug: Plug
) -> None:
    plug("other.py", "METHOD = 1\nODD_THING = 1\nX = 'THING = 2'\n")
    assert "other" not in things.names()


def test_listing_does_not_run_a_plug_in_file(
    things: Catalogue[str], plug: Plug, tmp_path: Path
) -> None:
    plug(
        "eager.py",
        f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\nTHING = 1\n",
    )
    things.names()
    assert not (tmp_path / "ran").exists()
    things.get("eager")
    assert (tmp_path / "ran").exists()


def test_a_plug_in_file_runs_once(things: Catalogue[str], plug: Plug) -> None:
    plug("object_here.py", "THING = object()\n")
    assert things.get("object-here") is things.get("object-here")


def test_two_plug_in_files_of_one_name_are_refused(
    things: Catalogue[str], plug: Plug
) -> None:
    first = plug("same.py", "THING = 1\n")
    second = plug("same.py", "THING = 2\n", folder="elsewhere")
    with pytest.raises(InvalidSpec, match="Two things are called 'same'") as caught:
        things.names()
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)


def test_a_plug_in_file_may_be_named_twice(things: Catalogue[str], plug: Plug) -> None:
    plug("again.py", "THING = 'one'\n")
    plug("again.py", "THING = 'one'\n")
    assert things.get("again") == "one"


def test_a_plug_in_file_cannot_take_the_name_of_a_shipped_one(
    things: Catalogue[str], plug: Plug
) -> None:
    """It would share its cells: results of one would be shown as those of the other."""
    plug("blue.py", "THING = 'other blue'\n")
    with pytest.raises(InvalidSpec, match="Two things are called 'blue'"):
        things.get("blue")


def test_an_entry_point_cannot_take_the_name_of_a_shipped_one(
    things: Catalogue[str], announce: Callable[[str, str], None]
) -> None:
    announce("blue", "math:pi")
    with pytest.raises(InvalidSpec, match="Two things are called 'blue'"):
        things.names()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("THING = \n", r"broken\.py.*SyntaxError"),
        (
            "import nothing_of_that_name\nTHING = 1\n",
            "ModuleNotFoundError.*nothing_of_that",
        ),
        ("THING = 1 / 0\n", "ZeroDivisionError"),
        ("if False:\n  pass\nTHING = undefined\n", "NameError.*undefined"),
        ("raise SystemExit(3)\nTHING = 1\n", "SystemExit"),
    ],
)
def test_a_broken_plug_in_file_is_named_with_what_went_wrong(
    things: Catalogue[str], plug: Plug, text: str, message: str
) -> None:
    path = plug("broken.py", text)
    assert "broken" in things.names()
    for _ in range(2):  # the second time must not find what is left of the first
        with pytest.raises(PeftbenchError, match=message) as caught:
            things.get("broken")
        assert str(path) in str(caught.value)


def test_a_plug_in_file_that_is_no_text_is_explained(
    things: Catalogue[str], plug: Plug
) -> None:
    path = plug("binary.py", "")
    path.write_bytes(b"\xff\xfe\nTHING = 1\n")
    with pytest.raises(InvalidSpec, match=r"binary\.py cannot be read as UTF-8"):
        things.names()


def test_a_plug_in_file_that_defines_nothing_does_not_vanish(
    things: Catalogue[str], plug: Plug
) -> None:
    path = plug("nothing.py", "class Thing: ...\nthing = Thing\n")
    with pytest.raises(InvalidSpec, match=r"defines no thing.*end with `THING = \.\.\.`"):
        things.names()
    assert path.is_file()


def test_the_line_of_a_broken_plug_in_is_its_own(
    things: Catalogue[str], plug: Plug
) -> None:
    """Not that of the library that it called with nonsense."""
    path = plug("far.py", "import json\n\n\nTHING = json.loads('{')\n")
    with pytest.raises(InvalidSpec, match="JSONDecodeError") as caught:
        things.get("far")
    assert f"in {path}, line 4" in str(caught.value)


def test_an_edited_plug_in_is_read_again_and_has_another_source(
    things: Catalogue[str], plug: Plug
) -> None:
    path = plug("edited.py", "THING = 'old'\n")
    assert things.get("edited") == "old"
    before = things.source("edited")
    path.write_text("THING = 'new'\n")
    assert things.get("edited") == "new"
    assert things.source("edited") != before
    assert things.source("blue") is None


def test_a_plug_in_file_that_is_not_there_is_named(
    things: Catalogue[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PLUGINS_VARIABLE, "/no/such/file.py")
    with pytest.raises(InvalidSpec, match=r"No plug-in file '/no/such/file\.py'"):
        things.names()


def test_empty_parts_of_the_variable_are_passed_over(
    things: Catalogue[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PLUGINS_VARIABLE, os.pathsep * 2)
    assert things.names() == ("big-red", "blue", "empty")


def test_an_entry_point_may_name_a_module_or_the_object_itself(
    things: Catalogue[str], announce: Callable[[str, str], None], package: str
) -> None:
    announce("far_module", f"{package}._hidden")
    announce("far-object", "math:pi")
    assert things.names() == ("big-red", "blue", "empty", "far-module", "far-object")
    assert things.get("far-module") == "hidden"
    assert things.get("far-object") == pytest.approx(3.14159, abs=1e-5)


@pytest.mark.parametrize("value", ["nothing_of_that_name", "math:tau_and_more"])
def test_a_broken_entry_point_is_named(
    things: Catalogue[str], announce: Callable[[str, str], None], value: str
) -> None:
    announce("far", value)
    with pytest.raises(PeftbenchError, match=f"thing 'far'.*{value.partition(':')[0]}"):
        things.get("far")


METRIC = """\
from peftbench.evaluation.metrics import Metric

METRIC = Metric(score=lambda answers: 0.25, unit="fraction")
"""


def test_a_metric_from_outside_is_used_like_our_own_in_another_process(plug: Plug) -> None:
    plug("quarter.py", METRIC)
    program = (
        "from peftbench.evaluation import metrics\n"
        "answers = metrics.Answers(predicted=['a'], targets=['a'])\n"
        "print(metrics.get('quarter').score(answers), 'quarter' in metrics.names())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0.25 True"
