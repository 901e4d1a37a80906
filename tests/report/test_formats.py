"""Every format says the same, and nothing from outside breaks it."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

from peftbench.errors import InvalidSpec
from peftbench.report import Format, latex, markdown, numbers, render
from peftbench.report.figures import trade_offs
from peftbench.scoring.intervals import mean_interval
from peftbench.scoring.summary import Robustness, Summary
from peftbench.spec.facts import Leak
from report.builder import HOSTILE, REASON, build


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self._silent = False
        self.feed(page)

    def handle_starttag(self, tag: str, _attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._silent = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._silent = self._silent and tag not in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words.append(data)

    @property
    def text(self) -> str:
        """All that is shown, with single spaces."""
        return " ".join("".join(self.words).split())


def shown(summary: Summary, format_: Format) -> str:
    """The report as it is read, page markup left out."""
    text = render(summary, format_)
    return Page(text).text if format_ == "html" else text


def cells(line: str) -> list[str]:
    """The cells of a Markdown row."""
    return re.split(r"(?<!\\)\|", line)[1:-1]


@pytest.mark.parametrize("format_", ["html", "md", "latex"])
def test_all_numbers_stand_in_every_format(usual: Summary, format_: Format) -> None:
    text = shown(usual, format_)
    escaped = latex.escape if format_ == "latex" else str
    for entry in usual.entries:
        assert escaped(numbers.interval(entry.interval)) in text, (entry.method, entry.task)
    for standing in usual.standings:
        assert escaped(numbers.points(standing.mean_score)) in text
        assert escaped(numbers.points(standing.pscp)) in text
        assert standing.cost
        assert escaped(numbers.count(standing.cost.trainable_parameters)) in text
        assert escaped(numbers.si(standing.cost.peak_memory.total, "B")) in text


def test_csv_has_every_seed_and_metric_at_full_precision(usual: Summary) -> None:
    rows = list(csv.DictReader(io.StringIO(render(usual, "csv"))))
    scored = [row for row in rows if row["status"] == "finished"]
    found = {
        (row["method"], row["task"], row["seed"]): float(row["score"])
        for row in scored
        if row["is_headline"] == "True"
    }
    assert found == {
        (entry.method, entry.task, seed): score
        for entry in usual.entries
        for seed, score in entry.by_seed.items()
    }
    assert {row["metric"] for row in scored} == {"accuracy", "format_error_rate"}
    assert len(scored) == 2 * len(found)


def test_csv_has_a_row_for_a_run_without_a_score(usual: Summary) -> None:
    rows = csv.DictReader(io.StringIO(render(usual, "csv")))
    (lost,) = [row for row in rows if row["status"] != "finished"]
    assert (lost["method"], lost["task"], lost["seed"]) == ("p-tuning", "stsb", "2")
    assert (lost["score"], lost["status"], lost["reason"]) == ("", "diverged", REASON)


def test_json_is_the_summary(usual: Summary, hostile: Summary) -> None:
    for summary in (usual, hostile):
        assert Summary.model_validate_json(render(summary, "json")) == summary


@pytest.mark.parametrize("format_", ["html", "md"])
def test_failure_is_shown_with_its_reason(usual: Summary, format_: Format) -> None:
    text = shown(usual, format_)
    assert REASON in text
    assert "diverged" in text
    assert "1 of 2 seeds" in text
    assert "p-tuning has no mean score or average rank" in text


@pytest.mark.parametrize("format_", ["html", "md"])
def test_the_precision_of_weights_and_training_is_shown(
    usual: Summary, format_: Format
) -> None:
    text = shown(usual, format_)
    assert "tiny: weights in float32, training in float32." in text
    assert "several precisions" not in text
    half = usual.precisions[0].model_copy(
        update={"weights": "bfloat16", "methods": ("lora", "ia3")}
    )
    mixed = usual.model_copy(update={"precisions": (*usual.precisions, half)})
    text = shown(mixed, format_)
    assert "Runs on tiny were computed in several precisions" in text
    assert "lora and ia3 with weights in bfloat16, training in float32." in text


def test_latex_says_why_a_number_is_absent(usual: Summary) -> None:
    text = render(usual, "latex")
    assert "p-tuning has no mean score or average rank: stsb has 1 of 2 seeds." in text


def test_markdown_table_reads_as_on_github(usual: Summary) -> None:
    lines = render(usual, "md").splitlines()
    start = lines.index("### Scores on tiny")
    assert lines[start + 2 : start + 6] == [
        "| Method | generated\\_mood (accuracy, generated) | sst2 (accuracy) "
        "| stsb (accuracy) | Mean score | Average rank |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| lora | **90.9 ± 1.3** | **80.6 ± 5.1** | **70.3 ± 8.9** | **80.6** | 1.00 |",
        "| full | 89.9 ± 1.3 † | 79.6 ± 5.1 † | 69.3 ± 8.9 † | 79.6 | 2.00 |",
    ]


def test_latex_table_is_set_with_booktabs(usual: Summary) -> None:
    lines = render(usual, "latex").splitlines()
    assert lines[0].startswith("% Needs \\usepackage{booktabs}")
    start = lines.index(r"\toprule")
    assert lines[start + 1 : start + 5] == [
        r"Method & generated\_mood & sst2 & stsb & Mean score & Average rank \\",
        r"\footnotesize  & \footnotesize accuracy, generated & \footnotesize accuracy & "
        r"\footnotesize accuracy & \footnotesize  & \footnotesize  \\",
        r"\midrule",
        r"lora & \textbf{\boldmath 90.9 $\pm$ 1.3} & \textbf{\boldmath 80.6 $\pm$ 5.1} & "
        r"\textbf{\boldmath 70.3 $\pm$ 8.9} & \textbf{\boldmath 80.6} & 1.00 \\",
    ]
    assert lines.count(r"\toprule") == 6, (
        "scores, PSCP, three of costs, and how the ranking by PSCP moves"
    )
    assert r"\label{tab:results-0}" in lines


def test_methods_come_best_first_and_the_incomplete_last(usual: Summary) -> None:
    lines = [line for line in render(usual, "md").splitlines() if line.startswith("| ")]
    methods = [cells(line)[0].strip() for line in lines[2:11]]
    assert methods[:3] == ["lora", "full", "ia3"]
    assert methods[-1] == "p-tuning"


def test_hostile_text_is_text_on_the_page(hostile: Summary) -> None:
    page = render(hostile, "html")
    parsed = Page(page)
    assert parsed.tags.count("script") == 3, "the figures' data, plotly and the page's own"
    assert HOSTILE in parsed.text
    assert "<script>alert" not in page
    data = re.search(
        r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL
    )
    assert data
    assert json.loads(data[1])
    assert "<" not in data[1], "neither </script> nor <!-- can stand in it"


def test_hostile_text_stays_in_its_markdown_cell(hostile: Summary) -> None:
    lines = render(hostile, "md").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("### Scores on"))
    table = [line for line in lines[start + 2 : start + 8] if line]
    assert len(table) == 6, "header, rule, three methods, a baseline"
    assert {len(cells(line)) for line in table} == {5}
    assert markdown.escape("<b>&lt;|") == r"\<b\>\&lt;\|"
    assert markdown.paragraph("1. no list") == r"1\. no list"


def test_backticks_do_not_end_the_spec_in_markdown(usual: Summary) -> None:
    spec = {"name": "a", "description": "```` fence"}
    text = render(usual.model_copy(update={"spec": spec}), "md")
    assert text.rstrip().endswith("`````")
    assert "`````yaml" in text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        (r"a_b & 5% $x$ {y} \z #1", r"a\_b \& 5\% \$x\$ \{y\} \textbackslash{}z \#1"),
        (
            "~^<>|",
            r"\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}\textbar{}",
        ),
        ("± – † µ →", r"$\pm$ \textendash{} $\dagger$ $\mu$ $\rightarrow$"),
        ("[a] *", "{[}a] {*}"),
        ("a--b", "a-{}-b"),
        ("é λ 字", r"é $\lambda$ (U+5B57)"),
    ],
)
def test_latex_escapes_what_it_would_read_as_a_command(text: str, escaped: str) -> None:
    assert latex.escape(text) == escaped


def test_hostile_text_in_latex_is_escaped(hostile: Summary) -> None:
    text = render(hostile, "latex")
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert "$x$" not in body
    assert r"\z" not in body
    assert not re.search(r"(?<!\\)%(?!$)", body.replace("{!}{%", ""))


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex to compile LaTeX")
@pytest.mark.parametrize("kind", ["usual", "hostile", "letters"])
def test_latex_compiles(
    kind: str, usual: Summary, hostile: Summary, tmp_path: Path
) -> None:
    letters = (
        "".join(map(chr, (*range(0x20, 0x180), *range(0x391, 0x3CA)))) + "→≤≥≈∞…“”‘’字"
    )
    summaries = {
        "usual": usual,
        "hostile": hostile,
        "letters": build(
            {letters: {"[t]": [0.5]}, "[m]": {"[t]": [0.4]}, "*": {"[t]": [0.1]}}
        ),
    }
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}"
        "\\usepackage{graphicx}\\begin{document}\n"
        + render(summaries[kind], "latex")
        + "\\end{document}\n",
        "utf-8",
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[-2000:]


@pytest.mark.parametrize("format_", get_args(Format))
def test_no_format_shows_a_number_that_is_none(
    usual: Summary, hostile: Summary, format_: Format
) -> None:
    for summary in (usual, hostile):
        text = render(summary, format_)
        own = text[: text.index("<script")] if format_ == "html" else text
        assert not re.search(r"\b(NaN|nan|None|inf|Infinity)\b", own.replace(REASON, ""))


def test_unknown_format_is_refused(usual: Summary) -> None:
    with pytest.raises(InvalidSpec, match="html, md, latex, csv, json"):
        render(usual, "pdf")  # type: ignore[arg-type]


def test_importing_the_report_imports_no_torch() -> None:
    code = (
        "import peftbench.report.page, peftbench.report.latex, peftbench.report.long_form, "
        "peftbench.report.markdown, sys; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_leaks_are_shown_where_there_are_any(usual: Summary) -> None:
    leaks = (
        Leak(what="prompts", splits=("train", "test"), count=3),
        Leak(what="groups", splits=("train", "validation"), count=1200),
    )
    leaky = usual.tasks[1].model_copy(update={"leaks": leaks})
    changed = usual.model_copy(update={"tasks": (usual.tasks[0], leaky, usual.tasks[2])})
    for format_ in ("md", "html"):
        text = render(changed, format_)
        assert (
            "3 prompts in both train/test and 1,200 groups in both train/validation" in text
        )
        assert "stand in the test split and in training or validation too" in text
        assert "in both train/test" not in render(usual, format_)


def test_robustness_is_a_table_in_every_format(usual: Summary) -> None:
    row = Robustness(
        model="tiny", method="lora", task="sst2", test_set="advglue", metric="accuracy",
        unit="fraction correct", better="higher",
        examples=148, constant=0.51, clean_constant=0.5,
        by_seed={"clean": {"1": 0.9}, "perturbed": {"1": 0.61}, "drop": {"1": 0.29},
                 "retention": {"1": 0.25}},
        clean=mean_interval([0.9]), perturbed=mean_interval([0.61]),
        drop=mean_interval([0.29]), retention=mean_interval([0.25]), complete=False,
    )  # fmt: skip
    undefined = row.model_copy(
        update={"method": "ia3", "retention": None, "reason": "clean not above constant"}
    )
    changed = usual.model_copy(update={"robustness": (row, undefined)})
    for format_ in ("md", "html", "latex"):
        text = render(changed, format_)
        assert "advglue" in text
        for number in ("90.0", "61.0", "29.0", "25.0", "clean not above constant"):
            assert number in text, (format_, number)
        assert "1 of 2 seeds" in text
        assert "Perturbed" not in render(usual, format_)
    rows = csv.DictReader(io.StringIO(render(changed, "csv")))
    assert [
        (row["metric"], row["statistic"], row["score"], row["better"])
        for row in rows
        if (row["test_set"], row["method"]) == ("advglue", "lora")
    ] == [
        ("accuracy", "clean", "0.9", "higher"),
        ("accuracy", "score", "0.61", "higher"),
        ("accuracy", "drop", "0.29", "lower"),
        ("accuracy", "retention", "0.25", "higher"),
    ]


ERRORS = {"a": {"heard": [0.3], "typed": [0.5]}, "b": {"heard": [0.1], "typed": [0.2]}}


@pytest.mark.parametrize("format_", ["html", "md", "latex"])
def test_a_mean_of_errors_is_marked_where_it_is_lowest(format_: Format) -> None:
    summary = build(ERRORS, costs={"a": 10, "b": 20}, lower=("heard", "typed"))
    text = render(summary, format_)
    best = {
        "html": "<strong>15.0</strong>", "md": "**15.0**", "latex": r"\textbf{\boldmath 15.0}",
    }  # fmt: skip
    assert best[format_] in text
    assert best[format_].replace("15.0", "40.0") not in text
    assert "There is neither PSCP nor PPT: it discounts a score for its cost" in text


def test_the_front_of_errors_runs_downwards() -> None:
    scores = {m: {"heard": [v]} for m, v in (("a", 0.3), ("b", 0.1), ("c", 0.4))}
    summary = build(scores, costs={"a": 10, "b": 20, "c": 30}, lower=("heard",))
    [parameters, *_] = trade_offs(summary, "tiny")
    assert parameters.caption.startswith(
        "Down and left is better. On the Pareto front (dotted): a and b;"
    )
    assert parameters.data[0]["y"] == [30, 10]
    assert parameters.layout["yaxis"]["title"]["text"] == "mean score, lower is better"


@pytest.mark.parametrize("format_", ["html", "md", "latex"])
def test_why_errors_and_accuracies_have_no_mean_is_said(format_: Format) -> None:
    summary = build(ERRORS, costs={"a": 10, "b": 20}, lower=("typed",))
    text = render(summary, format_)
    reason = "lower is better on typed, and higher on heard"
    assert f"There is no mean score: {reason}." in text
    assert f"There is neither PSCP nor PPT: {reason}." in text
    assert "has no mean score" not in text, "it is said once, not of every method"


def test_every_row_of_csv_says_which_way_it_counts() -> None:
    summary = build(ERRORS, lower=("typed",))
    rows = list(csv.DictReader(io.StringIO(render(summary, "csv"))))
    headlines = [row for row in rows if row["is_headline"] == "True"]
    assert {(row["task"], row["better"]) for row in headlines} == {
        ("heard", "higher"), ("typed", "lower"),
    }  # fmt: skip
    assert {row["test_set"] for row in rows} == {"test"}


def test_what_records_do_not_tell_is_said(usual: Summary) -> None:
    bare = usual.tasks[1].model_copy(update={"description": "", "unit": ""})
    method = usual.methods[1].model_copy(update={"family": ""})
    changed = usual.model_copy(
        update={
            "tasks": (usual.tasks[0], bare, usual.tasks[2]),
            "methods": (usual.methods[0], method, *usual.methods[2:]),
        }
    )
    said = (
        "The records do not tell what is asked of sst2, the unit of sst2 or the family of"
    )
    assert said in render(changed, "md")
    assert "The records do not tell" not in render(usual, "md")
