"""What would fail in every cell is told before anything runs, once, with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from peftbench import Experiment, tasks
from peftbench.catalogue import PLUGINS_VARIABLE
from peftbench.engine.local import LocalEngine
from peftbench.errors import DataError, InvalidSpec
from peftbench.models import resolve
from peftbench.planning import ready
from peftbench.spec import ModelChoice

TASK = """\
data: {train: rows.csv, test: rows.csv}
prompt: "{text}"
answer: kind
labels: [US, us, them]
"""


@pytest.fixture(autouse=True)
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def work_through(*_: Any) -> None:
        pytest.fail("it was run")

    monkeypatch.setattr(LocalEngine, "work_through", work_through)
    monkeypatch.setenv(PLUGINS_VARIABLE, "")


def own(folder: Path, rows: str, task: str = TASK) -> Experiment:
    """An experiment on a task of these rows."""
    folder.mkdir()
    (folder / "rows.csv").write_text(f"text,kind\n{rows}")
    (folder / f"{folder.name}.yaml").write_text(task)
    spec = {
        "name": "n",
        "models": ["tiny"],
        "methods": ["base"],
        "tasks": [str(folder / f"{folder.name}.yaml")],
        "seeds": [1],
    }
    return Experiment(spec, store=folder / "store")


def test_rows_of_ones_own_are_read_before_a_run(tmp_path: Path) -> None:
    experiment = own(tmp_path / "broken", "a,US\nb,us\nc,whom\n")
    for begin in (experiment.check_inputs, experiment.run):
        with pytest.raises(
            DataError, match=r"rows\.csv:4: 'kind' is 'whom'; allowed: 'US'"
        ):
            begin()


def test_labels_that_differ_in_case_alone_can_be_run(tmp_path: Path) -> None:
    rows = "".join(f"{i},{('US', 'us', 'them')[i % 3]}\n" for i in range(30))
    own(tmp_path / "cases", rows).check_inputs()


def test_labels_that_a_tokenizer_cannot_tell_apart_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = resolve(ModelChoice(name="tiny"))
    named = {("sst2", "strict"): None, ("generated_sums", "strict"): None}
    ready.check_tokenizer(source, chat_template=True, named=named)
    real = ready.encoder_for

    def poor(*arguments: Any, **rest: Any) -> Any:
        made = real(*arguments, **rest)
        monkeypatch.setattr(type(made), "_completion", lambda *_: (5,))
        return made

    monkeypatch.setattr(ready, "encoder_for", poor)
    labels = tasks.get("sst2").labels
    with pytest.raises(
        InvalidSpec, match=rf"sst2 cannot be scored on tiny: .*{labels[1]}' are the same"
    ):
        ready.check_tokenizer(source, chat_template=True, named=named)
