"""The report as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from peftbench.report import certainty, costs, others, results, robustness, setup, words
from peftbench.report.table import TIED_MARK, Cell, Row, Table
from peftbench.scoring.summary import Summary

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$&])")
#: What would open a list, or turn the line before into a heading.
_OPENS_BLOCK = re.compile(r"^(\d*)([-+=.)])")


def to_markdown(summary: Summary) -> str:
    """Headings, sentences and tables; the best in bold, ties with a dagger."""
    return "\n".join(_lines(summary)).rstrip() + "\n"


def escape(text: str) -> str:
    """Text that Markdown shows as it stands, on one line.

    >>> print(escape("a_b | <c>"))
    a\\_b \\| \\<c\\>
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def paragraph(text: str) -> str:
    """Text that starts a line.

    >>> print(paragraph("- no list"))
    \\- no list
    """
    return _OPENS_BLOCK.sub(r"\1\\\2", escape(text))


def _lines(summary: Summary) -> Iterator[str]:
    yield f"# {escape(summary.name)}"
    yield ""
    if summary.description:
        yield from (paragraph(summary.description), "")
    yield from (escape(words.what_was_run(summary)), "")
    yield from (f"- {escape(sentence)}" for sentence in words.how_sure(summary))
    for model in summary.models:
        yield from ("", f"## Results on {escape(model)}", "")
        yield paragraph(" ".join(words.verdict(summary, model)))
        yield from _table(results.headline_table(summary, model))
        for table in costs.cost_tables(summary, model):
            yield from _table(table)
        for table in certainty.certainty_tables(summary, model):
            yield from _table(table)
        for table in robustness.robustness_tables(summary, model):
            yield from _table(table)
    if summary.troubles:
        yield from _table(setup.trouble_table(summary))
    yield from _table(setup.method_table(summary))
    yield from _table(setup.task_table(summary))
    for manifest in summary.manifests:
        yield from ("", "### Provenance", "")
        for term, value in setup.machine_facts(manifest):
            yield f"- {escape(term)}: {escape(value)}"
    for provenance in summary.provenances:
        yield from ("", "### Imported results", "")
        for term, value in others.provenance_facts(provenance):
            yield f"- {escape(term)}: {escape(value)}"
    spec = setup.spec_yaml(summary).rstrip()
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", spec)), default=0))
    yield from ("", "### Spec", "", f"{fence}yaml", spec, fence)


def _table(table: Table) -> Iterator[str]:
    yield from ("", f"### {escape(table.title)}", "")
    titles = [
        f"{column.title} ({column.note})" if column.note else column.title
        for column in table.columns
    ]
    yield _row(map(escape, titles))
    yield _row("---:" if column.is_number else "---" for column in table.columns)
    for row in (*table.rows, *table.baselines):
        yield _row(_texts(row))
    yield from ("", paragraph(table.caption))
    for note in table.notes:
        yield from ("", paragraph(note))


def _texts(row: Row) -> Iterator[str]:
    yield escape(row.header)
    yield from map(_text, row.cells)


def _text(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.mark == "best":
        text = f"**{text}**"
    elif cell.mark == "tied":
        text += f" {TIED_MARK}"
    return f"{text} ({escape(cell.note)})" if cell.note else text


def _row(texts: Iterator[str] | map[str]) -> str:
    return f"| {' | '.join(texts)} |"
