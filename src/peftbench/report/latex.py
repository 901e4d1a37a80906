"""The report's tables for a paper: booktabs, one `table*` each."""

from __future__ import annotations

import re
from collections.abc import Iterator

from peftbench.report import certainty, costs, results, robustness
from peftbench.report.table import Cell, Row, Table
from peftbench.scoring.summary import Summary

_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta",
    "η": "eta", "θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu",
    "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho", "σ": "sigma", "ς": "varsigma",
    "τ": "tau", "υ": "upsilon", "φ": "varphi", "χ": "chi", "ψ": "psi", "ω": "omega",
    "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi",
    "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
}  # fmt: skip
_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#",
    "_": r"\_", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}",
    "[": "{[}", "*": "{*}",  # a line break before them would take them for its own
    "±": r"$\pm$", "×": r"$\times$", "−": r"$-$", "–": r"\textendash{}", "—": r"\textemdash{}",
    "†": r"$\dagger$", "µ": r"$\mu$", "½": r"$\frac{1}{2}$", "“": "``", "”": "''",
    "‘": "`", "’": "'", "·": r"$\cdot$", "…": r"\dots{}", "↓": r"$\downarrow$",
    "↑": r"$\uparrow$", "→": r"$\rightarrow$", "←": r"$\leftarrow$", "≤": r"$\leq$",
    "≥": r"$\geq$", "≈": r"$\approx$", "∞": r"$\infty$",
    **{letter: rf"$\{name}$" for letter, name in _GREEK.items()},
}  # fmt: skip
#: Accented letters that pdfLaTeX has no glyph for under T1.
_WITHOUT_GLYPH = frozenset("ĦħĸĿŀŉŦŧſ")


def to_latex(summary: Summary) -> str:
    """Headline, PSCP, cost and robustness tables of every base model."""
    tables = []
    for model in summary.models:
        tables.append(results.headline_table(summary, model))
        tables += costs.cost_tables(summary, model)
        tables += certainty.certainty_tables(summary, model)
        tables += robustness.robustness_tables(summary, model)
    name = " ".join(summary.name.split())
    head = (
        "% Needs \\usepackage{booktabs}, \\usepackage{graphicx} and "
        "\\usepackage[T1]{fontenc}.\n"
        f"% Written by peftbench {summary.peftbench_version} from the benchmark {name}.\n"
    )
    return head + "".join("\n".join(_table(table)) + "\n" for table in tables)


def escape(text: str) -> str:
    """Text that LaTeX sets as it stands.

    Accented letters pass as UTF-8. What pdfLaTeX cannot set under T1, an emoji or a
    Chinese letter, becomes its code point: nothing is dropped without a trace.

    >>> print(escape("50 % of a_b"), escape("é–字"))
    50 \\% of a\\_b é\\textendash{}(U+5B57)
    """
    whole = "".join(map(_letter, " ".join(text.split())))
    return re.sub(r"-(?=-)", "-{}", whole)  # two hyphens of a label are no dash


def _letter(letter: str) -> str:
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    accented = "À" <= letter <= "ž" and letter.isalpha() and letter not in _WITHOUT_GLYPH
    if accented or " " <= letter <= "}":
        return letter
    return f"(U+{ord(letter):04X})"


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
