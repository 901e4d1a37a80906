"""Every perturbed set asks its tasks' own questions, from files and from the hub's layout."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peftbench import tasks
from peftbench.errors import DataError
from peftbench.tasks import perturbations
from peftbench.tasks._task import Row
from peftbench.tasks.perturbations import _load
from peftbench.tasks.perturbations._load import find_perturbed_source, load_perturbed

PAIRS = [
    (name, task)
    for name in perturbations.names()
    for task in perturbations.get(name).readings
    if task in tasks.names()
]

NLI = [
    {"premise": "A dog runs.", "hypothesis": f"Animal {i} moves.", "label": i % 3}
    for i in range(9)
]
TWO_WAY = [{**row, "label": min(1, int(row["label"]))} for row in NLI]


def write(
    data_dir: Path, name: str, rows: Sequence[Row], suffix: str = ".jsonl.gz"
) -> Path:
    """The file of one set in a data folder."""
    path = data_dir / "robustness" / f"{name}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    elif suffix == ".jsonl.gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, "utf-8")
    return path


def targets(name: str, task: str, data_dir: Path) -> list[str]:
    data = load_perturbed(name, task, data_dir=data_dir, limit=None)
    return [example.target for example in data.examples]


def test_there_are_sets_for_several_tasks() -> None:
    assert len(perturbations.names()) >= 13
    assert len({task for _, task in PAIRS}) >= 5


@pytest.mark.parametrize("name", perturbations.names())
def test_set_says_what_it_is_and_where_it_is_from(name: str) -> None:
    found = perturbations.get(name)
    assert all((found.description, found.paper, found.license, found.upstream))
    assert (found.hub_id is None) == (found.revision is None)
    assert found.revision is None or len(found.revision) == 40
    assert found.readings
    assert set(found.fields) <= set(found.example_row)
    for reading in found.readings.values():
        assert found.hub_id is None or reading.split, "a hub copy has a split"


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_merged_labels_are_the_tasks_own(name: str, task: str) -> None:
    reading = perturbations.get(name).readings[task]
    labels = tasks.get(task).labels
    assert set(reading.merge) <= set(labels)
    assert set(reading.merge.values()) <= set(reading.labels(labels))


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_example_row_is_asked_in_the_tasks_own_words(
    name: str, task: str, tmp_path: Path
) -> None:
    found, parent = perturbations.get(name), tasks.get(task)
    row = dict(found.example_row)
    if "task" in row and name.startswith("advglue") and row["task"] != task:
        row = {**parent.example_row, "task": "mnli-mm" if "mis" in name else task}
    write(tmp_path, found.file or name, [row])
    (example,) = load_perturbed(name, task, data_dir=tmp_path, limit=None).examples
    own = parent.to_example(parent.example_row)
    assert example.prompt.splitlines()[-2:] == own.prompt.splitlines()[-2:]
    assert parent.read_answer(example.completion) is not None


def test_two_way_set_is_read_from_three_answers_after_mnli(tmp_path: Path) -> None:
    """McCoy et al. (2019): neutral and contradiction are both non-entailment."""
    write(tmp_path, "hans", TWO_WAY)
    assert Counter(targets("hans", "mnli", tmp_path)) == {"yes": 3, "no": 6}
    reading = perturbations.get("hans").readings["mnli"]
    assert [reading.merged(a) for a in ("yes", "maybe", "no", None)] == [
        "yes", "no", "no", None
    ]  # fmt: skip
    assert reading.labels(("yes", "maybe", "no")) == ("yes", "no")


def test_two_way_prompt_is_the_three_way_one(tmp_path: Path) -> None:
    write(tmp_path, "hans", TWO_WAY[:1])
    (example,) = load_perturbed("hans", "mnli", data_dir=tmp_path, limit=None).examples
    assert example.prompt == tasks.get("mnli").to_example(NLI[0]).prompt


def test_three_way_set_is_not_entailed_twice_for_rte(tmp_path: Path) -> None:
    write(tmp_path, "glue_diagnostic", NLI)
    assert targets("glue_diagnostic", "rte", tmp_path) == ["yes", "no", "no"] * 3
    assert targets("glue_diagnostic", "mnli", tmp_path) == ["yes", "maybe", "no"] * 3


@pytest.mark.parametrize(
    ("name", "task", "changes"),
    [
        ("gsm_plus_testmini", "gsm8k", {"answer": "None"}),
        ("imdb_counterfactual", "sst2", {"version": "original"}),
        ("boolq_contrast", "boolq", {"perturbed": False}),
        ("advglue", "sst2", {"task": "qnli"}),
    ],
)
def test_rows_that_are_not_to_be_asked_are_counted(
    name: str, task: str, changes: Mapping[str, Any], tmp_path: Path
) -> None:
    found = perturbations.get(name)
    write(
        tmp_path, found.file or name, [found.example_row, {**found.example_row, **changes}]
    )
    data = load_perturbed(name, task, data_dir=tmp_path, limit=None)
    assert (len(data.examples), data.rows_not_asked) == (1, 1)
    write(tmp_path, found.file or name, [{**found.example_row, **changes}])
    with pytest.raises(DataError, match=f"no row of {name} that can be asked as {task}"):
        load_perturbed(name, task, data_dir=tmp_path, limit=None)


def test_reviews_lose_their_html(tmp_path: Path) -> None:
    found = perturbations.get("imdb_counterfactual")
    write(tmp_path, "imdb_counterfactual", [found.example_row])
    data = load_perturbed("imdb_counterfactual", "sst2", data_dir=tmp_path, limit=None)
    assert "<br" not in data.examples[0].prompt


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl", ".parquet"])
def test_every_format_is_read_and_a_limit_takes_fixed_rows(
    tmp_path: Path, suffix: str
) -> None:
    write(tmp_path, "anli_r1", NLI, suffix)
    every = load_perturbed("anli_r1", "mnli", data_dir=tmp_path, limit=None)
    some = load_perturbed("anli_r1", "mnli", data_dir=tmp_path, limit=4)
    assert len(every.examples) == 9
    assert len(some.examples) == 4
    assert set(some.examples) < set(every.examples)
    assert every.identity.startswith("sha256:")
    assert every.source == "folder"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({**NLI[0], "label": -1}, "row is unlabelled"),
        ({**NLI[0], "label": 3}, "'label' is 3; allowed"),
        ({"premise": "a", "label": 1}, "no field 'hypothesis'"),
        ({**NLI[0], "premise": None}, "'premise' must be text"),
        ({**NLI[0], "label": None}, "'label' is None; allowed"),
    ],
)
def test_bad_row_is_named_with_its_line(
    tmp_path: Path, row: Mapping[str, Any], words: str
) -> None:
    path = write(tmp_path, "anli_r1", [NLI[0], row], ".jsonl")
    with pytest.raises(DataError, match=words) as caught:
        load_perturbed("anli_r1", "mnli", data_dir=tmp_path, limit=None)
    assert f"{path}:2" in str(caught.value)


def test_label_out_of_range_is_not_taken_for_another(tmp_path: Path) -> None:
    """A set of two labels has no third, although the task it is asked as has one."""
    write(tmp_path, "hans", [{**TWO_WAY[0], "label": 2}])
    with pytest.raises(DataError, match="'label' is 2"):
        load_perturbed("hans", "mnli", data_dir=tmp_path, limit=None)


def test_missing_rows_are_explained(tmp_path: Path) -> None:
    assert find_perturbed_source("hans", "mnli", tmp_path) is None
    assert find_perturbed_source("hans", "mnli", None) is None
    with pytest.raises(DataError) as caught:
        load_perturbed("hans", "mnli", data_dir=tmp_path, limit=None)
    message = str(caught.value)
    assert f"{tmp_path}/robustness/hans.jsonl.gz" in message
    assert "premise, hypothesis, label" in message
    assert "tommccoy1/hans" in message
    with pytest.raises(DataError, match="The hub has it as facebook/anli"):
        load_perturbed("anli_r1", "mnli", data_dir=tmp_path, limit=None)


@pytest.mark.parametrize(
    ("name", "task", "identity"),
    [
        ("anli_r2", "mnli", "facebook/anli@8e4813d8"),
        ("advglue", "rte", "AI-Secure/adv_glue@e1abda02"),
        ("gsm_plus_testmini", "gsm8k", "qintongli/GSM-Plus@3b708db5"),
    ],
)
def test_hub_copies_are_pinned(name: str, task: str, identity: str) -> None:
    source = find_perturbed_source(name, task, None)
    assert source is not None
    assert source.identity.startswith(identity)


@pytest.mark.parametrize(
    ("name", "subset", "split"),
    [("anli_r2", "plain_text", "dev_r2"), ("advglue", "adv_mnli", "validation")],
)
def test_hub_layout_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    subset: str,
    split: str,
) -> None:
    """The hub's Parquet files with the card that names them, as a local folder."""
    import datasets
    import pyarrow
    import pyarrow.parquet

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    repository = tmp_path / "hub"
    (repository / subset).mkdir(parents=True)
    rows = [{**row, "idx": i} for i, row in enumerate(NLI)]
    table = pyarrow.Table.from_pylist(rows)
    path = repository / subset / f"{split}-00000-of-00001.parquet"
    pyarrow.parquet.write_table(table, path)
    (repository / "README.md").write_text(
        f"""---
configs:
- config_name: {subset}
  data_files:
  - {{split: {split}, path: {subset}/{split}-*}}
dataset_info:
- config_name: {subset}
  features:
  - {{name: premise, dtype: string}}
  - {{name: hypothesis, dtype: string}}
  - name: label
    dtype: {{class_label: {{names: {{'0': entailment, '1': neutral, '2': contradiction}}}}}}
  - {{name: idx, dtype: int64}}
---
"""
    )
    found = replace(perturbations.get(name), hub_id=str(repository))
    monkeypatch.setattr(_load.perturbations, "get", lambda _: found)
    data = load_perturbed(name, "mnli", data_dir=None, limit=None)
    assert [example.target for example in data.examples] == ["yes", "maybe", "no"] * 3


EXPECTED = {
    ("advglue", "sst2"): 148, ("advglue", "mnli"): 121, ("advglue", "rte"): 81,
    ("advglue", "qqp"): 78, ("advglue", "qnli"): 148,
    ("advglue_mismatched", "mnli"): 162, ("boolq_contrast", "boolq"): 332,
    ("gsm_plus_testmini", "gsm8k"): 867, ("imdb_counterfactual", "sst2"): 488,
    ("mathqa_challenge", "math_qa"): 604, ("winogender_axg", "rte"): 356,
    ("winogender_axg", "mnli"): 356,
}  # fmt: skip


@pytest.mark.parametrize(("name", "task"), PAIRS)
def test_real_rows_are_all_asked(name: str, task: str, shared_dir: Path) -> None:
    data = load_perturbed(name, task, data_dir=shared_dir / "data", limit=None)
    assert len(data.examples) == EXPECTED.get((name, task), 1000)
    labels = tasks.get(task).labels
    if labels:
        assert {e.target for e in data.examples} == set(data.reading.labels(labels))
