"""From records to a summary: no mean over unequal sets, nothing that failed left out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from peftbench.cost.costs import Cost, Memory
from peftbench.errors import InvalidSpec
from peftbench.evaluation.scores import Baseline, Score, Unavailable
from peftbench.manifest import Manifest
from peftbench.report.setup import machine_facts, method_table
from peftbench.report.words import how_sure
from peftbench.scoring import Summary, pscp, summarise, to_rows
from peftbench.scoring.recommend import recommend
from peftbench.spec import Cell, CellMethod, CellModel, CellTask, Limits, Probe, Training
from peftbench.spec.facts import MethodFacts, TaskFacts
from peftbench.store.planned import PlannedCell, TrialResult
from peftbench.store.record import Record
from peftbench.training.validation import Validation

TASKS = ("sst2", "stsb")
NOT_TOLD = TaskFacts(description="")


def in_table(cell: Cell, model: str, label: str) -> PlannedCell:
    """A cell of a task that is told by its scores alone."""
    return PlannedCell(cell=cell, model=model, label=label, task=NOT_TOLD)


def cell(
    method: str, task: str, seed: int | None, *, model: str = "tiny", **parameters: Any
) -> Cell:
    return Cell(
        model=CellModel(
            name=model, identity=f"sha256:{model}", dtype="float32", chat_template=True
        ),
        method=CellMethod(name=method, parameters=parameters),
        task=CellTask(name=task, version=1, data="sha256:00"),
        seed=seed,
        training=None if seed is None else Training(learning_rate=1e-3),
        max_length=64,
        limits=Limits(),
        protocol="strict",
    )


def manifest(host: str = "here") -> Manifest:
    return Manifest(
        started_at="2026-01-01T00:00:00Z",
        finished_at="2026-01-01T00:01:00Z",
        host=host,
        platform="Linux",
        device="cpu",
        threads=1,
        packages={"torch": "2"},
        git_commit=None,
        git_dirty=None,
        initial_adapter_sha256=None,
        chat_template=False,
    )


def cost(method: str, *, model: str = "tiny", extra: int = 0, **parameters: Any) -> Cost:
    return Cost(
        model=model,
        model_identity=f"sha256:{model}",
        dtype="float32",
        method=CellMethod(name=method, parameters=parameters),
        probe=Probe(),
        device="cpu",
        trainable_parameters=1_000_000,
        base_parameters=10,
        stored_bytes=10,
        forward_flops=10**12,
        extra_forward_flops=extra,
        training_step_flops=10**12,
        peak_memory=Memory(
            total=10**9, weights=1, adapter=1, gradients=1, optimizer=1, activations=1
        ),
        step_seconds=None,
        step_seconds_spread=None,
        packages={},
    )


def scored(metric: str, value: float) -> Score:
    """A score of a metric that needs not be installed."""
    return Score(
        metric=metric,
        value=value,
        standard_error=0.01,
        examples=100,
        unit="of its own",
        better="lower" if "error" in metric else "higher",
    )


@dataclass
class Bench:
    """A benchmark under way: what was planned, what has come back."""

    planned: list[PlannedCell] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    costs: list[Cost] = field(default_factory=list)
    rows: dict[str, Sequence[float]] = field(default_factory=dict)

    def plan(self, label: str, task: str, seed: int | None, *, model: str = "tiny") -> Cell:
        method = label.partition(" ")[0]
        parameters = {"rank": int(label.split("=")[1])} if "=" in label else {}
        planned = cell(method, task, seed, model=model, **parameters)
        self.planned.append(in_table(planned, model, label))
        return planned

    def finish(
        self,
        label: str,
        task: str,
        seed: int | None,
        value: float,
        *,
        metric: str | None = None,
        model: str = "tiny",
        others: Mapping[str, float] | None = None,
        rows: Sequence[float] = (),
        host: str = "here",
    ) -> Cell:
        done = self.plan(label, task, seed, model=model)
        name = metric or {"sst2": "accuracy", "stsb": "pearson"}.get(task, "accuracy")
        scores = {name: value, **(others or {})}
        self.records[done.id] = Record(
            cell=done,
            task=NOT_TOLD,
            status="finished",
            manifest=manifest(host),
            scores=tuple(scored(n, v) for n, v in scores.items()),
            baselines=(Baseline(name="majority class", answer="x", value=0.5),),
        )
        if rows:
            self.rows[done.id] = rows
        return done

    def fail(self, label: str, task: str, seed: int, status: Any, why: str) -> Cell:
        failed = self.plan(label, task, seed)
        self.records[failed.id] = Record(
            cell=failed, task=NOT_TOLD, status=status, manifest=manifest(), error=why
        )
        return failed

    def summary(self) -> Summary:
        return summarise(
            "b",
            {"description": "about"},
            self.planned,
            self.records,
            self.costs,
            self.rows.get,
        )


def full_bench() -> Bench:
    """Two methods and the base, two tasks, two seeds, all finished."""
    bench = Bench()
    for task, values in {
        "sst2": {"base": [0.5], "lora": [0.8, 0.9], "ia3": [0.7, 0.7]},
        "stsb": {"base": [0.1], "lora": [0.3, 0.5], "ia3": [0.6, 0.8]},
    }.items():
        for label, scores in values.items():
            seeds = [None] if label == "base" else [1, 2]
            for seed, value in zip(seeds, scores, strict=True):
                bench.finish(label, task, seed, value)
    return bench


def standings(summary: Summary, model: str = "tiny") -> dict[str, Any]:
    return {s.method: s for s in summary.standings if s.model == model}


def test_means_intervals_and_ranks_by_hand() -> None:
    summary = full_bench().summary()
    entry = summary.entry("tiny", "lora", "sst2")
    assert entry is not None
    assert entry.by_seed == {"1": 0.8, "2": 0.9}
    assert entry.complete
    assert entry.interval is not None
    assert entry.interval.mean == pytest.approx(0.85)
    assert entry.interval.half_width == pytest.approx(12.7062 * 0.05, abs=1e-4)
    by_method = standings(summary)
    assert by_method["lora"].mean_score == pytest.approx(100 * (0.85 + 0.4) / 2)
    assert by_method["ia3"].mean_score == pytest.approx(100 * (0.7 + 0.7) / 2)
    assert {name: s.average_rank for name, s in by_method.items()} == {
        "base": 3.0,
        "lora": 1.5,
        "ia3": 1.5,
    }
    assert (summary.cells, summary.finished_cells) == (10, 10)
    assert summary.seeds == (1, 2)
    assert summary.troubles == ()
    assert summary.description == "about"


def test_the_base_model_has_one_run_that_stands_for_every_seed() -> None:
    entry = full_bench().summary().entry("tiny", "base", "sst2")
    assert entry is not None
    assert entry.by_seed == {"-": 0.5}
    assert entry.complete
    assert entry.interval is not None
    assert entry.interval.half_width is None


def test_rows_that_all_score_alike_have_no_interval() -> None:
    bench = Bench()
    for seed in (1, 2):
        bench.finish("lora", "sst2", seed, 0.0, rows=[0.0] * 40)
        bench.finish("ia3", "sst2", seed, 0.5, rows=[0.0, 1.0] * 20)
    summary = bench.summary()
    lora, ia3 = (summary.entry("tiny", name, "sst2") for name in ("lora", "ia3"))
    assert lora is not None
    assert lora.interval is not None
    assert ia3 is not None
    assert ia3.interval is not None
    assert lora.interval.half_width is None
    assert ia3.interval.half_width
    assert standings(summary)["lora"].mean_interval is None
    assert standings(summary)["ia3"].mean_interval is not None


def test_one_seed_of_a_method_that_trains_has_no_interval_of_its_mean_either() -> None:
    bench = Bench()
    bench.finish("lora", "sst2", 1, 0.5, rows=[0.0, 1.0] * 20)
    bench.finish("base", "sst2", None, 0.5, rows=[0.0, 1.0] * 20)
    found = standings(bench.summary())
    assert found["lora"].mean_interval is None
    assert found["base"].mean_interval is not None
    assert found["base"].mean_interval.over == "rows"


def test_what_tuning_chose_from_task_to_task_is_told() -> None:
    bench = Bench()
    for task, rate, rank in (("sst2", 1e-3, 4), ("stsb", 5e-3, 8)):
        planned = cell("lora", task, 1, rank=rank, alpha=16)
        tuned = planned.model_copy(update={"training": Training(learning_rate=rate)})
        bench.planned.append(in_table(tuned, "tiny", "lora"))
    [found] = bench.summary().methods
    assert found.learning_rate is None
    assert found.varied == {"rank": (4, 8), "learning_rate": (1e-3, 5e-3)}


def without(bench: Bench, label: str, task: str, seed: int) -> Bench:
    """The same, with one cell not run yet."""
    found = [
        one.cell.id
        for one in bench.planned
        if (one.label, one.cell.task.name, one.cell.seed) == (label, task, seed)
    ]
    for missing in found:
        del bench.records[missing]
    assert len(found) == 1
    return bench


@pytest.mark.parametrize("status", ["diverged", "oom", "failed", "lost"])
def test_a_failed_seed_is_not_left_out_of_a_mean_as_if_it_had_not_been_asked_for(
    status: Any,
) -> None:
    bench = without(full_bench(), "lora", "sst2", 2)
    bench.fail("lora", "sst2", 2, status, "why")
    bench.planned.pop(2)  # planned once, not twice
    found = standings(bench.summary())["lora"]
    assert (found.mean_score, found.average_rank) == (None, None)


def test_a_missing_seed_leaves_no_mean_score_and_no_rank() -> None:
    """Not the mean over the rest: it would be of another set."""
    bench = without(full_bench(), "lora", "sst2", 2)
    bench.costs = [cost("lora"), cost("ia3"), cost("base")]
    summary = bench.summary()
    entry = summary.entry("tiny", "lora", "sst2")
    assert entry is not None
    assert not entry.complete
    assert entry.by_seed == {"1": 0.8}
    by_method = standings(summary)
    assert by_method["lora"].mean_score is None
    assert by_method["lora"].average_rank is None
    assert by_method["lora"].pscp is None
    assert by_method["lora"].parameter_factor is not None, "its cost is known all the same"
    assert by_method["ia3"].mean_score == pytest.approx(70)
    assert by_method["ia3"].pscp is not None
    assert by_method["ia3"].average_rank == 1.0  # among those that are complete
    assert summary.finished_cells == 9


def test_a_missing_task_leaves_no_mean_score_and_no_rank() -> None:
    bench = full_bench()
    for seed in (1, 2):
        without(bench, "ia3", "stsb", seed)
    summary = bench.summary()
    entry = summary.entry("tiny", "ia3", "stsb")
    assert entry is not None
    assert entry.interval is None
    assert not entry.is_best
    by_method = standings(summary)
    assert by_method["ia3"].mean_score is None
    assert by_method["ia3"].average_rank is None
    assert by_method["lora"].mean_score == pytest.approx(62.5)


def test_an_incomplete_entry_is_never_the_best_although_its_mean_is() -> None:
    bench = without(full_bench(), "lora", "sst2", 1)  # leaves 0.9 alone
    best = [e.method for e in bench.summary().entries if e.task == "sst2" and e.is_best]
    assert best == ["ia3"]


def test_a_headline_that_is_unavailable_is_no_score_and_no_other_metric_takes_its_place() -> (
    None
):
    bench = Bench()
    bench.finish("lora", "apps", 1, 0.5, metric="pass_at_1")
    lost = bench.finish("lora", "apps", 2, 0.9, metric="chrf")
    gone = Unavailable(metric="pass_at_1", reason="no sandbox", is_headline=True)
    bench.records[lost.id] = bench.records[lost.id].model_copy(
        update={"unavailable": (gone,)}
    )
    summary = bench.summary()
    entry = summary.entry("tiny", "lora", "apps")
    assert entry is not None
    assert (entry.by_seed, entry.complete) == ({"1": 0.5}, False)
    assert standings(summary)["lora"].mean_score is None
    assert [(t.status, t.seed, t.reason) for t in summary.troubles] == [
        ("unavailable", "2", "pass_at_1: no sandbox")
    ]
    assert summary.tasks[0].metric == "pass_at_1"


def test_programs_run_without_a_sandbox_are_told() -> None:
    bench = Bench()
    unsafe = bench.finish("lora", "apps", 1, 0.5, metric="pass_at_1")
    record = bench.records[unsafe.id]
    assert "without a sandbox" not in " ".join(how_sure(bench.summary()))
    told = record.manifest.model_copy(update={"ran_programs_unsafely": True})
    bench.records[unsafe.id] = record.model_copy(update={"manifest": told})
    assert "without a sandbox" in " ".join(how_sure(bench.summary()))


def test_a_failed_run_is_listed_with_its_reason_and_counts_as_missing() -> None:
    bench = full_bench()
    failed = bench.fail("bitfit", "sst2", 1, "diverged", "The loss became nan")
    bench.fail("bitfit", "sst2", 2, "oom", "no memory")
    never = bench.plan("bitfit", "stsb", 1)
    summary = bench.summary()
    assert [(t.status, t.seed, t.reason) for t in summary.troubles] == [
        ("diverged", "1", "The loss became nan"),
        ("oom", "2", "no memory"),
        ("missing", "1", "not run yet"),
    ]
    assert summary.troubles[0].cell == failed.short_id
    assert summary.troubles[2].cell == never.short_id
    entry = summary.entry("tiny", "bitfit", "sst2")
    assert entry is not None
    assert (entry.by_seed, entry.interval, entry.complete) == ({}, None, False)
    assert standings(summary)["bitfit"].mean_score is None
    assert (summary.cells, summary.finished_cells) == (13, 10)


def test_nothing_run_yet_is_a_summary_without_scores() -> None:
    bench = full_bench()
    bench.records.clear()
    summary = bench.summary()
    assert summary.finished_cells == 0
    assert len(summary.troubles) == 10
    assert all(s.mean_score is None and s.average_rank is None for s in summary.standings)
    assert to_rows(summary) == []


def test_where_lower_is_better_the_lowest_is_best_and_ranked_first() -> None:
    bench = Bench()
    for label, value in (("lora", 0.2), ("ia3", 0.1)):
        for seed in (1, 2):
            bench.finish(label, "errors", seed, value, metric="format_error_rate")
    summary = bench.summary()
    assert summary.tasks[0].better == "lower"
    assert [e.method for e in summary.entries if e.is_best] == ["ia3"]
    assert standings(summary)["ia3"].average_rank == 1.0


def errors_bench() -> Bench:
    """Two tasks of errors; lora makes fewer on both."""
    bench = Bench()
    for task, values in {"heard": (0.1, 0.2), "typed": (0.3, 0.5)}.items():
        for label, value in zip(("lora", "ia3"), values, strict=True):
            for seed in (1, 2):
                bench.finish(label, task, seed, value, metric="error_rate")
    bench.costs = [cost("lora"), cost("ia3")]
    return bench


def test_a_mean_of_errors_alone_says_that_lower_is_better_and_has_no_pscp() -> None:
    summary = errors_bench().summary()
    found = standings(summary)
    assert found["lora"].mean_score == pytest.approx(20)
    assert found["ia3"].mean_score == pytest.approx(35)
    assert (found["lora"].average_rank, found["ia3"].average_rank) == (1, 2)
    assert (summary.mean_better, summary.no_mean) == ("lower", "")
    assert summary.no_pscp
    assert (found["lora"].pscp, found["lora"].ppt) == (None, None)
    assert found["lora"].parameter_factor is not None, "its costs are known all the same"
    assert (found["lora"].is_mean_tied, found["ia3"].is_mean_tied) == (True, False)


def test_ties_with_the_lowest_mean_come_from_the_rows() -> None:
    bench = Bench()
    wrong = [1.0] * 20 + [0.0] * 80
    near = [0.0, *wrong[1:]]  # one error less
    far = [1.0] * 60 + [0.0] * 40
    for label, rows in (("lora", wrong), ("ia3", near), ("bitfit", far)):
        for seed in (1, 2):
            bench.finish(
                label, "heard", seed, sum(rows) / 100, metric="error_rate", rows=rows
            )
    found = standings(bench.summary())
    assert {m: s.is_mean_tied for m, s in found.items()} == {
        "lora": True, "ia3": True, "bitfit": False,
    }  # fmt: skip


def test_there_is_no_mean_of_errors_and_accuracies_and_ranks_go_the_right_way() -> None:
    bench = errors_bench()
    for label, value in (("lora", 0.9), ("ia3", 0.8)):
        for seed in (1, 2):
            bench.finish(label, "sst2", seed, value)
    summary = bench.summary()
    found = standings(summary)
    assert summary.no_mean == "lower is better on heard, typed, and higher on sst2"
    assert summary.no_pscp == summary.no_mean
    assert {s.mean_score for s in found.values()} == {None}
    assert {s.pscp for s in found.values()} == {None}
    assert {s.mean_interval for s in found.values()} == {None}
    assert not any(s.is_mean_tied for s in found.values())
    assert (found["lora"].average_rank, found["ia3"].average_rank) == (1, 2)
    assert summary.aggregates == ()


def test_a_recommendation_by_errors_is_the_lowest() -> None:
    found = recommend(errors_bench().summary(), "tiny")
    assert found is not None
    assert (found.leader.method, found.chosen.method) == ("lora", "lora")
    assert found.better == "lower"


def test_a_column_does_not_hold_two_metrics() -> None:
    bench = Bench()
    bench.finish("lora", "sst2", 1, 0.5)
    bench.finish("ia3", "sst2", 1, 0.5, metric="error_rate")
    with pytest.raises(InvalidSpec, match=r"error_rate \(lower is better\)"):
        bench.summary()


@pytest.mark.parametrize("has_run", [True, False])
def test_a_cell_without_a_score_says_what_was_asked_and_how_it_counts(
    has_run: bool,
) -> None:
    bench = Bench()
    if has_run:
        bench.fail("lora", "heard", 1, "oom", "no memory")
    else:
        bench.plan("lora", "heard", 1)
    facts = TaskFacts(
        description="words that are heard",
        metric="error_rate",
        unit="fraction wrong",
        better="lower",
    )
    bench.planned[0] = bench.planned[0].model_copy(
        update={"task": facts, "method": MethodFacts(family="low-rank", paper="Hu")}
    )
    summary = bench.summary()
    [info], [method] = summary.tasks, summary.methods
    assert (info.metric, info.unit, info.better) == (
        "error_rate", "fraction wrong", "lower"
    )  # fmt: skip
    assert info.description == "words that are heard"
    assert (method.family, method.paper) == ("low-rank", "Hu")


def test_a_search_is_told_before_its_final_run_has_ended() -> None:
    bench = Bench()
    bench.plan("lora", "sst2", 1)
    trials = tuple(
        TrialResult(number=n, settings={"learning_rate": rate}, score=score, runs=(str(n),))
        for n, (rate, score) in enumerate([(1e-3, 0.5), (1e-2, 0.75), (1e-1, None)])
    )
    bench.planned[0] = bench.planned[0].model_copy(update={"trials": trials})
    (found,) = bench.summary().searches
    assert (found.model, found.method, found.task) == ("tiny", "lora", "sst2")
    assert (found.chosen, found.trials) == (1, trials)
    assert found.expected_best == pytest.approx((0.625, 0.6875))


def test_cells_that_differ_in_precision_say_so() -> None:
    bench = full_bench()
    alike = bench.summary()
    assert [(one.weights, one.training, one.methods) for one in alike.precisions] == [
        ("float32", "", ("base",)),
        ("float32", "float32", ("lora", "ia3")),
    ]
    assert "precisions" not in " ".join(how_sure(alike))
    assert method_table(alike).notes == ("tiny: weights in float32, training in float32.",)
    for place, one in enumerate(bench.planned):
        if one.label == "ia3":
            half = Training(learning_rate=1e-3, precision="bfloat16")
            told = one.cell.model_copy(update={"training": half})
            bench.planned[place] = in_table(told, "tiny", "ia3")
    mixed = bench.summary()
    assert "Runs on tiny were computed in several precisions" in " ".join(how_sure(mixed))
    assert method_table(mixed).notes == (
        "tiny: base with weights in float32; lora with weights in float32, training in "
        "float32; ia3 with weights in float32, training in bfloat16.",
    )


def test_a_cost_of_other_weights_or_of_another_precision_is_not_taken() -> None:
    bench = full_bench()
    for other in ({"dtype": "bfloat16"}, {"model_identity": "sha256:other"}):
        bench.costs = [cost("lora").model_copy(update=other)]
        assert standings(bench.summary())["lora"].cost is None
    bench.costs = [cost("lora").model_copy(update={"model": "under another name"})]
    assert standings(bench.summary())["lora"].cost is not None


def test_further_test_sets_stand_beside_the_headline_with_their_own_direction() -> None:
    bench = Bench()
    done = bench.finish("lora", "mnli", 1, 0.5, others={"format_error_rate": 0.1})
    further = scored("accuracy", 0.4).model_copy(update={"test_set": "mismatched"})
    record = bench.records[done.id]
    bench.records[done.id] = record.model_copy(update={"scores": (*record.scores, further)})
    found = [
        (row["test_set"], row["metric"], row["better"], row["is_headline"], row["score"])
        for row in to_rows(bench.summary())
    ]
    assert found == [
        ("test", "accuracy", "higher", True, 0.5),
        ("test", "format_error_rate", "lower", False, 0.1),
        ("mismatched", "accuracy", "higher", False, 0.4),
    ]


def test_ties_with_the_best_come_from_the_rows() -> None:
    bench = Bench()
    right = [1.0] * 80 + [0.0] * 20
    near = [0.0, *right[1:]]
    far = [0.0] * 60 + [1.0] * 40
    for label, rows in (("lora", right), ("ia3", near), ("bitfit", far)):
        for seed in (1, 2):
            bench.finish(label, "sst2", seed, sum(rows) / 100, rows=rows)
    marks = {e.method: (e.is_best, e.is_tied_with_best) for e in bench.summary().entries}
    assert marks == {"lora": (True, True), "ia3": (False, True), "bitfit": (False, False)}


def test_two_equally_good_methods_are_both_best() -> None:
    bench = Bench()
    rows = [1.0, 0.0] * 20
    for label in ("lora", "ia3", "base"):
        seed = None if label == "base" else 1
        bench.finish(label, "sst2", seed, 0.5, rows=rows)
    assert all(e.is_best and e.is_tied_with_best for e in bench.summary().entries)
    assert {s.average_rank for s in bench.summary().standings} == {2.0}


def test_without_stored_rows_only_the_best_is_marked() -> None:
    summary = full_bench().summary()
    marked = {(e.task, e.method) for e in summary.entries if e.is_tied_with_best}
    assert marked == {("sst2", "lora"), ("stsb", "ia3")}


def test_a_method_alone_is_not_called_the_best() -> None:
    bench = Bench()
    bench.finish("lora", "sst2", 1, 0.9)
    assert not any(e.is_best for e in bench.summary().entries)


def test_pscp_is_of_the_mean_over_tasks_and_the_probed_cost() -> None:
    bench = full_bench()
    bench.costs = [cost("ia3"), cost("lora", extra=2 * 10**12), cost("lora", rank=4)]
    by_method = standings(bench.summary())
    assert by_method["lora"].pscp == pytest.approx(pscp(62.5, 1e6, 2.0, 1.0))
    assert by_method["lora"].flops_factor == pytest.approx(1 / 1.2)
    assert by_method["ia3"].pscp == pytest.approx(pscp(70, 1e6, 0, 1.0))
    assert by_method["base"].pscp is None, "it was not probed"
    assert by_method["base"].mean_score is not None


def test_a_method_that_saves_arithmetic_gets_no_bonus() -> None:
    bench = full_bench()
    bench.costs = [cost("lora", extra=-(10**12))]
    assert standings(bench.summary())["lora"].flops_factor == 1.0


def test_one_method_under_two_labels_is_two_rows_each_with_its_own_cost() -> None:
    bench = Bench()
    for label, value in (("lora rank=4", 0.6), ("lora rank=8", 0.8)):
        bench.finish(label, "sst2", 1, value)
    bench.costs = [cost("lora", rank=8), cost("lora", extra=10**13, rank=4)]
    summary = bench.summary()
    assert [m.label for m in summary.methods] == ["lora rank=4", "lora rank=8"]
    assert [m.parameters for m in summary.methods] == [{"rank": 4}, {"rank": 8}]
    found = standings(summary)
    assert found["lora rank=4"].flops_factor == 0.5
    assert found["lora rank=8"].flops_factor == 1.0


def test_models_are_ranked_each_by_itself() -> None:
    bench = Bench()
    for model, lora, ia3 in (("tiny", 0.9, 0.1), ("big", 0.2, 0.8)):
        bench.finish("lora", "sst2", 1, lora, model=model)
        bench.finish("ia3", "sst2", 1, ia3, model=model)
    bench.costs = [cost("lora", model="big")]
    summary = bench.summary()
    assert standings(summary, "tiny")["lora"].average_rank == 1.0
    assert standings(summary, "big")["ia3"].average_rank == 1.0
    assert standings(summary, "tiny")["lora"].cost is None
    assert standings(summary, "big")["lora"].cost is not None
    assert [e.method for e in summary.entries if e.is_best] == ["lora", "ia3"]


def test_a_task_and_method_that_are_not_installed_here_are_still_shown() -> None:
    bench = Bench()
    bench.finish("their-method", "their_task", 1, 0.7, metric="their_metric")
    summary = bench.summary()
    assert summary.tasks[0].metric == "their_metric"
    assert summary.tasks[0].better == "higher"
    assert summary.methods[0].family == ""
    assert standings(summary)["their-method"].mean_score == pytest.approx(70)


def test_what_a_task_is_comes_with_its_baselines_and_size() -> None:
    info = full_bench().summary().tasks[0]
    assert (info.name, info.metric, info.test_examples) == ("sst2", "accuracy", 100)
    assert info.baselines[0].value == 0.5
    assert not info.is_generated


def test_curves_are_of_the_runs_that_were_validated() -> None:
    bench = full_bench()
    first = bench.planned[1].cell
    look = Validation(step=5, epoch=1.0, train_loss=0.5, score=0.6)
    bench.records[first.id] = bench.records[first.id].model_copy(
        update={"validations": (look,)}
    )
    (curve,) = bench.summary().curves
    assert (curve.method, curve.task, curve.seed) == ("lora", "sst2", "1")
    assert curve.validations == (look,)


def test_each_machine_is_listed_once() -> None:
    bench = Bench()
    for seed, host in enumerate(("here", "there", "here")):
        bench.finish("lora", "sst2", seed, 0.5, host=host)
    assert [m.host for m in bench.summary().manifests] == ["here", "there"]


def test_a_machine_names_all_operators_that_cannot_be_repeated() -> None:
    bench = Bench()
    for seed, names in enumerate(((), ("put_",), None, ("cumsum", "put_"))):
        bench.finish("lora", "sst2", seed, 0.5)
        cell = bench.planned[-1].cell
        record = bench.records[cell.id]
        told = record.manifest.model_copy(update={"not_repeatable": names})
        bench.records[cell.id] = record.model_copy(update={"manifest": told})
    (machine,) = bench.summary().manifests
    assert machine.not_repeatable == ("cumsum", "put_")
    assert dict(machine_facts(machine))["Without repeatable kernels"] == "cumsum, put_"
    repeatable = machine.model_copy(update={"not_repeatable": ()})
    assert "Without repeatable kernels" not in dict(machine_facts(repeatable))


def test_rows_of_a_table_hold_every_score_once() -> None:
    bench = Bench()
    bench.finish("lora", "sst2", 1, 0.5, others={"macro_f1": 0.4})
    bench.finish("lora", "sst2", 2, 0.7, others={"macro_f1": 0.6})
    bench.finish("base", "sst2", None, 0.3)
    found = [
        (row["seed"], row["metric"], row["is_headline"], row["score"])
        for row in to_rows(bench.summary())
    ]
    assert found == [
        ("1", "accuracy", True, 0.5),
        ("2", "accuracy", True, 0.7),
        ("1", "macro_f1", False, 0.4),
        ("2", "macro_f1", False, 0.6),
        ("-", "accuracy", True, 0.3),
    ]


def test_a_summary_survives_json() -> None:
    bench = full_bench()
    bench.costs = [cost("lora")]
    summary = bench.summary()
    assert Summary.model_validate_json(summary.model_dump_json()) == summary
    assert json.loads(summary.model_dump_json())["name"] == "b"


def test_the_order_of_records_and_costs_is_of_no_account() -> None:
    bench = full_bench()
    bench.costs = [cost("lora"), cost("ia3")]
    before = bench.summary()
    bench.records = dict(reversed(bench.records.items()))
    bench.costs.reverse()
    assert bench.summary() == before
