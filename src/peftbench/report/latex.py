"""The report's tables for a paper: booktabs, one `table*` each."""

from __future__ import annotations

from collections.abc import Iterator

from peftbench.report import costs, results
from peftbench.report.table import Cell, Row, Table
from peftbench.scoring.summary import Summary

_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#",
        "_": r"\_", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
        "|": r"\textbar{}", '"': r"\textquotedbl{}",
        "±": r"$\pm$", "×": r"$\times$", "−": r"$-$", "–": "--", "†": r"$\dagger$",
        "µ": r"$\mu$", "↓": r"$\downarrow$", "½": r"$\frac{1}{2}$", "“": "``", "”": "''",
        "·": r"$\cdot$", "…": r"\dots{}",
    }
)  # fmt: skip


def to_latex(summary: Summary) -> str:
    """Headline, PSCP and cost tables of every base model."""
    tables = []
    for model in summary.models:
        tables.append(results.headline_table(summary, model))
        if any(standing.cost for standing in results.standings(summary, model)):
            tables += [costs.pscp_table(summary, model), costs.cost_table(summary, model)]
    name = " ".join(summary.name.split())
    head = (
        "% Needs \\usepackage{booktabs}, \\usepackage{graphicx} and "
        "\\usepackage[T1]{fontenc}.\n"
        f"% Written by peftbench {summary.peftbench_version} from the benchmark {name}.\n"
    )
    return head + "".join("\n".join(_table(table)) + "\n" for table in tables)


def escape(text: str) -> str:
    """Text that LaTeX sets as it stands; other letters than these pass as UTF-8.

    >>> print(escape("50 % of a_b"))
    50 \\% of a\\_b
    """
    return " ".join(text.split()).translate(_ESCAPES)


def _table(table: Table) -> Iterator[str]:
    columns = "".join("r" if column.is_number else "l" for column in table.columns)
    yield from (r"\begin{table*}[t]", r"\centering")
    yield rf"\caption{{{escape(f'{table.title}. {table.caption}')}}}"
    yield rf"\label{{tab:{table.name}}}"
    yield r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
    yield rf"\begin{{tabular}}{{{columns}}}"
    yield r"\toprule"
    yield _row(escape(column.title) for column in table.columns)
    if any(column.note for column in table.columns):
        yield _row(rf"\footnotesize {escape(column.note)}" for column in table.columns)
    yield r"\midrule"
    yield from (_row(_texts(row)) for row in table.rows)
    if table.baselines:
        yield r"\midrule"
        yield from (_row(_texts(row)) for row in table.baselines)
    yield from (r"\bottomrule", r"\end{tabular}}")
    for note in table.notes:
        yield rf"\\ {{\footnotesize {escape(note)}}}"
    yield from (r"\end{table*}", "")


def _texts(row: Row) -> Iterator[str]:
    yield escape(row.header)
    yield from map(_text, row.cells)


def _text(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.mark == "best":
        text = rf"\textbf{{\boldmath {text}}}"
    elif cell.mark == "tied":
        text += r"$^\dagger$"
    return rf"{text} {{\footnotesize {escape(cell.note)}}}" if cell.note else text


def _row(texts: Iterator[str]) -> str:
    return " & ".join(texts) + r" \\"
