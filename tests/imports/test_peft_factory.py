"""Output folders of PEFT-Factory: the same rows by both protocols."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from factory_files import GSM8K, MODEL, RECORD, RTE, SVAMP, write

from peftbench import api
from peftbench.engine.regrade import regrade
from peftbench.errors import DataError
from peftbench.imports import Imported, keep
from peftbench.imports import peft_factory as tool
from peftbench.imports._peft_factory_folder import find_outputs
from peftbench.planning.wanted import grade_step
from peftbench.report import render
from peftbench.store import Record, Store


def records(root: Path, protocol: str) -> list[Record]:
    """As they are in a store that they were kept in."""
    found = [one for one in tool.read(root) if one.protocol == protocol]
    assert all(one.run for one in found)
    runs = [one.run for one in found if one.run]
    with Store.open(root / "kept") as store:
        keep(store, protocol, {}, runs)
        kept = store.records(run.planned for run in runs)
    return [kept[run.planned.cell.id] for run in runs]


def scores(root: Path, protocol: str) -> dict[str, float]:
    (record,) = records(root, protocol)
    return {score.metric: score.value for score in record.scores}


def test_labels_are_read_alike_and_scored_by_each_protocols_metrics(tmp_path: Path) -> None:
    """An unreadable row is the opposite class to the published F1, and a miss to ours."""
    write(tmp_path)
    assert scores(tmp_path, "peft-bench") == pytest.approx(
        {"peft_bench_f1": 0.5, "peft_bench_em": 0.5, "format_error_rate": 0.25}
    )
    # F1 of yes, which is "entailment" here: one hit, one false alarm, one miss.
    assert scores(tmp_path, "strict") == pytest.approx(
        {"accuracy": 0.5, "f1": 0.5, "format_error_rate": 0.25}
    )
    (run,) = (one.run for one in tool.read(tmp_path) if one.protocol == "strict")
    assert run is not None
    assert [mark.answer for mark in run.marks] == ["yes", "no", "yes", None]
    assert [row.target for row in run.predictions] == ["yes", "no", "no", "yes"]
    assert run.predictions[3].output == "The answer is entailment."


def test_svamp_is_checked_against_the_gold_answer_by_the_strict_rules(
    tmp_path: Path,
) -> None:
    write(tmp_path, "svamp", SVAMP)
    published, strict = scores(tmp_path, "peft-bench"), scores(tmp_path, "strict")
    assert published["peft_bench_svamp"] == 0.5  # the first two are true equations
    assert published["peft_bench_gold_equation"] == 0.25
    assert published["format_error_rate"] == 0.25
    assert strict["numeric_match"] == 0.5  # the first and the third name the right number


def test_gsm8k_reads_a_currency_sign_by_the_strict_rules_alone(tmp_path: Path) -> None:
    write(tmp_path, "gsm8k", GSM8K)
    assert scores(tmp_path, "peft-bench")["peft_bench_gsm8k"] == pytest.approx(1 / 3)
    assert scores(tmp_path, "strict")["numeric_match"] == pytest.approx(2 / 3)


def test_a_repeated_query_of_record_is_one_row_and_counts_as_published(
    tmp_path: Path,
) -> None:
    write(tmp_path, "record", RECORD, prompts=["first"] * 3 + ["second"])
    (record,) = records(tmp_path, "peft-bench")
    assert record.headline is not None
    assert record.headline.examples == 2
    assert record.headline.value == pytest.approx((3 * 1 + 2 / 3) / 4)
    assert scores(tmp_path, "strict")["token_f1"] == pytest.approx((1 + 2 / 3) / 2)


def test_what_needs_columns_that_files_lack_is_not_scored(tmp_path: Path) -> None:
    """F1a is over the questions of a passage, of which the files do not tell."""
    write(tmp_path, "multirc", [("True", "True"), ("False", "True")])
    published, strict = tool.read(tmp_path)
    assert published.run is not None
    assert (strict.run, strict.reason) == (
        None, "f1a needs groups. The files do not hold them."
    )  # fmt: skip


@pytest.mark.parametrize("protocol", tool.PROTOCOLS)
@pytest.mark.parametrize(
    ("dataset", "rows", "prompts"),
    [
        ("rte", RTE, None),
        ("svamp", SVAMP, None),
        ("record", RECORD, ["first"] * 3 + ["second"]),
    ],
)
def test_graded_again_it_is_the_same(
    tmp_path: Path,
    protocol: str,
    dataset: str,
    rows: Sequence[tuple[str, str]],
    prompts: Sequence[str] | None,
) -> None:
    write(tmp_path, dataset, rows, prompts=prompts)
    records(tmp_path, protocol)
    with Store.open(tmp_path / "kept") as store:
        (benchmark,) = store.benchmarks()
        (before,) = store.results.of_kind("grade")
        (found,) = regrade(benchmark.cells, store.results)
        assert (found.is_changed, found.reason) == (False, "")
        assert store.results.of_kind("grade") == [before]
        (planned,) = benchmark.cells
        assert before.step == grade_step(planned.cell, planned.cell.predict())


def test_provenance_is_what_the_files_tell(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (record,) = records(tmp_path, "peft-bench")
    cell, source = record.cell, record.provenance
    assert record.kind == "imported"
    assert (cell.model.name, cell.model.identity, cell.model.dtype) == (
        MODEL,
        "",
        "bfloat16",
    )
    assert (cell.seed, cell.max_length, cell.training) == (42, 2048, None)
    assert cell.method.parameters == {
        "lora_rank": 16, "lora_alpha": 16, "lora_target": "k_proj,v_proj,down_proj",
    }  # fmt: skip
    assert source is not None
    assert source.learning_rate == 5e-5  # YAML reads 5e-5 as text
    assert source.settings["best_metric"] == 0.0912
    assert record.steps == 5610
    assert record.stored_bytes == 1000
    assert record.trainable_parameters is None
    assert record.reported is not None
    assert record.reported.train_seconds == 3120.5
    assert record.reported.step_seconds is None
    assert set(source.files) == {
        f"{folder.name}/generated_predictions.jsonl",
        f"{folder.name}/eval.yaml",
        f"train{folder.name.removeprefix('eval')}/train.yaml",
        f"train{folder.name.removeprefix('eval')}/trainer_state.json",
    }


def test_without_yaml_the_names_of_folders_tell(tmp_path: Path) -> None:
    folder = write(tmp_path, "math_qa", [("a", "a"), ("b", "c")], method="ia3", train=False)
    (folder / "eval.yaml").unlink()
    (output,) = find_outputs(tmp_path)
    assert (output.dataset, output.method, output.seed) == ("math_qa", "ia3", 42)
    assert output.model == "llama-3-8b-instruct"
    (record,) = records(tmp_path, "strict")
    assert (record.cell.max_length, record.cell.model.dtype) == (0, "")
    assert (record.steps, record.stored_bytes, record.reported) == (0, None, None)
    assert record.scores[0].value == 0.5


def test_an_evaluation_on_training_rows_is_told(tmp_path: Path) -> None:
    write(tmp_path, eval_yaml={"dataset": "rte"})
    (record,) = records(tmp_path, "strict")
    assert record.provenance is not None
    assert "training rows" in record.provenance.facts["evaluated on"]


def test_launches_of_one_run_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, rows=RTE[:3], time=1_760_000_999)
    labels = {one.run.planned.label for one in tool.read(tmp_path) if one.run}
    assert labels == {"lora (1760000000)", "lora (1760000999)"}


def test_other_seeds_are_no_complete_set(tmp_path: Path) -> None:
    for method, seeds in (("lora", (42, 123)), ("ia3", (42,))):
        for seed in seeds:
            write(tmp_path / "out", method=method, seed=seed)
    store = Store.open(tmp_path / "store")
    runs = [one.run for one in tool.read(tmp_path / "out") if one.run]
    keep(store, "theirs", {}, [r for r in runs if r.planned.cell.protocol == "strict"])
    summary = api.results(store, "theirs").summary
    assert {entry.method: entry.complete for entry in summary.entries} == {
        "lora": True,
        "ia3": False,
    }
    assert {s.method: s.mean_score for s in summary.standings} == {
        "lora": 50.0,
        "ia3": None,
    }


def test_the_command_shows_both_scores_and_keeps_both(tmp_path: Path) -> None:
    write(tmp_path / "out", "svamp", SVAMP)
    command = [
        sys.executable, "-m", "peftbench", "import", "peft-factory", "out", "--store", "s",
    ]  # fmt: skip
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "120"},
    )
    assert done.returncode == 0, done.stderr
    assert "50.0 svamp" in done.stdout
    assert "50.0 numeric_match" in done.stdout
    assert "2 of 4" in done.stdout, "one is right by each protocol alone"
    store = Store.open(tmp_path / "s", create=False)
    assert [b.name for b in store.benchmarks()] == [
        "peft-factory-peft-bench",
        "peft-factory-strict",
    ]
    again = subprocess.run(
        [*command[:3], "rescore", "--store", "s", "--benchmark", "peft-factory-strict"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert again.returncode == 0, again.stderr
    assert "1 test sets of finished cells: 0 changed, 1 the same" in again.stdout
    for benchmark in store.benchmarks():
        assert api.results(store, benchmark.name).summary.kind == "imported"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"predict": "a", "label": "entailment"}\n{"predict":',
            r"jsonl:2 is not valid JSON",
        ),
        ('["a"]', r"jsonl:1 holds no JSON object"),
        ('{"predict": "a"}', r"jsonl:1 has no text in 'label'; it has predict"),
        ('{"predict": 1, "label": "a"}', "no text in 'predict'"),
        ("\n", "has no rows"),
        (
            '{"predict": "a", "label": "maybe"}',
            r"label 'maybe' is no answer of rte; expected",
        ),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, content: str, message: str) -> None:
    folder = write(tmp_path)
    (folder / "generated_predictions.jsonl").write_text(content)
    with pytest.raises(DataError, match=message):
        tool.read(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "seed: -1", "seed: 1.0e+30", "seed: .nan", f"seed: {10**400}", "seed: [1]", "seed: true",
        "cutoff_len: -5", "max_samples: -1", "max_samples: !!binary eA==", "1: 2", "~: 2",
        "lora_alpha: .inf", "lora_alpha: 1.0e+308", 'lora_target: "\\ud800"', "learning_rate: -1",
        "learning_rate: 1_0", "learning_rate: 1e999", "lora_rank: 2024-01-01", "dataset: 3",
        "model_name_or_path: {a: b}", "adapter_name_or_path: ..", "adapter_name_or_path: x/..",
        "finetuning_type: \"\\e]52;c;eA==\\a\"", "lora_x: &x [*x]",
    ],
)  # fmt: skip
def test_odd_settings_are_refused_at_once_or_reported_without_trouble(
    tmp_path: Path, text: str
) -> None:
    root = tmp_path / "root"
    folder = write(root, train=False)
    settings = (folder / "eval.yaml").read_text("utf-8").splitlines()
    name = text.partition(":")[0]
    kept = [line for line in settings if not line.startswith(f"{name}:")]
    (folder / "eval.yaml").write_text("\n".join([*kept, text]), "utf-8")
    runs: list[Imported] = []
    with suppress(DataError):
        runs += [one.run for one in tool.read(root) if one.run and one.protocol == "strict"]
    with Store.open(tmp_path / "store") as store:
        keep(store, "theirs", {}, runs)
        for kind in ("md", "html", "latex", "csv", "json"):
            render(api.results(store, "theirs").summary, kind)


@pytest.mark.parametrize("name", ["generated_predictions.jsonl", "eval.yaml"])
def test_no_link_out_of_the_folder_is_followed(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "root")
    secret = tmp_path / "secret"
    (folder / name).rename(secret)
    (folder / name).symlink_to(secret)
    with pytest.raises(DataError, match=f"{name} is a link that leads out of"):
        tool.read(tmp_path / "root")


def test_wrong_folders_are_explained(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"No generated_predictions.jsonl at or below"):
        tool.read(tmp_path / "empty")
    folder = write(tmp_path / "a", "imdb", [("a", "b")])
    with pytest.raises(DataError, match=r"'imdb', which is none of PEFT-Bench's: .*rte"):
        tool.read(tmp_path / "a")
    (folder / "eval.yaml").write_text("a: [")
    with pytest.raises(DataError, match=r"eval\.yaml is not valid YAML"):
        tool.read(tmp_path / "a")
    (folder / "eval.yaml").unlink()
    folder.rename(folder.parent / "predictions")
    with pytest.raises(DataError, match="nothing tells its dataset"):
        tool.read(tmp_path / "a")
