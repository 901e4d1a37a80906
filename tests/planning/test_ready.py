"""What would fail in every cell is told before anything runs, once, with what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from peftbench import Experiment, tasks
from peftbench.catalogue import PLUGINS_VARIABLE
from peftbench.encoding.encode import encoder_for, stop_ids
from peftbench.engine.host import encoder_of
from peftbench.engine.local import LocalEngine
from peftbench.errors import DataError, InvalidSpec, ModelError
from peftbench.models import resolve
from peftbench.models._load import load
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


@pytest.fixture
def dated(tmp_path: Path) -> Path:
    """The tiny model with a chat template that asks for the date."""
    folder = tmp_path / "dated"
    shutil.copytree(resolve(ModelChoice(name="tiny")).location, folder)
    template = (
        "{{ strftime_now('%Y') }} {% for m in messages %}{{ m.content }} {% endfor %}"
    )
    (folder / "chat_template.jinja").write_text(template)
    return folder


def planned(model: str, **choice: Any) -> Any:
    spec = {"name": "n", "methods": ["lora"], "tasks": ["generated_mood"], "seeds": [1]}
    chosen = {"name": str(model), **choice}
    return Experiment({**spec, "models": [chosen]}).plan.cells[0].cell


def test_a_rendered_date_is_part_of_what_is_computed(dated: Path) -> None:
    cell = planned(str(dated))
    expected = encoder_for(resolve(ModelChoice(name=str(dated)))).template_sha256
    assert cell.train.chat_rendering == cell.predict().chat_rendering == expected
    assert planned(str(dated), chat_template=False).train.chat_rendering is None


def test_what_a_models_files_say_whole_is_no_part_of_a_step_again(dated: Path) -> None:
    (dated / "chat_template.jinja").write_text("{{ messages[0].content }}")
    for cell in (planned("tiny"), planned(str(dated))):
        assert "chat_rendering" not in cell.train.content
        assert "chat_rendering" not in cell.predict().content


def test_another_rendering_than_the_planned_one_is_not_asked(dated: Path) -> None:
    step = planned(str(dated)).train
    source = resolve(ModelChoice(name=str(dated)))
    tokenizer = encoder_for(source).tokenizer
    ends = SimpleNamespace(eos_token_id=2)
    base: Any = SimpleNamespace(
        source=source, tokenizer=tokenizer, model=SimpleNamespace(generation_config=ends)
    )
    assert encoder_of(step, base).uses_chat_template
    with pytest.raises(
        DataError, match="renders other prompts than those that were planned"
    ):
        encoder_of(step.model_copy(update={"chat_rendering": "0" * 64}), base)


def test_a_template_that_cannot_ask_is_refused_before_a_run(dated: Path) -> None:
    (dated / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}")
    source = resolve(ModelChoice(name=str(dated)))
    with pytest.raises(
        ModelError, match=r"dated: The chat template .*chat_template: false"
    ):
        ready.check_tokenizer(source, chat_template=True, named={})
    ready.check_tokenizer(source, chat_template=False, named={})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"eos_token_id": [2, 300], "top_k": 4}, (2, 300)), ({}, (2,)), (None, (2, 7))],
)
def test_answers_end_as_those_of_the_loaded_model(
    tmp_path: Path, settings: dict[str, Any] | None, expected: tuple[int, ...]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(resolve(ModelChoice(name="tiny")).location, folder)
    own = folder / "generation_config.json"
    own.unlink() if settings is None else own.write_text(json.dumps(settings))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": [7]}))
    source = resolve(ModelChoice(name=str(folder)))
    loaded = load(source).model.generation_config.eos_token_id
    assert encoder_for(source).stop_ids == expected
    assert stop_ids(encoder_for(source).tokenizer, loaded) == expected
