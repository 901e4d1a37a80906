"""A store of version 1 comes into today's number by number; nothing else is in it."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from peftbench import api
from peftbench.cli._app import app
from peftbench.engine.regrade import regrade
from peftbench.engine.worker import Job, WorkerLoop
from peftbench.errors import StoreError
from peftbench.manifest import Manifest
from peftbench.planning.costs import unmeasured
from peftbench.planning.plan import make_plan
from peftbench.planning.wanted import wanted
from peftbench.spec import Grade, Predict, Trial, from_mapping, read_benchmark
from peftbench.spec.frozen import digest
from peftbench.store import (
    Graded,
    PlannedCell,
    Predicted,
    Record,
    Result,
    Store,
    Trained,
    Tried,
    row_scores,
    transfer,
)
from peftbench.store._files import digests
from peftbench.store._version_1 import cell_id
from peftbench.store.upgrade import Upgraded, upgrade
from store import version_1

Json = dict[str, Any]
EXPECTED: Json = json.loads(version_1.EXPECTED.read_text("utf-8"))
BENCHMARKS = list(EXPECTED["benchmarks"])

#: Where today's report says something else than that of version 1, and why.
DIFFERENT = {
    r"schema_version|peftbench_version": "of the code, not of the results",
    r"standings/\d+/cost/dtype": "auto has become what it was: float32 on a CPU",
    r"troubles/\d+/cell": "a cell has the id of its answers to the test split",
    r"searches/\d+/trials/\d+/cells": "trials are named by their steps, which are `runs` now",
}


@dataclass(frozen=True)
class Both:
    """The old store and the new one, and what the upgrade said."""

    old: Path
    new: Path
    outcome: Upgraded
    before: Mapping[str, str]
    """Digests of the old store's files."""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("stores")
    old = version_1.unpacked(folder / "old")
    with closing(sqlite3.connect(old / "store.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # as version 1 left its stores
    before = digests(old)
    return Both(old, folder / "new", upgrade(old, folder / "new"), before)


@pytest.fixture
def store(both: Both) -> Iterator[Store]:
    with Store.open(both.new, create=False) as opened:
        yield opened


def planned(store: Store, name: str) -> list[tuple[str, PlannedCell]]:
    """The cells of a benchmark, each with the id that it had."""
    found = store.benchmark(name)
    assert found is not None
    return list(zip(EXPECTED["benchmarks"][name]["cells"], found.cells, strict=True))


def every_cell(store: Store) -> dict[str, PlannedCell]:
    """All cells of all benchmarks by the ids that they had."""
    return {
        old: one for name in store.benchmark_names() for old, one in planned(store, name)
    }


def old_name(score: Any) -> str:
    """What version 1 called a score."""
    is_further = score.test_set == "mismatched"
    return f"mismatched_{score.metric}" if is_further else str(score.metric)


def numbers(score: Any, name: str | None = None) -> Json:
    return {
        "name": name or old_name(score),
        "value": score.value,
        "standard_error": score.standard_error,
        "examples": score.examples,
    }


def dumped(values: Any) -> Any:
    return [one.model_dump(mode="json") for one in values]


def phrases(record: Record) -> Json:
    """The counts of a record in the words of version 1."""
    counts = record.counts
    if counts is None:
        return {}
    how = {
        "prompts": "prompts in both {}",
        "normalised prompts": "prompts in both {}, normalised",
        "groups": "groups in both {}",
    }
    return {
        "train examples": counts.train_examples,
        "train examples left out as too long": counts.train_left_out_as_too_long,
        "train prompts cut at their start": counts.train_prompts_cut,
        "validation examples": counts.validation_examples,
        "test examples": counts.test_examples,
        "test prompts cut at their start": counts.test_prompts_cut,
        **{how[one.what].format("/".join(one.splits)): one.count for one in counts.leaks},
        **{
            f"{one.split} rows {one.reason}, left out": one.count
            for one in counts.rows_left_out
        },
    }


def in_force(old_id: str) -> Json:
    """The record of version 1 as its reports showed it."""
    record: Json = dict(EXPECTED["cells"][old_id]["record"])
    for one in EXPECTED["rescored"]:
        if one["rescored"]["cell_id"] == old_id:
            record |= {name: one["rescored"][name] for name in ("scores", "baselines")}
    return record


def grades(store: Store, predict: Predict) -> list[Result]:
    return store.results.looking_at([predict.id], "grade").get(predict.id, [])


# What is not touched, and what is refused


def test_old_store_stays_byte_for_byte(both: Both) -> None:
    assert digests(both.old) == both.before


def test_version_1_is_not_opened_and_the_message_says_what_to_do(both: Both) -> None:
    with pytest.raises(StoreError, match=re.escape(f"store upgrade --store {both.old}`")):
        Store.open(both.old)
    with pytest.raises(StoreError, match="older peftbench"):
        Store.open(both.old, create=False)
    assert digests(both.old) == both.before


def test_target_that_exists_is_refused(both: Both, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is there already"):
        upgrade(both.old, tmp_path)
    with pytest.raises(StoreError, match="lies in the old store"):
        upgrade(both.old, both.old / "new")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_store_of_version_1_is_refused(both: Both, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing to upgrade"):
        upgrade(both.new, tmp_path / "newer")
    with pytest.raises(StoreError, match="not a store"):
        upgrade(tmp_path, tmp_path / "new")
    (tmp_path / "store.sqlite").write_bytes(b"no database, and longer than a header is" * 9)
    with pytest.raises(StoreError, match="damaged"):
        upgrade(tmp_path, tmp_path / "new")


def test_command_writes_the_new_store_beside_the_old(tmp_path: Path) -> None:
    old = version_1.unpacked(tmp_path / "results")
    done = CliRunner().invoke(app, ["store", "upgrade", "--store", str(old)])
    assert done.exit_code == 0, done.output
    said = done.output.replace("\n", "")
    assert "results-2: 52 cells of 17 benchmarks, " in said
    assert "interrupted" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results", "results-2"]


# Numbers


def test_everything_is_there_and_whole(both: Both, store: Store) -> None:
    assert store.benchmark_names() == BENCHMARKS
    assert list(transfer.check(store)) == []
    assert both.outcome.cells == 52
    assert both.outcome.benchmarks == 17
    assert both.outcome.steps == len(store.results.step_ids())
    for name in BENCHMARKS:
        labels = [one.label for _, one in planned(store, name)]
        assert labels == EXPECTED["benchmarks"][name]["labels"]


def test_cells_without_a_result_have_none(store: Store) -> None:
    cells = every_cell(store)
    records = store.records(cells.values())
    without = {old for old, one in cells.items() if one.cell.id not in records}
    assert without == set(EXPECTED["without_a_result"])


@pytest.mark.parametrize("name", BENCHMARKS)
def test_records_have_the_same_numbers(store: Store, name: str) -> None:
    for old_id, one in planned(store, name):
        if old_id in EXPECTED["without_a_result"]:
            continue
        record, was = store.record(one), in_force(old_id)
        assert record is not None
        assert [numbers(score) for score in record.scores] == was["scores"]
        assert dumped(record.baselines) == was["baselines"]
        assert dumped(record.validations) == was["validations"]
        assert record.manifest == Manifest.model_validate(was["manifest"])
        assert record.seconds == was["seconds"]
        for part in (
            "kind", "status", "error", "steps", "best_step", "trainable_parameters",
            "stored_bytes", "micro_batch_size", "facts", "wall_seconds",
        ):  # fmt: skip
            assert getattr(record, part) == was[part], part
        for part in ("provenance", "reported"):
            found = getattr(record, part)
            assert (found and found.model_dump(mode="json")) == was[part]
        assert [
            {"name": lost.metric, "reason": lost.reason, "is_headline": lost.is_headline}
            for lost in record.unavailable
        ] == was["unavailable"]
        if was["counts"]:
            assert phrases(record) == was["counts"]
        assert [
            {**trial.model_dump(mode="json", exclude={"runs"}), "cells": len(trial.runs)}
            for trial in record.trials
        ] == [{**trial, "cells": len(trial["cells"])} for trial in was["trials"]]


def test_units_and_directions_are_those_of_the_catalogue(store: Store) -> None:
    records = store.records(every_cell(store).values())
    found = {
        (one.metric, one.unit, one.better, one.lowest, one.highest)
        for record in records.values()
        for one in record.scores
    }
    assert ("accuracy", "fraction correct", "higher", 0.0, 1.0) in found
    assert ("likelihood_accuracy", "fraction correct", "higher", 0.0, 1.0) in found
    assert ("pearson", "correlation", "higher", -1.0, 1.0) in found
    assert ("forgetting", "nats per token", "lower", None, None) in found
    assert all(unit for _, unit, *_ in found)


def test_trials_have_the_same_numbers(store: Store) -> None:
    seen = []
    for old_id, one in every_cell(store).items():
        was = EXPECTED["cells"].get(old_id, {}).get("record", {}).get("trials", ())
        for trial, old in zip(one.trials, was, strict=True):
            for run, old_run in zip(trial.runs, old["cells"], strict=True):
                _same_trial(store.results.by_id([run])[run], old_run)
                seen.append(old_run)
    trials = [
        old
        for old, one in EXPECTED["cells"].items()
        if one["record"]["cell"]["trial"] is not None
    ]
    assert set(seen) == set(trials)
    assert len(trials) == 13


def _same_trial(found: Result, old_id: str) -> None:
    was = EXPECTED["cells"][old_id]["record"]
    outcome = found.outcome
    assert isinstance(outcome, Trained | Tried)
    assert dumped(outcome.validations) == was["validations"]
    for part in ("status", "best_step", "seconds", "wall_seconds"):
        assert getattr(outcome, part) == was[part]
    bounds = [bound for bound in was["cell"]["trial"]["stop_below"] if bound is not None]
    if not bounds:
        assert isinstance(outcome, Trained)
        assert outcome.steps == was["steps"]
        assert outcome.train_examples == was["counts"]["train examples"]
        assert outcome.trainable_parameters == was["trainable_parameters"]
        assert not found.has_adapter
    else:
        assert isinstance(found.step, Trial)
        assert isinstance(outcome, Tried)
        assert [b for b in found.step.stop_below if b is not None] == bounds
        assert outcome.is_pruned == (len(was["validations"]) < 4)


def test_pruned_trial_is_no_whole_run(store: Store) -> None:
    tried = store.results.of_kind("trial")
    assert [one.outcome.is_pruned for one in tried if isinstance(one.outcome, Tried)] == [
        True,
        True,
    ]
    trains = [one.step.train.id for one in tried if isinstance(one.step, Trial)]
    assert store.results.by_id(trains) == {}


def test_import_that_no_benchmark_names_is_kept(store: Store) -> None:
    orphans = [
        EXPECTED["cells"][old]["record"]
        for old in EXPECTED["in_no_benchmark"]
        if EXPECTED["cells"][old]["record"]["kind"] == "imported"
    ]
    trained = {
        one.step.origin: one
        for one in store.results.of_kind("train")
        if getattr(one.step, "origin", None)
    }
    assert len(orphans) == 1
    for was in orphans:
        found = trained[was["cell"]["origin"]]
        assert isinstance(found.outcome, Trained)
        assert dumped(found.outcome.validations) == was["validations"]
        predicts = store.results.looking_at([found.step.id], "predict")[found.step.id]
        step = predicts[0].step
        assert isinstance(step, Predict)
        [grade] = grades(store, step)
        assert isinstance(grade.outcome, Graded)
        assert [numbers(one) for one in grade.outcome.scores] == was["scores"]


def test_perturbed_sets_have_the_same_numbers(both: Both, store: Store) -> None:
    cells, seen = every_cell(store), 0
    newest = {
        one["rescored"]["evaluation_id"]: one["rescored"]["comparison"]
        for one in EXPECTED["rescored_evaluations"]
    }
    for evaluation_id, one in EXPECTED["evaluations"].items():
        was, planned_cell = one["evaluation"], cells[one["evaluation"]["cell_id"]]
        record = store.record(planned_cell)
        assert record is not None
        [found] = [
            e
            for e in record.evaluations
            if e.test_set.model_dump(mode="json") == was["test_set"]
        ]
        counts = was["counts"]
        assert found.error == was["error"]
        assert found.examples == counts.get("examples", 0)
        assert found.rows_not_asked == counts.get("rows not asked", 0)
        assert found.prompts_cut == counts.get("prompts cut at their start", 0)
        result = store.results.by_id([planned_cell.cell.predict(found.test_set).id])
        [asked] = result.values()
        assert isinstance(asked.outcome, Predicted)
        assert asked.outcome.seconds == was["seconds"]
        assert asked.outcome.manifest == Manifest.model_validate(was["manifest"])
        comparison = newest.get(evaluation_id, was["comparison"])
        assert _compared(found.comparison) == comparison
        assert isinstance(asked.step, Predict)
        own = grades(store, asked.step)
        if was["comparison"] is not None:
            assert isinstance(own[0].outcome, Graded)
            assert _compared(own[0].outcome.perturbed) == was["comparison"]
        seen += 1
    assert seen == 10


def _compared(comparison: Any) -> Json | None:
    if comparison is None:
        return None
    return {
        "scores": [numbers(one, one.metric) for one in comparison.scores],
        "constant": comparison.constant.model_dump(),
        "clean": numbers(comparison.clean, comparison.clean.metric),
        "clean_constant": comparison.clean_constant.model_dump(),
    }


def test_newer_scores_are_newer_grades_in_their_order(store: Store) -> None:
    cells = every_cell(store)
    by_cell: dict[str, list[Json]] = {}
    for one in EXPECTED["rescored"]:
        by_cell.setdefault(one["rescored"]["cell_id"], []).append(one["rescored"])
    assert sorted(map(len, by_cell.values())) == [1, 2]
    for old_id, again in by_cell.items():
        cell = cells[old_id].cell
        found = grades(store, cell.predict())
        assert len(found) == 1 + len(again)
        first = EXPECTED["cells"][old_id]["record"]["scores"]
        for result, was in zip(found, [{"scores": first}, *again], strict=True):
            assert isinstance(result.outcome, Graded)
            own = [
                one for one in was["scores"] if not one["name"].startswith("mismatched_")
            ]
            assert [numbers(one) for one in result.outcome.scores] == own
        for result, was in zip(found[1:], again, strict=True):
            assert isinstance(result.outcome, Graded)
            assert isinstance(result.step, Grade)
            assert result.outcome.scorer == result.step.scorer == was["scorer"]
            assert result.outcome.graded_at == was["rescored_at"]
            assert result.outcome.task_version == was["task_version"]
            assert result.outcome.peftbench_version == was["peftbench_version"]
        record = store.record(cells[old_id])
        assert record is not None
        assert record.grade == found[-1].step.id
        assert record.times_graded == len(found)
        rows = row_scores(store.results, found[-1].step.id)
        assert rows == EXPECTED["cells"][old_id]["row_scores_in_force"]


def test_newer_comparisons_are_newer_grades_in_their_order(store: Store) -> None:
    cells, seen = every_cell(store), 0
    for evaluation_id, one in EXPECTED["evaluations"].items():
        again = [
            other["rescored"]
            for other in EXPECTED["rescored_evaluations"]
            if other["rescored"]["evaluation_id"] == evaluation_id
        ]
        cell = cells[one["evaluation"]["cell_id"]]
        [test_set] = [
            found
            for found in cell.perturbed
            if found.model_dump(mode="json") == one["evaluation"]["test_set"]
        ]
        own = grades(store, cell.cell.predict(test_set))
        assert [_compared(g.outcome.perturbed) for g in own[1:]] == [  # type: ignore[union-attr]
            was["comparison"] for was in again
        ]
        assert [g.step.scorer for g in own[1:]] == [was["scorer"] for was in again]  # type: ignore[union-attr]
        assert all(g.step.beside == cell.cell.id for g in own)  # type: ignore[union-attr]
        seen += len(again)
    assert seen == 4


def test_rows_are_the_same_in_every_column(both: Both, store: Store) -> None:
    seen = 0
    for old_id, one in every_cell(store).items():
        for name in EXPECTED["cells"].get(old_id, {}).get("files", ()):
            if not name.endswith(".parquet"):
                continue
            test = name.removeprefix("predictions").strip("_").removesuffix(".parquet")
            [predict] = [
                p
                for p in one.predicts
                if p.test_set.name == (test.removeprefix(".parquet") or "test")
            ]
            expected = _columns(both.old / "cells" / old_id / name)
            newest = EXPECTED["cells"][old_id].get("row_scores_in_force")
            if newest and name == "predictions.parquet":
                first = grades(store, predict)[0]
                assert row_scores(store.results, first.step.id) == expected["score"]
                expected["score"] = newest
            _same_table(store, predict, expected)
            seen += 1
    for evaluation_id, one in EXPECTED["evaluations"].items():
        cell = every_cell(store)[one["evaluation"]["cell_id"]]
        for name in one["files"]:
            [predict] = [
                p
                for p in cell.predicts
                if p.test_set.model_dump(mode="json") == one["evaluation"]["test_set"]
            ]
            expected = _columns(both.old / "evaluations" / evaluation_id / name)
            own = grades(store, predict)
            assert row_scores(store.results, own[0].step.id) == expected["score"]
            if len(own) > 1:  # version 1 kept no row scores of these
                expected["score"] = [None] * len(expected["score"])
            _same_table(store, predict, expected)
            seen += 1
    assert seen == 55


def _columns(path: Path) -> Json:
    found: Json = pq.read_table(path).to_pydict()
    return found


def _same_table(store: Store, predict: Predict, expected: Json) -> None:
    table = store.predictions(predict.id)
    assert table is not None
    assert table.to_pydict() == expected


def test_kept_adapters_are_the_same_files(both: Both, store: Store) -> None:
    seen = 0
    for old_id, one in every_cell(store).items():
        files = EXPECTED["cells"].get(old_id, {}).get("files", {})
        adapter = {name: d for name, d in files.items() if name.startswith("adapter/")}
        train = one.cell.train
        found = store.results.by_id([train.id]).get(train.id) if train else None
        if found is None:
            assert not adapter
            continue
        # What says which method it is named the cell, and no cell has that id any more.
        assert found.has_adapter == bool(adapter)
        about = adapter.pop("adapter/peftbench.json", None)
        own = {
            name: d for name, d in found.digests.items() if name != "adapter/peftbench.json"
        }
        assert own == adapter
        if about:
            folder = store.results.adapter(found)
            assert folder is not None
            said = json.loads((folder / "peftbench.json").read_text("utf-8"))
            assert said == {"method": one.cell.method.model_dump(mode="json")}
            seen += 1
    assert seen == 3


def test_costs_are_the_same_and_predicted_ones_beside_the_measured(store: Store) -> None:
    found = {}
    for one in store.results.of_kind("measure"):
        said = one.outcome.model_dump(mode="json")
        assert said.pop("device_kind") == "cpu"
        assert said["probe"].pop("precision") == "float32", "all that version 1 measured in"
        assert said["dtype"] == "float32"
        found[said["basis"], said["method"]["name"]] = said
    assert len(found) == 6
    for one in EXPECTED["costs"]:
        was = {**one["cost"], "dtype": "float32"}
        assert found[was["basis"], was["method"]["name"]] == was


# Reports


@pytest.mark.parametrize("name", BENCHMARKS)
def test_report_has_the_same_numbers(store: Store, name: str) -> None:
    was = json.loads(EXPECTED["benchmarks"][name]["report_json"])
    found = json.loads(api.results(store, name).render("json"))
    for entry in found["entries"]:
        entry["other_scores"] = {
            _old_metric(one): one["by_seed"] for one in entry["other_scores"]
        }
    for task in found["tasks"]:
        task["leaks"] = {one["what"]: one["count"] for one in task["leaks"]}
    for search in found["searches"]:
        for trial in search["trials"]:
            trial["cells"] = trial.pop("runs")
    assert list(_differences(was, found)) == []


def _old_metric(one: Json) -> str:
    return (
        one["metric"] if one["test_set"] == "test" else f"{one['test_set']}_{one['metric']}"
    )


def _differences(was: Any, found: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """What was said and is now said otherwise, or not any more."""
    if any(re.fullmatch(pattern, path) for pattern in DIFFERENT):
        return
    if isinstance(was, dict) and isinstance(found, dict):
        for name, value in was.items():
            place = f"{path}/{name}" if path else name
            yield from _differences(value, found.get(name, "absent"), place)
        if re.search(r"by_seed|other_scores|leaks|varied|budgets", path):
            assert found.keys() == was.keys(), path
    elif isinstance(was, list) and isinstance(found, list) and len(was) == len(found):
        for place, (one, other) in enumerate(zip(was, found, strict=True)):
            yield from _differences(one, other, f"{path}/{place}")
    elif was != found:
        yield path, was, found


@pytest.mark.parametrize("name", BENCHMARKS)
def test_csv_has_the_same_numbers(store: Store, name: str) -> None:
    was = list(csv.DictReader(io.StringIO(EXPECTED["benchmarks"][name]["report_csv"])))
    found = list(csv.DictReader(io.StringIO(api.results(store, name).render("csv"))))
    assert [{**_old_row(row)} for row in found] == was
    assert all(row["unit"] and row["better"] for row in found)


def _old_row(row: Mapping[str, str]) -> Json:
    """A row as version 1 had it: test set and statistic stood in the metric."""
    row = dict(row)
    test_set, statistic = row.pop("test_set"), row.pop("statistic")
    del row["unit"], row["better"]
    if test_set == "mismatched":
        row["metric"] = f"mismatched_{row['metric']}"
    elif test_set != "test":
        row["metric"] = f"{test_set}:{row['metric'] if statistic == 'score' else statistic}"
    return row


# What is done is done


@pytest.mark.parametrize("name", ["plain", "kept", "tuned", "robust", "troubles"])
def test_plan_of_the_same_spec_finds_its_cells(store: Store, name: str) -> None:
    benchmark = read_benchmark(str(version_1.HERE / "specs" / f"{name}.yaml"))
    data = version_1.DATA if name == "robust" else None
    plan = make_plan(benchmark, data)
    stored = [one for _, one in planned(store, name)]
    chosen = stored if name == "tuned" else plan.cells
    missing = wanted(chosen, store.results, keep_adapters=benchmark.keep_adapters)
    names = {one.cell.train.id: one.label for one in stored if one.cell.train}
    asked_anew = {"interrupted", "never run"} if name == "troubles" else set()
    assert {names[one.unit] for one in missing} == asked_anew
    if name != "tuned":
        own = [one.model_copy(update={"perturbed": ()}) for one in stored]
        assert own == [one.model_copy(update={"perturbed": ()}) for one in plan.cells]


def test_first_trial_of_a_search_is_found(store: Store) -> None:
    """Later ones are suggested anew: a search was told by the ids of its cells."""
    from peftbench.search.tuning import TuningSource

    plan = make_plan(read_benchmark(str(version_1.HERE / "specs" / "tuned.yaml")))
    source = TuningSource(plan, store)
    assert source.trials_left() == 2
    [work] = source.ask() or ()
    assert source.names[work.unit] == "tiny · lora · generated_mood · trial 1"


def test_costs_are_not_measured_again(store: Store) -> None:
    plan = make_plan(read_benchmark(str(version_1.HERE / "specs" / "plain.yaml")))
    assert unmeasured(plan.cells, plan.models, store.results) == []


def test_benchmarks_open_as_they_were_run(both: Both, tmp_path: Path) -> None:
    with api.Experiment.open(both.new, "plain") as experiment:
        assert experiment.missing() == []
        assert experiment.record("lora/generated_mood/1").headline is not None
    with Store.open(both.new, create=False) as opened:
        found = {
            one.name: (one.origin, one.spec, one.created_at) for one in opened.benchmarks()
        }
    was = {row["name"]: row for row in _rows_of(both.old, "benchmarks", tmp_path / "copy")}
    assert found == {
        name: (row["origin"], json.loads(row["spec"]), row["created_at"])
        for name, row in was.items()
    }


def _rows_of(folder: Path, table: str, copy: Path) -> list[Json]:
    """Rows of an old store, from a copy: reading a database writes beside it."""
    shutil.copyfile(folder / "store.sqlite", copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"select * from {table}")]


def test_copy_has_the_same_records(both: Both, tmp_path: Path) -> None:
    """Of several grades of the same rows the newest is in force there too."""
    with Store.open(both.new, create=False) as source:
        transfer.copy(source, tmp_path / "copy")
        with Store.open(tmp_path / "copy") as copied:
            for name in BENCHMARKS:
                cells = [one for _, one in planned(source, name)]
                assert copied.records(cells) == source.records(cells)


def test_grading_again_by_todays_code_changes_nothing(both: Both, tmp_path: Path) -> None:
    """But what two altered scorers had graded, by the rules of another day."""
    with Store.open(both.new, create=False) as source:
        transfer.copy(source, tmp_path / "copy")
    with Store.open(tmp_path / "copy") as store:
        changed, refused = set(), {}
        for name in BENCHMARKS:
            if name == "programs-not-run":
                continue  # where there is a sandbox today, they are run
            cells = [one for _, one in planned(store, name)]
            for one in regrade(cells, store.results):
                if one.is_changed:
                    changed.add((name, one.planned.cell.task.name, one.test_set))
                if one.reason:
                    refused[name, one.planned.cell.task.name] = one.reason
    assert changed == {
        ("rescored", "mnli", "test"),
        ("rescored", "mnli", "anli_r1"),
        ("rescored", "mnli", "hans"),
        ("peft-factory-strict", "rte", "test"),
    }
    assert {place[1] for place in refused} <= {"reviews", "MetaMathQA"}


# What is not as it was written, and what the fixture does not hold


@dataclass
class Edited:
    """A store of version 1, to be altered and upgraded."""

    old: Path
    new: Path

    def change(self, old_id: str, change: Callable[[Json], None], *, to: str = "") -> str:
        """Alter a record; with `to`, a copy of it under the id that its cell then has."""
        with closing(sqlite3.connect(self.old / "store.sqlite")) as connection:
            text, files, status = connection.execute(
                "select record, files, status from records where cell_id = ?", [old_id]
            ).fetchone()
            record = json.loads(text)
            change(record)
            name = cell_id(record["cell"]) if to else old_id
            kept = "{}" if to == "without files" else files
            connection.execute(
                "insert or replace into records (cell_id, status, record, files) "
                "values (?, ?, ?, ?)",
                [name, record["status"] or status, json.dumps(record), kept],
            )
            connection.commit()
        return name

    def upgraded(self) -> tuple[Upgraded, Store]:
        outcome = upgrade(self.old, self.new)
        return outcome, Store.open(self.new, create=False)


@pytest.fixture
def edited(tmp_path: Path, request: pytest.FixtureRequest) -> Edited:
    """With the benchmarks that a test names alone."""
    old = version_1.unpacked(tmp_path / "old")
    names = request.param
    cells = [cell for name in names for cell in EXPECTED["benchmarks"][name]["cells"]]
    records = [EXPECTED["cells"][cell]["record"] for cell in cells]
    cells += [run for one in records for trial in one["trials"] for run in trial["cells"]]
    with closing(sqlite3.connect(old / "store.sqlite")) as connection:
        for table, column, kept in (
            ("benchmarks", "name", names),
            ("records", "cell_id", cells),
        ):
            marks = ",".join("?" * len(kept))
            connection.execute(
                f"delete from {table} where {column} not in ({marks})", list(kept)
            )
        connection.execute("delete from costs")
        connection.commit()
    return Edited(old, tmp_path / "new")


def of(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("edited", [names], indirect=True, ids=["+".join(names)])


def old_cell(benchmark: str, label: str) -> str:
    """The id that the first cell of a label had."""
    found = EXPECTED["benchmarks"][benchmark]
    return str(found["cells"][found["labels"].index(label)])


@of("plain", "kept")
def test_altered_file_costs_its_cell_and_nothing_else(edited: Edited) -> None:
    spoilt = old_cell("plain", "ia3")
    path = edited.old / "cells" / spoilt / "predictions.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    gone = old_cell("kept", "ia3")
    (edited.old / "cells" / gone / "adapter" / "adapter_model.safetensors").unlink()
    outcome, store = edited.upgraded()
    cells = every_cell(store)
    records = store.records(cells.values())
    missing = {old for old, one in cells.items() if one.cell.id not in records}
    assert missing == {spoilt, gone}
    assert outcome.cells == 14 + 3 - 1 - 2, "base is a cell of both"
    told = [note for note in outcome.notes if "is not carried over: /" in note]
    assert len(told) == 2
    assert any(
        note.startswith("tiny · ia3 · generated_mood · seed 1 ") and str(path) in note
        for note in told
    )
    assert any("adapter_model.safetensors" in note for note in told)


@of("rescored")
def test_altered_evaluation_or_rows_cost_themselves_alone(edited: Edited) -> None:
    evaluation_id = next(
        i
        for i, one in EXPECTED["evaluations"].items()
        if one["evaluation"]["test_set"]["name"] == "hans"
        and one["evaluation"]["cell_id"] == old_cell("rescored", "ia3")
    )
    next((edited.old / "evaluations" / evaluation_id).iterdir()).write_bytes(b"")
    was = EXPECTED["rescored"][-1]["rescored"]
    folder = edited.old / "rescored" / was["cell_id"] / was["scorer"]
    (folder / "rows.parquet").write_bytes(b"")
    outcome, store = edited.upgraded()
    assert sum("is not as it was written" in note for note in outcome.notes) == 2
    assert outcome.cells == 2
    one = every_cell(store)[was["cell_id"]]
    record = store.record(one)
    assert record is not None
    assert record.times_graded == 2
    assert [test_set.name for test_set in one.perturbed] == ["anli_r1"]


@of("rescored")
def test_further_test_that_was_scored_otherwise_has_a_grade_more(edited: Edited) -> None:
    was = EXPECTED["rescored"][-1]["rescored"]
    with closing(sqlite3.connect(edited.old / "store.sqlite")) as connection:
        changed = json.loads(json.dumps(was))
        changed["scores"][4]["value"] = 0.625
        connection.execute(
            "update rescored set rescored = ? where scorer = ?",
            [json.dumps(changed), was["scorer"]],
        )
        connection.commit()
    _, store = edited.upgraded()
    one = every_cell(store)[was["cell_id"]]
    record = store.record(one)
    assert record is not None
    assert [numbers(score) for score in record.scores] == changed["scores"]
    first, newest = grades(store, one.predicts[1])
    assert None not in row_scores(store.results, first.step.id)
    # Version 1 kept the scores of single rows of the test split alone.
    assert set(row_scores(store.results, newest.step.id)) == {None}


@of("plain")
def test_record_that_cannot_be_read_costs_itself_alone(edited: Edited) -> None:
    broken = old_cell("plain", "ia3")
    edited.change(broken, lambda record: record.pop("scores"))
    outcome, store = edited.upgraded()
    assert outcome.cells == 13
    [note] = [note for note in outcome.notes if "cannot be read" in note]
    assert note.startswith("tiny · ia3 · generated_mood · seed 1 is not carried over")
    assert store.record(every_cell(store)[broken]) is None


@of("plain")
def test_counts_are_told_in_their_fields(edited: Edited) -> None:
    old_id = old_cell("plain", "lora")
    said = {
        "prompts in both train/test": 2,
        "prompts in both train/test, normalised": 3,
        "groups in both validation/test": 4,
        "train rows without a solution, left out": 5,
        "mismatched rows without a label, left out": 6,
        "train examples left out as too long": 7,
        "train prompts cut at their start": 8,
        "test prompts cut at their start": 9,
    }
    edited.change(old_id, lambda record: record["counts"].update(said))
    _, store = edited.upgraded()
    record = store.record(every_cell(store)[old_id])
    assert record is not None
    assert phrases(record) == {**EXPECTED["cells"][old_id]["record"]["counts"], **said}


@of("kept")
def test_trial_with_the_settings_of_a_final_run_shares_its_training(edited: Edited) -> None:
    final = old_cell("kept", "ia3")

    def as_trial(record: Json) -> None:
        record["cell"]["trial"] = {"stop_below": []}
        record |= {"scores": [], "baselines": [], "stored_bytes": None, "facts": {}}

    edited.change(final, as_trial, to="without files")
    outcome, store = edited.upgraded()
    planned_cell = every_cell(store)[final]
    record = store.record(planned_cell)
    assert record is not None
    assert record.has_adapter
    assert record.stored_bytes == EXPECTED["cells"][final]["record"]["stored_bytes"]
    assert store.results.contradictions() == []
    assert not any("other numbers" in note for note in outcome.notes)


@of("kept")
def test_trial_with_other_numbers_than_its_final_run_is_told(edited: Edited) -> None:
    final = old_cell("kept", "ia3")

    def as_other(record: Json) -> None:
        record["cell"]["trial"] = {"stop_below": []}
        record["validations"][0]["score"] = 0.875

    edited.change(final, as_other, to="without files")
    outcome, store = edited.upgraded()
    record = store.record(every_cell(store)[final])
    assert record is not None
    was = EXPECTED["cells"][final]["record"]["validations"]
    assert dumped(record.validations) == was
    [other] = store.results.contradictions()
    assert isinstance(other.outcome, Trained)
    assert other.outcome.validations[0].score == 0.875
    assert any("other numbers" in note for note in outcome.notes)


@of("pruned")
def test_trial_that_was_not_given_up_is_a_whole_run_too(edited: Edited) -> None:
    trial = next(
        old
        for old, one in EXPECTED["cells"].items()
        if any(
            b is not None
            for b in (one["record"]["cell"]["trial"] or {"stop_below": ()})["stop_below"]
        )
    )

    def whole(record: Json) -> None:
        last = record["validations"][-1]
        record["validations"].append({**last, "step": 8, "epoch": 1.0})
        record |= {"steps": 8}

    edited.change(trial, whole)
    _, store = edited.upgraded()
    tried = [
        (one.step.train.id, one.outcome)
        for one in store.results.of_kind("trial")
        if isinstance(one.step, Trial) and isinstance(one.outcome, Tried)
    ]
    [(train, found)] = [one for one in tried if not one[1].is_pruned]
    run = store.results.by_id([train])[train].outcome
    assert isinstance(run, Trained)
    assert run.validations == found.validations
    assert len(run.validations) == 4


@of("kept", "hf-method-comparison")
def test_precision_on_a_gpu_is_what_the_model_states(edited: Edited) -> None:
    on_gpu = old_cell("kept", "ia3")
    edited.change(on_gpu, lambda record: record["manifest"].update(device="cuda:0"))
    outcome, store = edited.upgraded()
    assert every_cell(store)[on_gpu].cell.model.dtype == "bfloat16"  # tiny states it
    assert not any("precision" in note for note in outcome.notes)
    every = {one.cell.model.dtype for one in every_cell(store).values()}
    assert every == {"float32", "bfloat16"}  # the last of imports, which say it


@of("kept")
def test_precision_that_cannot_be_known_stays_auto_and_is_told(edited: Edited) -> None:
    elsewhere = old_cell("kept", "ia3")

    def other_model(record: Json) -> None:
        record["manifest"]["device"] = "cuda:0"
        record["cell"]["model"]["identity"] = "sha256:0"

    edited.change(elsewhere, other_model, to="with files")
    shutil.copytree(
        edited.old / "cells" / elsewhere,
        edited.old / "cells" / _with_identity(elsewhere, "sha256:0"),
    )
    outcome, store = edited.upgraded()
    [note] = [note for note in outcome.notes if "precision" in note]
    assert "The precision of tiny stays auto" in note
    trains = [one.step for one in store.results.of_kind("train")]
    assert [one.base.dtype for one in trains if one.base.identity == "sha256:0"] == ["auto"]  # type: ignore[union-attr]


def _with_identity(old_id: str, identity: str) -> str:
    cell = json.loads(json.dumps(EXPECTED["cells"][old_id]["record"]["cell"]))
    cell["model"]["identity"] = identity
    return cell_id(cell)


@of("kept")
def test_metric_that_is_not_known_keeps_its_number_and_is_told(edited: Edited) -> None:
    old_id = old_cell("kept", "ia3")

    def other_metric(record: Json) -> None:
        record["scores"][1]["name"] = "of_a_plug_in"

    edited.change(old_id, other_metric)
    outcome, store = edited.upgraded()
    record = store.record(every_cell(store)[old_id])
    assert record is not None
    score = record.scores[1]
    was = EXPECTED["cells"][old_id]["record"]["scores"][1]
    assert numbers(score) == {**was, "name": "of_a_plug_in"}
    assert (score.unit, score.better) == ("", "higher")
    assert any(note.startswith("of_a_plug_in is no metric") for note in outcome.notes)


def test_ids_are_those_that_version_1_gave() -> None:
    for old_id, one in EXPECTED["cells"].items():
        assert cell_id(one["record"]["cell"]) == old_id


def test_steps_say_that_nobody_named_the_first_scorer(store: Store) -> None:
    for one in every_cell(store).values():
        for found in grades(store, one.cell.predict())[:1]:
            assert isinstance(found.outcome, Graded)
            version = found.outcome.peftbench_version
            task = one.cell.task.version
            assert found.outcome.scorer == digest(["version 1", version, task])


# Going on from there


@pytest.mark.parametrize("same", [True, False])
def test_adapter_that_was_never_kept_is_made_again(tmp_path: Path, same: bool) -> None:
    """A run of version 1 has no files to compare with; its validations must be the same."""
    with Store.open(tmp_path / "first") as first:
        _work_through(4, first)
        [train] = first.results.of_kind("train")
    run = train.outcome
    assert isinstance(run, Trained)
    if not same:
        [look] = run.validations
        other = look.model_copy(update={"train_loss": 99.0})
        run = run.model_copy(update={"validations": (other,)})
    with Store.open(tmp_path / "second") as second:
        second.results.commit(None, train.step, run)
        record = _work_through(3, second)
        [found] = second.results.of_kind("train")
        assert record.status == ("finished" if same else "failed")
        assert found.outcome == run
        assert found.has_adapter == same
        assert len(second.results.contradictions()) == (not same)
        if same:
            assert found.digests == train.digests
            assert list(transfer.check(second)) == []


def _work_through(test: int, store: Store) -> Record:
    """Run one cell with so many test rows."""
    plan = make_plan(
        from_mapping(
            {
                "name": "again",
                "models": ["tiny"],
                "methods": ["ia3"],
                "tasks": ["generated_mood"],
                "seeds": [1],
                "training": {"steps": 1, "batch_size": 2, "validations": 1},
                "limits": {"train": 4, "validation": 4, "test": test},
            }
        )
    )
    queue = store.queue("run")
    queue.open()
    queue.want(wanted(plan.cells, store.results))
    queue.close()
    job = Job(
        store=store.folder,
        run="run",
        holder="me",
        models=plan.models,
        data_dir=None,
        threads=1,
    )
    WorkerLoop(job, store).work()
    record = store.record(plan.cells[0])
    assert record is not None
    return record
