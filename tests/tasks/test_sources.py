"""From files, the hub's layout and bad input to examples, or to words that help."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from peftbench import reading, tasks
from peftbench.errors import DataError, UnknownName
from peftbench.tasks import SPLITS, Example, Row, Split, Task
from peftbench.tasks._data import (
    TaskData,
    cut_validation,
    data_identity,
    load_task_data,
    task_data,
)
from peftbench.tasks._sources import HubSource, SplitRows, find_source

SST2 = tasks.get("sst2")
REVISION = str(SST2.revision)


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Rows of the SST-2 kind; labels take turns."""
    return [
        {"sentence": f"film number {index}", "label": index % 2, "idx": index}
        for index in range(start, start + count)
    ]


def write(folder: Path, split: str, content: Sequence[Row], suffix: str = ".jsonl") -> Path:
    """One file of a split, in one of the three formats."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{split}{suffix}"
    text = "".join(json.dumps(row) + "\n" for row in content)
    if suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(content)), path)
    elif suffix == ".jsonl.gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, "utf-8")
    return path


def folder_of(data_dir: Path, suffix: str = ".jsonl") -> Path:
    """A good folder with 20, 6 and 8 rows of SST-2."""
    folder = data_dir / "sst2"
    for split, count, start in (("train", 20, 0), ("validation", 6, 100), ("test", 8, 200)):
        write(folder, split, rows(count, start), suffix)
    return folder


def load(data_dir: Path | None, **limits: int | None) -> TaskData:
    chosen: Mapping[Split, int | None] = {split: limits.get(split) for split in SPLITS}
    return load_task_data("sst2", data_dir=data_dir, limits=chosen)


class TestFolder:
    @pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl", ".parquet"])
    def test_every_format_gives_the_same_examples(
        self, tmp_path: Path, suffix: str
    ) -> None:
        folder_of(tmp_path, suffix)
        data = load(tmp_path)
        assert dict(data.rows_before_limits) == {"train": 20, "validation": 6, "test": 8}
        expected = tuple(SST2.to_example(row) for row in rows(20))
        assert data.examples["train"] == expected
        assert data.source == "folder"
        assert data.name == "sst2"

    def test_formats_may_be_mixed_and_blank_lines_and_more_fields_do_no_harm(
        self, tmp_path: Path
    ) -> None:
        folder = folder_of(tmp_path, ".parquet")
        (folder / "test.parquet").unlink()
        lines = "\n".join(json.dumps({**row, "more": None}) for row in rows(3))
        (folder / "test.jsonl").write_text(f"\n{lines}\r\n\n", "utf-8")
        assert len(load(tmp_path).examples["test"]) == 3

    def test_identity_is_that_of_the_bytes(self, tmp_path: Path) -> None:
        folder_of(tmp_path / "a")
        folder_of(tmp_path / "b")
        first = data_identity("sst2", data_dir=tmp_path / "a")
        assert first.startswith("sha256:")
        assert first == data_identity("sst2", data_dir=tmp_path / "b")
        assert first == load(tmp_path / "a").identity
        write(tmp_path / "b" / "sst2", "test", rows(9, 200))
        assert first != data_identity("sst2", data_dir=tmp_path / "b")

    def test_generated_tasks_need_no_folder(self, tmp_path: Path) -> None:
        for name in ("generated-mood", "generated_mood"):
            data = load_task_data(name, data_dir=tmp_path, limits={"train": 7})
            assert data.name == "generated_mood"
            assert data.source == "generated"
            assert data.identity == data_identity(name, data_dir=None) == "generated v1"
            assert len(data.examples["train"]) == 7
            assert not any(data.shared_groups.values())
            assert not any(data.duplicate_prompts.values())

    def test_unknown_task_is_named_with_a_suggestion(self, tmp_path: Path) -> None:
        with pytest.raises(UnknownName, match="Did you mean 'sst2'"):
            load_task_data("sst3", data_dir=tmp_path, limits={})


class TestLeaks:
    def test_groups_and_prompts_in_two_splits_are_counted(self, tmp_path: Path) -> None:
        folder = folder_of(tmp_path)
        leaked = [{"sentence": "FILM  number 3", "label": 1}, *rows(1, 101)]
        write(folder, "test", [*rows(4, 200), *leaked])
        data = load(tmp_path)
        assert data.shared_groups == {
            "train/validation": 0,
            "train/test": 1,
            "validation/test": 1,
        }
        assert data.duplicate_prompts == {
            "train/validation": 0,
            "train/test": 0,
            "validation/test": 1,
        }


class TestLimits:
    def test_limit_picks_fixed_rows_in_the_order_of_the_source(
        self, tmp_path: Path
    ) -> None:
        folder = folder_of(tmp_path)
        write(folder, "train", rows(1000))
        every = load(tmp_path).examples["train"]
        some = load(tmp_path, train=100).examples["train"]
        assert some == load(tmp_path, train=100).examples["train"]
        positions = [every.index(example) for example in some]
        assert positions == sorted(set(positions))
        assert len(positions) == 100
        assert max(positions) > 900, "not the first rows: a file may be sorted"

    def test_larger_limit_adds_to_a_smaller_one(self, tmp_path: Path) -> None:
        folder_of(tmp_path)
        few, more = (set(load(tmp_path, train=n).examples["train"]) for n in (5, 12))
        assert few < more

    def test_choice_does_not_depend_on_the_order_of_rows(self, tmp_path: Path) -> None:
        folder = folder_of(tmp_path)
        before = set(load(tmp_path, train=5).examples["train"])
        write(folder, "train", rows(20)[::-1])
        assert set(load(tmp_path, train=5).examples["train"]) == before

    def test_rows_before_limits_are_counted(self, tmp_path: Path) -> None:
        folder_of(tmp_path)
        data = load(tmp_path, train=5, validation=600, test=1)
        assert dict(data.rows_before_limits) == {"train": 20, "validation": 6, "test": 8}
        assert [len(data.examples[split]) for split in SPLITS] == [5, 6, 1]


def example(group: str | None, index: int) -> Example:
    return Example(prompt=f"{index}", completion="x", target="x", group=group)


class TestValidationCut:
    @given(st.lists(st.sampled_from("abcdefghijklmnopqrst"), min_size=200, max_size=300))
    def test_cut_parts_whole_groups_and_keeps_every_row(self, groups: list[str]) -> None:
        every = [example(group, index) for index, group in enumerate(groups)]
        assume(min(Counter(groups).values()) <= len(groups) // 10)
        train, validation = cut_validation("t", every)
        assert not {row.group for row in train} & {row.group for row in validation}
        assert sorted([*train, *validation], key=lambda row: int(row.prompt)) == every
        assert 0 < len(validation) <= len(every) // 10

    def test_cut_is_a_tenth_and_at_most_512_rows(self) -> None:
        for count, expected in ((100, 10), (4000, 400), (10_000, 512)):
            every = [example(None, index) for index in range(count)]
            _, validation = cut_validation("t", every)
            assert len(validation) == expected

    def test_cut_differs_between_tasks_and_not_between_calls(self) -> None:
        every = [example(None, index) for index in range(500)]
        assert cut_validation("a", every) == cut_validation("a", every)
        assert cut_validation("a", every) != cut_validation("b", every)

    def test_case_and_blanks_do_not_part_a_group(self) -> None:
        names = [f"{letter} passage" for letter in "abcdefghijklmnopqrstuvwxyz"]
        every = [
            example(name, index)
            for index, name in enumerate([*names, *[f"{n.upper()} " for n in names]])
        ]
        train, validation = cut_validation("t", every)
        held = {str(row.group).strip().lower() for row in validation}
        assert not held & {str(row.group).strip().lower() for row in train}

    @pytest.mark.parametrize("count", [1, 30])
    def test_one_group_cannot_be_cut(self, count: int) -> None:
        with pytest.raises(DataError, match="No validation split can be cut"):
            cut_validation("t", [example("same", index) for index in range(count)])


class TestBadFolders:
    def test_no_data_folder(self, tmp_path: Path) -> None:
        with pytest.raises(DataError) as caught:
            load(tmp_path / "nowhere")
        assert "nowhere is not a folder" in str(caught.value)
        assert "--data-dir" in str(caught.value)

    def test_folder_without_the_task(self, tmp_path: Path) -> None:
        (tmp_path / "boolq").mkdir()
        with pytest.raises(DataError) as caught:
            load(tmp_path)
        message = str(caught.value)
        assert "has no folder 'sst2' (it holds: boolq)" in message
        assert f"{tmp_path / 'sst2'}/{{train,validation,test}}.jsonl.gz" in message
        assert ".jsonl or .parquet" in message
        assert "Hugging Face hub" in message
        with pytest.raises(DataError, match="has no folder 'sst2'"):
            data_identity("sst2", data_dir=tmp_path)

    def test_missing_split_file(self, tmp_path: Path) -> None:
        (folder_of(tmp_path) / "validation.jsonl").unlink()
        with pytest.raises(DataError) as caught:
            load(tmp_path)
        assert "has no validation split" in str(caught.value)
        assert "it holds: test.jsonl, train.jsonl" in str(caught.value)

    def test_two_files_for_one_split(self, tmp_path: Path) -> None:
        write(folder_of(tmp_path), "test", rows(3), ".jsonl.gz")
        with pytest.raises(DataError, match=r"test\.jsonl\.gz and test\.jsonl: which"):
            load(tmp_path)

    @pytest.mark.parametrize("keep", [10, 60])
    def test_gzip_cut_short(self, tmp_path: Path, keep: int) -> None:
        path = folder_of(tmp_path, ".jsonl.gz") / "train.jsonl.gz"
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(DataError, match=r"train\.jsonl\.gz is not a whole gzip file"):
            load(tmp_path)

    @pytest.mark.parametrize("text", ["\n" * 400_000, "x" * 400_000])
    def test_gzip_that_fills_the_memory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        monkeypatch.setattr(reading, "_UNPACKED_BYTES", 100_000)
        path = folder_of(tmp_path, ".jsonl.gz") / "train.jsonl.gz"
        path.write_bytes(gzip.compress(text.encode()))
        with pytest.raises(
            DataError, match=r"train\.jsonl\.gz holds 100 times its own size"
        ):
            load(tmp_path)

    def test_parquet_that_fills_the_memory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import pyarrow
        import pyarrow.parquet

        monkeypatch.setattr(reading, "_UNPACKED_BYTES", 100_000)
        folder = folder_of(tmp_path)
        (folder / "train.jsonl").unlink()
        table = pyarrow.table({"sentence": ["x" * 1000] * 5000, "label": [1] * 5000})
        pyarrow.parquet.write_table(table, folder / "train.parquet")
        with pytest.raises(DataError, match=r"train\.parquet holds 100 times its own size"):
            load(tmp_path)

    def test_gzip_that_is_none(self, tmp_path: Path) -> None:
        path = folder_of(tmp_path, ".jsonl.gz") / "train.jsonl.gz"
        path.write_text("not compressed")
        with pytest.raises(DataError, match=r"train\.jsonl\.gz is not a whole gzip file"):
            load(tmp_path)

    def test_gzip_with_a_broken_middle(self, tmp_path: Path) -> None:
        path = folder_of(tmp_path, ".jsonl.gz") / "train.jsonl.gz"
        content = path.read_bytes()
        path.write_bytes(content[:30] + b"\xff" * 20 + content[50:])
        with pytest.raises(DataError, match=r"train\.jsonl\.gz"):
            load(tmp_path)

    def test_parquet_that_is_none(self, tmp_path: Path) -> None:
        (folder_of(tmp_path, ".parquet") / "train.parquet").write_text("not Parquet")
        with pytest.raises(DataError, match=r"train\.parquet is not a whole Parquet file"):
            load(tmp_path)

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            (b'{"sentence": "a", "label": 1', "is not valid JSON"),
            (b"{'sentence': 'a'}", "is not valid JSON"),
            (b"[" * 100_000, "is not valid JSON"),
            (b'["a", 1]', "holds a JSON list; expected an object"),
            (b"3", "holds a JSON int; expected an object"),
            (b'{"sentence": "caf\xe9", "label": 1}', "is not UTF-8"),
            (
                b'{"sentence": "a"}',
                "no field 'label'; found sentence; expected sentence, label",
            ),
            (b"{}", "no field 'sentence', 'label'; found none"),
            (
                b'{"sentence": "a", "label": 2}',
                "'label' is 2; allowed: 0 (negative), 1 (pos",
            ),
            (b'{"sentence": "a", "label": "1"}', "'label' is '1'; allowed"),
            (b'{"sentence": "a", "label": null}', "'label' is None; allowed"),
            (b'{"sentence": "a", "label": [1]}', "'label' is [1]; allowed"),
            (b'{"sentence": "a", "label": -1}', "the row is unlabelled"),
            (b'{"sentence": null, "label": 1}', "'sentence' must be text; found None"),
        ],
    )
    def test_bad_line_is_named(self, tmp_path: Path, line: bytes, words: str) -> None:
        folder = folder_of(tmp_path)
        good = json.dumps(rows(1)[0]).encode()
        (folder / "train.jsonl").write_bytes(b"\n".join([good, b"", line, good]))
        with pytest.raises(DataError) as caught:
            load(tmp_path)
        assert f"{folder / 'train.jsonl'}:3" in str(caught.value)
        assert words in str(caught.value)

    def test_bad_row_of_a_parquet_file_is_named(self, tmp_path: Path) -> None:
        folder = folder_of(tmp_path, ".parquet")
        bad = {"sentence": "a", "label": 7, "idx": 1}
        write(folder, "test", [*rows(2), bad], ".parquet")
        with pytest.raises(DataError, match=r"test\.parquet, row 3: 'label' is 7"):
            load(tmp_path)

    @pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl"])
    def test_empty_split(self, tmp_path: Path, suffix: str) -> None:
        write(folder_of(tmp_path, suffix), "validation", [], suffix)
        with pytest.raises(DataError, match="has no rows; the validation split"):
            load(tmp_path)

    def test_split_that_cannot_be_opened(self, tmp_path: Path) -> None:
        folder = folder_of(tmp_path)
        (folder / "test.jsonl").unlink()
        (folder / "test.jsonl").mkdir()
        with pytest.raises(DataError, match="has no test split"):
            load(tmp_path)

    def test_surrogates_are_no_error(self, tmp_path: Path) -> None:
        folder = folder_of(tmp_path)
        write(
            folder, "train", [{"sentence": f"a \ud800 {n}", "label": 1} for n in range(9)]
        )
        assert len(load(tmp_path, train=4).examples["train"]) == 4


class OneSplit:
    """A source with the same rows in every split; a stand-in for any other."""

    description = "memory"
    identity = "memory"
    splits: Sequence[Split] = SPLITS

    def __init__(self, *content: Row) -> None:
        self.content = content

    def read(self, split: Split) -> SplitRows:
        return SplitRows(rows=self.content, origin=f"memory {split}")


class TestBadTasks:
    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"target": " "}, "the target is empty"),
            ({"completion": ""}, "the completion is empty"),
            ({"prompt": "\n"}, "the prompt is empty"),
            ({"target": "great"}, "the target 'great' is not among the labels negative"),
        ],
    )
    def test_example_that_cannot_be_scored(
        self, changed: dict[str, str], words: str
    ) -> None:
        task = replace(
            SST2, to_example=lambda row: replace(SST2.to_example(row), **changed)
        )
        with pytest.raises(DataError, match=f"memory train, row 1: {words}"):
            task_data("sst2", task, OneSplit(*rows(3)), {})

    def test_task_that_trips_over_a_row(self) -> None:
        task = replace(SST2, to_example=lambda row: row["sentence"]["deep"])
        with pytest.raises(
            DataError, match=r"row 1: the task cannot use this row \(TypeErr"
        ):
            task_data("sst2", task, OneSplit(*rows(3)), {})

    def test_task_without_a_test_split(self) -> None:
        source = OneSplit(*rows(3))
        source.splits = ("train",)
        with pytest.raises(DataError, match="names no split for test"):
            task_data("sst2", SST2, source, {})

    @pytest.mark.parametrize("missing", ["hub_id", "revision"])
    def test_task_without_a_pinned_source(self, missing: str) -> None:
        absent: dict[str, Any] = {missing: None}
        task = replace(SST2, **absent)
        with pytest.raises(DataError, match="no hub dataset with a pinned revision"):
            task_data("sst2", task, HubSource(task), {})


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub is out of reach (see conftest.py); its cache is empty and the test's own."""
    import datasets

    cache = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    monkeypatch.chdir(tmp_path)
    assert datasets.config.HF_HUB_OFFLINE
    return cache


class TestHub:
    @pytest.fixture
    def in_layout(self, tmp_path: Path, hub_cache: Path) -> Task:
        """SST-2 as its hub repository has it: Parquet files, and a card that names them."""
        import pyarrow
        import pyarrow.parquet

        repository = tmp_path / "glue"
        (repository / "sst2").mkdir(parents=True)
        for split, content in (("train", rows(100)), ("validation", rows(10, 200))):
            table = pyarrow.Table.from_pylist(content)
            path = repository / "sst2" / f"{split}-00000-of-00001.parquet"
            pyarrow.parquet.write_table(table, path)
        card = """---
configs:
- config_name: sst2
  data_files:
  - {split: train, path: sst2/train-*}
  - {split: validation, path: sst2/validation-*}
dataset_info:
- config_name: sst2
  features:
  - {name: sentence, dtype: string}
  - name: label
    dtype: {class_label: {names: {'0': negative, '1': positive}}}
  - {name: idx, dtype: int64}
---
"""
        (repository / "README.md").write_text(card, "utf-8")
        return replace(SST2, hub_id=str(repository))

    def test_hub_layout_is_read_and_validation_is_cut_from_training_rows(
        self, in_layout: Task
    ) -> None:
        data = task_data("sst2", in_layout, HubSource(in_layout), {"test": 4})
        assert dict(data.rows_before_limits) == {"train": 90, "validation": 10, "test": 10}
        assert len(data.examples["test"]) == 4
        assert data.source == f"hub {in_layout.hub_id}"
        assert data.identity == f"{in_layout.hub_id}@{REVISION}"
        expected = {SST2.to_example(row) for row in rows(100)}
        assert {*data.examples["train"], *data.examples["validation"]} == expected
        assert not any(data.shared_groups.values())

    def test_task_may_slice_the_hubs_splits(self, in_layout: Task) -> None:
        splits: dict[Split, str] = {
            "train": "train[:-20]",
            "validation": "train[-20:]",
            "test": "validation",
        }
        sliced = replace(in_layout, splits=splits)
        data = task_data("sst2", sliced, HubSource(sliced), {})
        assert dict(data.rows_before_limits) == {"train": 80, "validation": 20, "test": 10}

    def test_bad_row_is_named(self, in_layout: Task) -> None:
        task = replace(in_layout, fields=("sentence", "label", "genre"))
        with pytest.raises(
            DataError, match=r"split train, row 1: the row has no field 'gen"
        ):
            task_data("sst2", task, HubSource(task), {})

    def test_split_that_is_not_there_is_the_tasks_mistake(self, in_layout: Task) -> None:
        task = replace(in_layout, splits={"train": "train", "test": "final"})
        with pytest.raises(DataError, match=r"cannot be read as the task expects.*final"):
            task_data("sst2", task, HubSource(task), {})

    @pytest.mark.usefixtures("hub_cache")
    def test_offline_mode_is_named(self) -> None:
        with pytest.raises(DataError, match=r"offline mode \(HF_HUB_OFFLINE\).*--data-dir"):
            load(None)
        assert data_identity("sst2", data_dir=None) == f"nyu-mll/glue@{REVISION}"

    def test_folder_that_hides_the_hub_dataset_is_refused(
        self,
        tmp_path: Path,
        hub_cache: Path,
    ) -> None:
        (tmp_path / "nyu-mll" / "glue").mkdir(parents=True)
        with pytest.raises(DataError, match="hides the hub dataset"):
            load(None)

    @pytest.mark.parametrize("revision", [REVISION, "0" * 40])
    def test_cached_dataset_counts_only_at_the_pinned_revision(
        self, in_layout: Task, hub_cache: Path, revision: str
    ) -> None:
        """Offline, `datasets` takes the newest revision it has, whichever was asked for."""
        task_data("sst2", in_layout, HubSource(in_layout), {})
        (made,) = hub_cache.glob("*/sst2*/*/*/dataset_info.json")
        cached = hub_cache / "nyu-mll___glue" / "sst2" / "0.0.0" / revision
        cached.parent.mkdir(parents=True)
        made.parent.rename(cached)
        if revision == REVISION:
            assert load(None).source == "hub nyu-mll/glue"
        else:
            with pytest.raises(DataError, match=f"revision {revision}, not at {REVISION}"):
                load(None)

    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            ("gated", "is gated: accept its terms at .*hf auth login"),
            ("missing", "no dataset nyu-mll/glue at revision .*hf auth login"),
            ("timeout", "cannot be reached .* no network, or no answer in time"),
            ("connection", "cannot be reached .* no network, or no answer in time"),
            ("no entry", "cannot be reached .* no network, or no answer in time"),
            ("broken", "cannot be read as the task expects"),
        ],
    )
    def test_each_trouble_with_the_hub_has_its_own_words(
        self, monkeypatch: pytest.MonkeyPatch, kind: str, words: str
    ) -> None:
        import datasets
        from huggingface_hub.errors import LocalEntryNotFoundError

        not_found = datasets.exceptions.DatasetNotFoundError
        error = {
            "gated": not_found("Dataset 'x' is a gated dataset on the Hub."),
            "missing": not_found("Dataset 'x' doesn't exist on the Hub"),
            "timeout": TimeoutError("timed out"),
            "connection": ConnectionError("Couldn't reach 'x' on the Hub"),
            "no entry": LocalEntryNotFoundError("no file"),
            "broken": ValueError("broken"),
        }[kind]

        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(datasets, "load_dataset", fail)
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        with pytest.raises(DataError, match=f"{words}.*--data-dir") as caught:
            load(None)
        assert caught.value.__cause__ is error


def test_source_of_a_task_is_program_then_folder_then_hub(tmp_path: Path) -> None:
    folder_of(tmp_path)
    assert (
        find_source("x", tasks.get("generated_mood"), tmp_path).description == "generated"
    )
    assert find_source("sst2", SST2, tmp_path).description == "folder"
    assert find_source("sst2", SST2, None).description == "hub nyu-mll/glue"


def test_loading_rows_from_a_folder_imports_nothing_heavy(tmp_path: Path) -> None:
    folder_of(tmp_path)
    code = (
        "import sys, pathlib; from peftbench.tasks._data import load_task_data; "
        f"load_task_data('sst2', data_dir=pathlib.Path({str(tmp_path)!r}), limits={{}}); "
        "print({'torch', 'datasets', 'pyarrow', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
