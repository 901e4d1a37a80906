"""The documentation tells the truth: its specs are valid, its tables are the code's.

Its `>>>` examples are run by pytest itself (`--doctest-glob`).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from peftbench.methods._build import build
from peftbench.spec import (
    Budget,
    Limits,
    MethodChoice,
    ModelChoice,
    Sampling,
    TrainingSection,
    Tuning,
    from_mapping,
)
from peftbench.spec.benchmark import Benchmark

ROOT = Path(__file__).parents[1]
FILES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("recipes/**/*.md")]
)
SPEC = (ROOT / "docs" / "spec.md").read_text("utf-8")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


YAML_BLOCKS = [
    pytest.param(block, id=f"{name_of(path)} {number}")
    for path in FILES
    for number, block in enumerate(
        re.findall(r"```yaml\n(.*?)```", path.read_text("utf-8"), re.DOTALL), start=1
    )
]


def test_there_are_specs_in_the_documentation() -> None:
    assert len(YAML_BLOCKS) >= 5


@pytest.mark.parametrize("block", YAML_BLOCKS)
def test_every_yaml_block_is_a_spec_or_a_part_of_one(block: str) -> None:
    rest = {"name": "x", "models": ["tiny"], "methods": ["lora"], "tasks": ["rte"]}
    benchmark = from_mapping(rest | yaml.safe_load(block))
    for choice in benchmark.methods:
        build(choice)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_relative_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            found = path.parent / file if file else path
            assert found.exists(), target
            if anchor:
                assert anchor in anchors(found.read_text("utf-8")), target


def anchors(text: str) -> set[str]:
    """The names that a heading can be linked by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_every_page_can_be_reached_from_the_index() -> None:
    pages = [path for path in FILES if path.parent.name in ("docs", "decisions")]
    linked = {(ROOT / "docs" / "index.md").resolve()}
    while True:
        found = linked | {
            (page.parent / target.partition("#")[0]).resolve()
            for page in linked
            if page.suffix == ".md"
            for target in re.findall(r"\]\(([^)\s:]+)\)", page.read_text("utf-8"))
        }
        if found == linked:
            break
        linked = found
    assert [name_of(page) for page in pages if page.resolve() not in linked] == []


def section(heading: str) -> str:
    return re.split(rf"\n##+ {re.escape(heading)}\n", SPEC)[1].split("\n## ")[0]


def rows(text: str, header: str) -> list[list[str]]:
    """The cells of the table whose first column is called `header`."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {header} |"):
            break
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("The whole", Benchmark),
        ("A model", ModelChoice),
        ("A method", MethodChoice),
        ("`training`", TrainingSection),
        ("`limits`", Limits),
        ("`budget`", Budget),
        ("`sampling`", Sampling),
        ("`tuning`", Tuning),
    ],
)
def test_fields_and_defaults_are_those_of_the_code(
    heading: str, model: type[BaseModel]
) -> None:
    documented = {row[0].strip("`"): row[1] for row in rows(section(heading), "field")}
    assert list(documented) == list(model.model_fields)
    for name, said in documented.items():
        default = model.model_fields[name].default
        if said == "required":
            assert model.model_fields[name].is_required(), name
        elif said == "see below":
            assert isinstance(default, BaseModel), name
        else:
            if default is PydanticUndefined:
                default = model.model_fields[name].get_default(call_default_factory=True)
            if isinstance(default, BaseModel):
                default = default.model_dump(exclude_unset=True)
            if isinstance(default, tuple):
                default = list(default)
            assert yaml.safe_load(said.strip("`")) == default, name


def test_every_metric_is_defined() -> None:
    from peftbench.evaluation import metrics

    numbers = (ROOT / "docs" / "numbers.md").read_text("utf-8")
    for name in metrics.names():
        assert f"`{name}`" in numbers
