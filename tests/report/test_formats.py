"""Every format says the same, and nothing from outside breaks it."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

from peftbench.errors import InvalidSpec
from peftbench.report import Format, latex, numbers, render
from peftbench.scoring.summary import Summary

Maker = Callable[..., Summary]


class Texts(HTMLParser):
    """The text of a page as a browser shows it, scripts and styles left out."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self._silent = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._silent = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._silent = self._silent and tag not in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.texts.append(data)


@pytest.mark.parametrize("format_", ["html", "md", "latex"])
def test_all_headline_numbers_stand_in_every_format(
    usual: Summary, format_: Format
) -> None:
    text = render(usual, format_)
    for entry in usual.entries:
        shown = numbers.interval(entry.interval)
        shown = latex.escape(shown) if format_ == "latex" else shown
        assert shown in text, (entry.method, entry.task)
    for standing in usual.standings:
        shown = numbers.points(standing.pscp)
        assert (latex.escape(shown) if format_ == "latex" else shown) in text


def test_csv_has_every_seed_and_metric_at_full_precision(usual: Summary) -> None:
    rows = list(csv.DictReader(io.StringIO(render(usual, "csv"))))
    found = {
        (r["method"], r["task"], r["seed"]): float(r["score"])
        for r in rows
        if r["is_headline"] == "True"
    }
    assert found == {
        (entry.method, entry.task, seed): score
        for entry in usual.entries
        for seed, score in entry.by_seed.items()
    }
    assert {r["metric"] for r in rows} == {"accuracy", "format_error_rate"}
    assert len(rows) == 2 * len(found)


def test_json_is_the_summary(usual: Summary) -> None:
    assert Summary.model_validate_json(render(usual, "json")) == usual


@pytest.mark.parametrize("format_", ["html", "md", "latex"])
def test_failure_is_shown_with_its_reason(usual: Summary, format_: Format) -> None:
    text = render(usual, format_)
    assert "1 of 2 seeds" in text
    if format_ != "latex":  # a paper's tables say it in a note
        assert "The loss became NaN; lower the learning rate." in text
        assert "diverged" in text
    assert "p-tuning has no" in text


def test_hostile_text_is_text_on_the_page(hostile: Summary) -> None:
    page = render(hostile, "html")
    parsed = Texts(page)
    assert "alert(1)" not in re.sub(r"&lt;.*?&gt;", "", " ".join(parsed.tags))
    assert parsed.tags.count("script") == 3  # the figures' data, plotly, the page's own
    assert any(hostile.description in text for text in parsed.texts)
    assert "<script>alert" not in page


def test_hostile_text_stays_in_its_markdown_cell(hostile: Summary) -> None:
    lines = render(hostile, "md").splitlines()
    table = [line for line in lines if line.startswith("| ")]
    widths = {}
    for line in table:
        cells = len(re.split(r"(?<!\\)\|", line))
        widths.setdefault(cells, 0)
        widths[cells] += 1
    headline = [line for line in table if "90.0" in line]
    assert headline
    assert len({len(re.split(r"(?<!\\)\|", line)) for line in headline[:1]}) == 1
    assert all("<script>" not in line for line in lines if not line.startswith("  "))


def test_hostile_text_in_latex_is_escaped(hostile: Summary) -> None:
    assert latex.escape("a_b & 5% $x$ {y} \\z #1 ~^<>|") == (
        r"a\_b \& 5\% \$x\$ \{y\} \textbackslash{}z \#1 \textasciitilde{}\textasciicircum{}"
        r"\textless{}\textgreater{}\textbar{}"
    )
    assert "$x$" not in render(hostile, "latex")


@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="needs pdflatex to compile LaTeX"
)
@pytest.mark.parametrize("kind", ["usual", "hostile"])
def test_latex_compiles(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    tables = render(request.getfixturevalue(kind), "latex")
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}"
        "\\usepackage{graphicx}\\begin{document}\n" + tables + "\\end{document}\n",
        "utf-8",
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[-2000:]


def test_page_loads_nothing_from_elsewhere(usual: Summary) -> None:
    page = render(usual, "html")
    own = page[: page.index("<script")]
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', own)
    assert "@import" not in own
    assert "url(" not in own


def test_report_without_costs_has_no_empty_places(maker: Maker) -> None:
    summary = maker({"lora": {"sst2": [0.9]}, "ia3": {"sst2": [0.8]}}, costs=False)
    page = render(summary, "html")
    assert "PSCP" not in page[: page.index("<script")]
    assert "parameters-0-0" not in page
    for format_ in get_args(Format):
        assert render(summary, format_)


def test_report_of_nothing_but_failures(maker: Maker) -> None:
    summary = maker({"lora": {"sst2": [None, None]}})
    for format_ in get_args(Format):
        assert render(summary, format_)
    page = render(summary, "html")
    assert "0 of 2 runs finished" in page
    assert "1, 2" in page, "seeds with the same failure share a row"
    assert 'class="canvas' not in page


def test_lower_is_better_is_said_and_sorted_so(maker: Maker) -> None:
    summary = maker({"a": {"t": [0.1]}, "b": {"t": [0.9]}}, lower=("t",))
    page = render(summary, "html")
    assert "accuracy ↓" in page
    assert "↓: lower is better" in page


def test_unknown_format_is_refused(usual: Summary) -> None:
    with pytest.raises(InvalidSpec, match="html, md, latex, csv, json"):
        render(usual, "pdf")  # type: ignore[arg-type]


def test_importing_the_report_imports_no_torch() -> None:
    code = "import peftbench.report.page, peftbench.cli._app, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
