"""The page of all tasks, docs/tasks.md, from the tasks themselves:

python -m recipes.pages.tasks > docs/tasks.md
"""

from __future__ import annotations

from collections.abc import Iterator

from peftbench import tasks
from peftbench.spec import read_benchmark
from peftbench.tasks import Task

_FAMILIES = {
    "glue": "GLUE",
    "superglue": "SuperGLUE",
    "": "Examinations",
    "commonsense": "Commonsense",
    "maths": "Maths",
    "code": "Code",
    "quickstart": "Generated",
}

_HEAD = """# Tasks

All tasks as the protocol `strict` asks and scores them. This page is made from their files:
`python -m recipes.pages.tasks > docs/tasks.md`. `peftbench show-task NAME` renders a row for a
model, [the spec](spec.md#suites-and-tasks-by-their-group) says how to name several at once, and
[the numbers](numbers.md) define every metric and how answers are read.

The first metric is the headline. For a closed set of answers it is accuracy, with the traditional
metric beside it; `cola` and `multirc` have their benchmark's own, of which a constant answer is
not worth much. `format_error_rate`, and `likelihood_accuracy` where answers are closed, are
computed for every task. Rows of one group never stand in two splits; where the hub has no
labelled validation split, a tenth of the training rows, at most 512, is cut off by group.
Sizes are rows on the hub.
"""


def page() -> str:
    """The whole page, in Markdown."""
    parts = [_HEAD]
    for suite, title in _FAMILIES.items():
        names = read_benchmark(suite).tasks if suite else ("mmlu",)
        parts += [f"\n## {title}\n", *_table(names), *map(_section, names)]
    return "\n".join(parts)


def _table(names: tuple[str, ...]) -> Iterator[str]:
    yield "| task | source | training | validation | test | group | metrics | licence |"
    yield "|---|---|---:|---:|---:|---|---|---|"
    for name in names:
        task = tasks.get(name)
        splits = [_split(task, split) for split in tasks.SPLITS]
        metrics = ", ".join(f"`{metric}`" for metric in task.metrics)
        cells = [
            f"[`{name}`](#{name})", _source(task), *splits, task.grouped_by, metrics,
            task.license,
        ]  # fmt: skip
        yield f"| {' | '.join(cells)} |"


def _source(task: Task) -> str:
    if task.hub_id is None:
        return "made by a program"
    commit = str(task.revision)
    link = f"https://huggingface.co/datasets/{task.hub_id}/tree/{commit}"
    subset = f", {task.subset}" if task.subset else ""
    return f"[{task.hub_id}]({link}){subset} at `{commit[:7]}`"


def _split(task: Task, split: tasks.Split) -> str:
    """The hub's split and its rows; further tests stand with the test split."""
    if split not in task.splits:
        return "cut from training"
    named = [task.splits[split]]
    if split == "test":
        named += task.further_tests.values()
    return "; ".join(f"{name} {task.sizes[name]:,}" if name in task.sizes else name
                     for name in named)  # fmt: skip


def _section(name: str) -> str:
    document = (tasks.CATALOGUE.module(name).__doc__ or "").strip()
    return f"\n### {name}\n\n```text\n{document}\n```"


if __name__ == "__main__":
    print(page())
