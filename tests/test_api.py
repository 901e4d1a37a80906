"""`peftbench.Experiment`: the same as the command line, from Python."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import peftbench
from in_process import workers_in_process
from peftbench.catalogue import PLUGINS_VARIABLE
from peftbench.errors import DataError, InvalidSpec, UnknownName
from peftbench.spec import from_mapping
from peftbench.store import Store

NOTES = pd.DataFrame(
    {
        "note": [f"Loaf number {i} was {'stale' if i % 3 else 'warm'}." for i in range(40)],
        "kind": [bool(i % 3) for i in range(40)],
    }
)


def notes(frame: pd.DataFrame = NOTES, **changes: Any) -> Any:
    """A task of which the rows are a frame."""
    fields: dict[str, Any] = {
        "name": "notes",
        "prompt": "Note: {note}\nIs this praise or a complaint?\nAnswer:",
        "answer": "kind",
        "labels": {False: "praise", True: "complaint"},
    }
    return peftbench.task_from_frame(frame, **fields | changes)


def spec(**changes: Any) -> dict[str, Any]:
    """Small enough for a minute."""
    return {
        "name": "small",
        "models": ["tiny"],
        "methods": ["base", {"name": "lora", "label": "small lora"}],
        "tasks": ["generated_sums", notes()],
        "seeds": [1],
        "training": {"steps": 4, "batch_size": 4, "validations": 1, "max_length": 64},
        "limits": {"train": 20, "validation": 4, "test": 6},
        **changes,
    }


@pytest.fixture(scope="module", autouse=True)
def _plugins_are_forgotten() -> Iterator[None]:
    before = os.environ.get(PLUGINS_VARIABLE)
    yield
    os.environ.pop(PLUGINS_VARIABLE, None)
    if before is not None:
        os.environ[PLUGINS_VARIABLE] = before


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[peftbench.Experiment, list[peftbench.News], peftbench.Results]]:
    """A finished experiment, what it told on its way, and its results."""
    folder = tmp_path_factory.mktemp("api") / "store"
    heard: list[peftbench.News] = []
    with peftbench.Experiment(spec(), store=folder) as experiment:
        with workers_in_process():
            results = experiment.run(workers=1, listen=heard.append)
        yield experiment, heard, results


@pytest.fixture
def done(ran: Any) -> peftbench.Experiment:
    experiment: peftbench.Experiment = ran[0]
    return experiment


@pytest.fixture
def copied(done: peftbench.Experiment, tmp_path: Path) -> Iterator[peftbench.Experiment]:
    """The same in a folder of its own, to be changed."""
    done.close()
    shutil.copytree(done.folder, tmp_path / "store")
    with peftbench.Experiment(spec(), store=tmp_path / "store") as experiment:
        yield experiment


def test_looking_at_what_was_not_run_makes_no_store(tmp_path: Path) -> None:
    experiment = peftbench.Experiment(
        spec(tasks=["generated_sums"]), store=tmp_path / "store"
    )
    assert [one.name for one in experiment.plan.cells] == [
        "tiny · base · generated_sums",
        "tiny · small lora · generated_sums · seed 1",
    ]
    assert set(experiment.needs().values()) == {"run"}
    assert list(experiment.cells()["status"]) == ["missing", "missing"]
    assert "0 of 2 cells done" in repr(experiment)
    with pytest.raises(InvalidSpec, match="has not been run yet"):
        experiment.record("base/generated_sums/-")
    with pytest.raises(InvalidSpec, match="no predictions on test yet"):
        experiment.predictions("base/generated_sums/-")
    assert not (tmp_path / "store").exists()


def test_a_run_is_told_as_it_goes(ran: Any) -> None:
    experiment, heard, results = ran
    assert {one.of for one in heard} == {"cost", "cell"}
    costs = [one.name for one in heard if one.of == "cost" and one.what == "started"]
    assert costs == ["base", "small lora"]
    ended = {
        one.name: one.said for one in heard if one.of == "cell" and one.what == "ended"
    }
    assert set(ended) == {one.name for one in experiment.plan.cells}
    assert ended["tiny · base · generated_sums"].startswith("numeric_match ")
    first = {one.unit: one.what for one in reversed(heard)}
    assert set(first.values()) == {"started"}
    assert results.summary.finished_cells == results.summary.cells == 4
    assert experiment.missing() == []


def test_results_are_a_frame_and_draw_themselves(ran: Any) -> None:
    results = ran[2]
    frame = results.to_frame()
    assert list(frame["task"].unique()) == ["generated_sums", "notes"]
    assert len(frame) == 4 < len(results.to_frame(all_metrics=True))
    said = repr(results)
    assert said.startswith("Scores on tiny\n")
    assert len(said) < 3000, "the whole report is `render`"
    assert "small lora" in said
    page = results._repr_html_()
    assert page.startswith("<h4>Scores on tiny</h4><table")
    assert "small lora" in page
    assert results.write_report().is_file()


def test_an_experiment_draws_itself(done: peftbench.Experiment) -> None:
    assert repr(done) == f"Experiment('small': 4 of 4 cells done in {done.folder})"
    assert "<td>small lora</td>" in done._repr_html_()
    cells = done.cells()
    assert list(cells["status"]) == ["finished"] * 4
    assert list(cells["seed"].dropna()) == [1, 1]
    assert cells["seed"].dtype == "Int64"


def test_a_cell_is_found_by_every_name_it_has(done: peftbench.Experiment) -> None:
    cell = done.cell("small lora/notes/1")
    assert cell.cell.train is not None
    for name in ("tiny/small lora/notes/1", cell.cell.short_id, cell.cell.train.id[:8]):
        assert done.cell(name) == cell
    assert done.record("small lora/notes/1").has_adapter
    with pytest.raises(InvalidSpec, match="Did you mean 'small lora/notes/1'"):
        done.cell("small lora/note/1")
    with pytest.raises(InvalidSpec, match="at least four digits"):
        done.cell(cell.cell.id[:3])


def test_predictions_say_whose_they_are(done: peftbench.Experiment) -> None:
    frame = done.predictions("small lora/notes/1")
    assert len(frame) == 6
    whose = frame[["model", "method", "task", "seed", "test_set"]].drop_duplicates()
    assert whose.to_numpy().tolist() == [["tiny", "small lora", "notes", 1, "test"]]
    assert set(frame["target"]) <= {"praise", "complaint"}
    headline = done.record("small lora/notes/1").headline
    assert headline is not None
    assert frame["score"].mean() == pytest.approx(headline.value)
    with pytest.raises(InvalidSpec, match="no test set 'hans'; it has test"):
        done.predictions("small lora/notes/1", "hans")


def test_two_cells_are_compared_on_the_same_rows(done: peftbench.Experiment) -> None:
    one, other = (
        done.predictions(f"{name}") for name in ("base/notes/-", "small lora/notes/1")
    )
    differ = one["answer"].fillna("") != other["answer"].fillna("")
    found = done.compare("base/notes/-", "small lora/notes/1")
    assert list(found["row"]) == list(one["row"][differ])
    assert done.compare("base/notes/-", "base/notes/-").empty
    with pytest.raises(InvalidSpec, match="were not asked the same rows"):
        done.compare("base/notes/-", "base/generated_sums/-")


def test_costs_and_advice_share_their_columns(done: peftbench.Experiment) -> None:
    costs = done.costs().set_index("method")
    assert costs.loc["base", "trainable_parameters"] == 0
    assert costs.loc["small lora", "peak_memory_bytes"] > 1e6
    within = done.advice(trainable_parameters=10)
    assert within.found is not None
    assert within.found.chosen.method == "base"
    assert "Over budget: small lora (trainable parameters)." in repr(within)
    assert within.to_json()["left_out"] == [
        {"method": "small lora", "over": ["trainable_parameters"], "unknown": []}
    ]
    none = done.advice(peak_memory_bytes=1)
    assert none.found is none.table is None
    assert "No method of this store fits peak memory" in repr(none)
    with pytest.raises(UnknownName, match="Did you mean 'peak_memory_bytes'"):
        done.advice(peak_memory=1)
    with pytest.raises(InvalidSpec, match="average_rank is no cost"):
        done.advice(average_rank=1)
    with pytest.raises(InvalidSpec, match="no model 'big'"):
        done.advice(model="big")


def test_rescoring_with_the_same_code_changes_nothing(done: peftbench.Experiment) -> None:
    found = done.rescore()
    assert [(one.test_set, one.is_changed, one.reason) for one in found] == [
        ("test", False, "")
    ] * 4


def test_what_is_forgotten_is_missing(copied: peftbench.Experiment) -> None:
    copied.forget("small lora/notes/1")
    [work] = copied.missing()
    assert work.train is not None
    assert work.train.task.name == "notes"
    assert list(copied.needs().values()) == ["run"]
    assert list(copied.cells()["status"]).count("missing") == 1
    assert copied.forget_all() == 3
    assert set(copied.cells()["status"]) == {"missing"}


def test_another_test_split_only_has_to_be_asked(copied: peftbench.Experiment) -> None:
    larger = spec(limits={"train": 20, "validation": 4, "test": 8})
    with peftbench.Experiment(larger, store=copied.folder) as experiment:
        by_method = {
            (one.label, experiment.needs()[one.cell.id]) for one in experiment.plan.cells
        }
    assert by_method == {("base", "run"), ("small lora", "ask")}


def test_an_opened_experiment_is_what_was_run(copied: peftbench.Experiment) -> None:
    with peftbench.Experiment.open(copied.folder) as opened:
        pd.testing.assert_frame_equal(opened.cells(), copied.cells())
        assert opened.name == "small"
        assert opened.missing() == []
        assert opened.run(workers=1).summary.finished_cells == 4
    with pytest.raises(InvalidSpec, match="no benchmark called 'x'; it has small"):
        peftbench.Experiment.open(copied.folder, "x")


def test_an_import_can_be_opened_and_not_run(copied: peftbench.Experiment) -> None:
    with Store.open(copied.folder) as store:
        theirs = {"name": "theirs", "protocol": "strict"}
        cells = copied.plan.cells
        store.add_benchmark("theirs", origin="a tool", spec=theirs, cells=cells)
    with peftbench.Experiment.open(copied.folder, "theirs") as opened:
        assert len(opened.cells()) == 4
        assert not opened.predictions("small lora/notes/1").empty
        assert {one.reason for one in opened.rescore()} == {""}
        with pytest.raises(InvalidSpec, match="models: missing"):
            opened.run()


def test_a_spec_comes_in_every_form(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("models: [tiny]\nmethods: [lora]\ntasks: [generated_sums]\n")
    for given in (file, str(file)):
        experiment = peftbench.Experiment(given)
        assert (experiment.name, experiment.origin) == ("mine", str(file))
        assert experiment.folder == Path("runs") / "mine"
    assert peftbench.Experiment("quickstart").origin == "suite quickstart"
    asked = from_mapping(spec(tasks=["generated_sums"]))
    assert peftbench.Experiment(asked).benchmark is asked
    with pytest.raises(InvalidSpec, match="sedes: unknown field"):
        peftbench.Experiment(spec(sedes=[1]))
    with pytest.raises(InvalidSpec, match="data folder 'nowhere' does not exist"):
        peftbench.Experiment("quickstart", data_dir="nowhere")


def test_plug_ins_are_arguments(tmp_path: Path) -> None:
    file = tmp_path / "narrow_lora.py"
    file.write_text(
        "from peftbench.methods.lora import Lora\n\n\nclass Narrow(Lora):\n"
        '    """LoRA, called otherwise."""\n\n\nMETHOD = Narrow\n'
    )
    asked = spec(methods=["narrow-lora"], tasks=["generated_sums"])
    [cell] = peftbench.Experiment(asked, plugins=[file]).plan.cells
    assert cell.cell.method.name == "narrow-lora"
    assert str(cell.cell.method.source).startswith("sha256:")


def plan_of(task: Any, folder: Path) -> Any:
    asked = spec(tasks=[task], methods=["lora"])
    [cell] = peftbench.Experiment(asked, store=folder).plan.cells
    return cell


def test_a_frame_is_a_task_known_by_its_content(tmp_path: Path) -> None:
    assert repr(notes()) == "FrameTask('notes': 40 rows)"
    first = plan_of(notes(), tmp_path / "a")
    assert first.cell.task.name == "notes"
    assert plan_of(notes(NOTES.copy()), tmp_path / "b").cell == first.cell
    other = NOTES.assign(note=NOTES["note"].str.upper())
    assert plan_of(notes(other), tmp_path / "a").cell != first.cell
    assert plan_of(notes(prompt="{note}"), tmp_path / "a").cell != first.cell
    assert plan_of(notes(), tmp_path / "a").cell == first.cell, "and the first again"
    split = {"train": NOTES[:30], "test": NOTES[30:]}
    assert plan_of(notes(split), tmp_path / "a").cell != first.cell


def test_what_is_wrong_with_a_frame_is_told_at_once() -> None:
    with pytest.raises(InvalidSpec, match="two words that differ"):
        notes(labels=["praise"])
    with pytest.raises(InvalidSpec, match="the same text, such as 1 and '1'"):
        notes(labels={1: "praise", "1": "complaint"})
    with pytest.raises(InvalidSpec, match="the task 'notes' has 1 wrong field"):
        notes(metrics="accuracy")
    with pytest.raises(InvalidSpec, match="letters, digits, _ and - only"):
        notes(name="my notes")
    with pytest.raises(InvalidSpec, match="both `train` and `test`"):
        notes({"train": NOTES})
    with pytest.raises(DataError, match=r"row 1 of file.jsonl: .*'kinds'"):
        notes(answer="kinds")
    with pytest.raises(
        DataError, match=r"'note' must be text.* row 2 of the frame has b'b"
    ):
        notes(NOTES.assign(note=["a", *(b"b" for _ in NOTES.index[1:])]))
    with pytest.raises(DataError, match="two columns 'note'"):
        notes(NOTES.rename(columns={"kind": "note"}))
    with pytest.raises(DataError, match=r"row 2 of file.jsonl: 'kind' is 'true'"):
        notes(NOTES.iloc[:2], labels={False: "praise", "x": "complaint"})
