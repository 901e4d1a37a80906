"""Results of Hugging Face peft's method comparison, as records of others."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hf_files import LORA, result, write

from peftbench import api
from peftbench.engine.regrade import regrade
from peftbench.errors import DataError
from peftbench.imports import hf_method_comparison as tool
from peftbench.imports import keep
from peftbench.report import render
from peftbench.report.others import reported_table
from peftbench.store import Record, Store

SPEC = {"description": "theirs", "protocol": tool.TOOL}


def records(folder: Path) -> dict[str, Record]:
    """As they are in a store that they were kept in."""
    runs = tool.read(folder)
    with Store.open(folder / "kept") as store:
        keep(store, "theirs", SPEC, runs)
        found = store.records(run.planned for run in runs)
    return {run.planned.label: found[run.planned.cell.id] for run in runs}


def everything(store: Store) -> dict[str, int]:
    """How many results of each kind a store holds."""
    kinds = ("train", "predict", "grade")
    return {kind: len(store.results.of_kind(kind)) for kind in kinds}


def test_a_run_is_read_with_all_it_tells_and_nothing_more(tmp_path: Path) -> None:
    write(tmp_path, lora=result(peft_config=LORA))
    (record,) = records(tmp_path).values()
    assert (record.kind, record.status) == ("imported", "finished")
    assert [(s.metric, s.value, s.standard_error, s.examples) for s in record.scores] == [
        ("accuracy", 0.48, None, None),
        ("forgetting", 0.031, None, None),
    ]
    assert record.headline is not None
    cell = record.cell
    assert cell.protocol == "hf-method-comparison"
    assert cell.model.identity == "meta-llama/Llama-3.2-3B@13afe51"
    assert (cell.model.dtype, cell.model.chat_template) == ("bfloat16", None)
    assert cell.method.name == "lora"
    assert cell.method.parameters == {
        "r": 32, "target_modules": ["v_proj", "q_proj"], "lora_alpha": 64,
    }  # fmt: skip
    assert cell.task.data == "metamath@aa4f34d, gsm8k@e53f048"
    assert (cell.seed, cell.max_length, cell.training) == (0, 768, None)
    assert cell.origin is not None
    assert cell.origin.startswith("hf-method-comparison sha256:")
    assert record.manifest.device == "NVIDIA L40S"
    assert record.manifest.packages["torch"] == "2.7.1+cu126"
    assert (record.manifest.host, record.manifest.threads) == ("", 0)
    assert [(v.step, v.epoch, v.score) for v in record.validations] == [
        (250, None, 0.34),
        (500, None, 0.44),
    ]
    assert (record.steps, record.best_step) == (500, None)
    assert record.provenance is not None
    assert list(record.provenance.files) == ["lora.json"]
    assert record.provenance.learning_rate == 1e-4
    assert record.provenance.settings["batch_size"] == 4


@pytest.mark.parametrize("memory", ["accelerator", "cuda"])
def test_step_times_are_added_up_beside_the_published_time(
    tmp_path: Path, memory: str
) -> None:
    write(tmp_path, lora=result(memory=memory))
    (record,) = records(tmp_path).values()
    told = record.reported
    assert told is not None
    assert (told.train_seconds, told.step_seconds, told.evaluation_seconds) == (81, 50, 22)
    assert told.tokens_per_second == pytest.approx((30 * 6000 + 20 * 7000) / 50)
    assert told.memory_peak_bytes == 22_273_851_392
    assert told.memory_p99_bytes == 17_710_763_212
    assert record.trainable_parameters == told.trainable_parameters == 9_175_040
    assert record.stored_bytes == 36_715_216


def test_what_is_not_told_is_absent(tmp_path: Path) -> None:
    bare = result()
    del bare["train_info"]["metrics"][0]["train time"]  # half of a sum is no sum
    del bare["train_info"]["accelerator_memory_max"]
    bare["train_info"]["file_size"] = 99_999_999  # the suite's word for "not known"
    bare["meta_info"] = {}
    write(tmp_path, full=bare)
    (record,) = records(tmp_path).values()
    told = record.reported
    assert told is not None
    assert (told.step_seconds, told.tokens_per_second, told.memory_peak_bytes) == (
        None,
    ) * 3
    assert record.stored_bytes is None
    assert (record.cell.model.identity, record.cell.task.data) == ("", "")
    assert record.cell.method.name == "full"
    assert (record.manifest.device, record.manifest.packages) == ("", {})


@pytest.mark.parametrize(
    ("error", "status"), [("CUDA out of memory.", "oom"), ("", "failed"), ("x", "failed")]
)
def test_a_canceled_run_is_a_failure_with_its_reason(
    tmp_path: Path, error: str, status: str
) -> None:
    write(tmp_path, a=result(status="canceled", error=error, accuracy=None))
    (record,) = records(tmp_path).values()
    assert (record.status, record.scores) == (status, ())
    assert record.error == (error or "The file says: canceled.")


def test_runs_of_one_experiment_are_told_apart_by_their_time(tmp_path: Path) -> None:
    later = result(created_at="2026-02-02T00:00:00+00:00")
    write(tmp_path, a=result(), b=later, c=result("ia3/default"))
    assert list(records(tmp_path)) == [
        "lora/llama-3.2-3B-rank32 (2026-01-02T03:04:05+00:00)",
        "lora/llama-3.2-3B-rank32 (2026-02-02T00:00:00+00:00)",
        "ia3/default",
    ]


def test_importing_twice_adds_nothing(tmp_path: Path) -> None:
    write(tmp_path / "results", a=result(), b=result("ia3/default"))
    store = Store.open(tmp_path / "store")
    runs = tool.read(tmp_path)  # the folder above `results` will do
    first = keep(store, "theirs", SPEC, runs)
    second = keep(store, "theirs", SPEC, tool.read(tmp_path))
    assert (first.added, first.known) == (2, 0)
    assert (second.added, second.known) == (0, 2)
    assert everything(store) == {"train": 2, "predict": 2, "grade": 2}
    assert store.results.contradictions() == []


def test_a_run_that_failed_has_no_answers_and_no_grade(tmp_path: Path) -> None:
    write(tmp_path, a=result(status="canceled", error="", accuracy=None))
    store = Store.open(tmp_path / "store")
    for added in (1, 0):
        assert keep(store, "theirs", SPEC, tool.read(tmp_path)).added == added
    assert everything(store) == {"train": 1, "predict": 0, "grade": 0}


def test_an_import_that_was_cut_short_is_completed(tmp_path: Path) -> None:
    write(tmp_path, a=result())
    store = Store.open(tmp_path / "store")
    (run,) = tool.read(tmp_path)
    assert run.planned.cell.train is not None
    store.results.commit(None, run.planned.cell.train, run.trained)
    assert keep(store, "theirs", SPEC, [run]).added == 1
    assert everything(store) == {"train": 1, "predict": 1, "grade": 1}
    assert store.results.contradictions() == []


def test_scores_without_their_answers_cannot_be_graded_again(tmp_path: Path) -> None:
    write(tmp_path, a=result())
    store = Store.open(tmp_path / "store")
    runs = tool.read(tmp_path)
    keep(store, "theirs", SPEC, runs)
    (found,) = regrade([run.planned for run in runs], store.results)
    assert not found.is_changed
    assert "MetaMathQA" in found.reason


def test_a_changed_file_is_another_result_and_is_the_one_shown(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    for accuracy in (0.4, 0.5):
        write(tmp_path / "results", a=result(accuracy=accuracy))
        keep(store, "theirs", SPEC, tool.read(tmp_path))
    assert everything(store) == {"train": 2, "predict": 2, "grade": 2}
    (entry,) = api.results(store, "theirs").summary.entries
    assert entry.by_seed == {"0": 0.5}


def test_the_report_shows_times_with_their_ratio_and_says_whose_they_are(
    tmp_path: Path,
) -> None:
    write(
        tmp_path / "results",
        a=result(peft_config=LORA),
        b=result("ia3/default", accuracy=0.3),
        c=result(
            "boft/default", status="canceled", error="CUDA out of memory", accuracy=None
        ),
    )
    store = Store.open(tmp_path / "store")
    keep(store, "theirs", SPEC, tool.read(tmp_path))
    summary = api.results(store, "theirs").summary
    assert summary.kind == "imported"
    assert summary.manifests == ()
    table = reported_table(summary, summary.models[0])
    assert table is not None
    row = next(row for row in table.rows if row.header.startswith("lora"))
    assert [cell.text for cell in row.cells[2:5]] == ["81 s", "50 s", "1.62"]
    for text in (render(summary, "md"), render(summary, "html")):
        assert "imported from hf-method-comparison" in text
        assert "NVIDIA L40S" in text
        assert "CUDA out of memory" in text
    assert "1.62" in render(summary, "latex")
    assert "hf-method-comparison" in render(summary, "csv")


def test_wrong_folders_and_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist; give a folder"):
        tool.read(tmp_path / "nowhere")
    file = tmp_path / "file.json"
    file.write_text("{}")
    with pytest.raises(DataError, match=r"is a file; give a folder"):
        tool.read(file)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("")
    with pytest.raises(DataError, match=r"has no .json file \(it holds: notes.txt\)"):
        tool.read(empty)


ODD = [float("nan"), float("inf"), -1, 1e308, 10**400, 10**30, -(2**70), 5.0, 2**62, True]
ODD += ["\ud800", "\x1b]52;c;eA==\x07", "x" * 10_000, [], {}, None, "1_0"]


def _numbers(
    found: object, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[str | int, ...]]:
    """Where numbers and texts stand."""
    if isinstance(found, dict):
        for key, value in found.items():
            yield from _numbers(value, (*path, key))
    elif isinstance(found, list):
        for place, value in enumerate(found):
            yield from _numbers(value, (*path, place))
    else:
        yield path


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: f"{odd!r:.12}")
def test_odd_values_are_refused_at_once_or_reported_without_trouble(
    tmp_path: Path, odd: object
) -> None:
    """At every place of a file: whatever is let in can be stored, read and rendered."""
    runs = []
    for number, path in enumerate(_numbers(result(peft_config=LORA))):
        found: Any = result(f"run {number}", peft_config=LORA)
        *parents, last = path
        place = found
        for key in parents:
            place = place[key]
        place[last] = odd
        file = tmp_path / "results" / "one.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(found))
        with suppress(DataError):
            runs += tool.read(file.parent)
    with Store.open(tmp_path / "store") as store:
        keep(store, "theirs", SPEC, runs)
        for kind in ("md", "html", "latex", "csv", "json"):
            render(api.results(store, "theirs").summary, kind)


@pytest.mark.parametrize(
    ("path", "odd", "message"),
    [
        (
            ("train_info", "metrics", 2, "test accuracy"),
            5.0,
            "less than or equal to 1; got 5",
        ),
        (("train_info", "train_time"), -1, "greater than or equal to 0; got -1"),
        (("train_info", "train_time"), 1e308, "1e.308 is no number that can be kept"),
        (("train_info", "file_size"), float("nan"), "NaN is no number in JSON"),
        (("run_info", "train_config", "seed"), 10**30, "seed: Input should be less than"),
        (("run_info", "experiment_name"), "\ud800", "half of a character"),
    ],
)
def test_an_odd_value_is_named(
    tmp_path: Path, path: Sequence[str | int], odd: object, message: str
) -> None:
    found: Any = result()
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = odd
    (tmp_path / "odd.json").write_text(json.dumps(found))
    with pytest.raises(DataError, match=rf"(?s)odd\.json.*{message}"):
        tool.read(tmp_path)


def test_only_regular_files_in_the_folder_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    write(tmp_path / "elsewhere", a=result())
    (folder / "a.json").symlink_to(tmp_path / "elsewhere" / "a.json")
    with pytest.raises(DataError, match=r"a\.json is a link that leads out of .*cp -rL"):
        tool.read(folder)
    (folder / "a.json").unlink()
    os.mkfifo(folder / "a.json")
    with pytest.raises(DataError, match=r"a\.json is no regular file"):
        tool.read(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ("[]", "holds no mapping"),
        ("{}", r"no result file.*\n.*run_info: Field required"),
        (
            json.dumps({"run_info": {}, "train_info": {}, "meta_info": {}}),
            "experiment_name",
        ),
        (json.dumps(result() | {"train_info": {"status": "odd", "metrics": []}}), "status"),
        (json.dumps(result(accuracy=None)), "without a 'test accuracy'"),
        ("\ufeff\udcff".encode("utf-8", "surrogatepass").decode("latin-1"), "JSON"),
    ],
)
def test_a_file_that_is_no_result_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.json").write_text(text, "utf-8")
    with pytest.raises(DataError, match=message) as caught:
        tool.read(tmp_path)
    assert "bad.json" in str(caught.value)
