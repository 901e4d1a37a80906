"""From a `Summary` to text that people read and programs load.

Each format renders the same tables: the numbers in them are formatted once, in
`numbers.py`, and put in place once, in `results.py`, `costs.py` and `setup.py`.
"""

from __future__ import annotations

from typing import Literal, get_args

from peftbench.errors import InvalidSpec
from peftbench.scoring.summary import Summary
from peftbench.visible import visible

__all__ = ["FORMATS", "Format", "render"]

Format = Literal["html", "md", "latex", "csv", "json"]

FORMATS: tuple[Format, ...] = get_args(Format)


def render(summary: Summary, format: Format) -> str:  # noqa: A002
    """The whole text of a file in this format; write it as UTF-8.

    html   one self-contained page that opens from disk and loads nothing
    md     tables as GitHub shows them
    latex  booktabs tables for a paper
    csv    long form, one row per (model, method, task, seed, metric)
    json   the summary itself; `Summary.model_validate_json` reads it back

    What would not be seen but obeyed, such as terminal escapes in a label, is written out.
    Raises `InvalidSpec` for any other format.
    """
    match format:
        case "html":
            from peftbench.report.page import to_html

            return to_html(summary)
        case "md":
            from peftbench.report.markdown import to_markdown

            return visible(to_markdown(summary))
        case "latex":
            from peftbench.report.latex import to_latex

            return visible(to_latex(summary))
        case "csv":
            from peftbench.report.long_form import to_csv

            return visible(to_csv(summary))
        case "json":
            return visible(summary.model_dump_json(indent=2)) + "\n"
    raise InvalidSpec(
        f"Unknown report format {format!r}; choose from {', '.join(FORMATS)}."
    )
