"""What is asked for later computes only what is new: told by the ledger, step by step."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from in_process import kinds, missing, plan, work
from peftbench import tasks
from peftbench.engine import host
from peftbench.engine.adapter import AdapterRun
from peftbench.planning.plan import Plan
from peftbench.spec import Train
from peftbench.store import Predicted, Store
from peftbench.training.run import Run

TASKS = ["generated_mood", "generated_sums"]
BOTH: dict[str, Any] = {"methods": ["base", "bitfit"]}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the plan of both methods is done."""
    folder = tmp_path_factory.mktemp("done") / "store"
    with Store.open(folder) as opened:
        work(plan(**BOTH), opened)
        assert kinds(opened) == ["predict", "grade", "train", "predict", "grade"]
    return folder


@pytest.fixture
def store(done: Path, tmp_path: Path) -> Iterator[Store]:
    """A store of one's own with the same results."""
    shutil.copytree(done, tmp_path / "store")
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The precision of every base model that is loaded."""
    found: list[str] = []
    real = host.load

    def load(source: Any, dtype: str) -> Any:
        found.append(dtype)
        return real(source, dtype)

    monkeypatch.setattr(host, "load", load)
    return found


def new_steps(made: Plan, store: Store) -> Counter[str]:
    """What doing the rest of a plan adds to the ledger, by kind."""
    before = store.results.step_ids()
    work(made, store)
    assert missing(made, store) == []
    return Counter(kinds(store, before))


def test_a_cell_that_is_done_is_never_done_again(store: Store) -> None:
    made = plan(**BOTH)
    assert new_steps(made, store) == {}
    records = store.records(made.cells)
    assert {one.status for one in records.values()} == {"finished"}
    assert [records[one.cell.id].has_adapter for one in made.cells] == [False, True]


def test_a_record_says_all_that_decoding_went_by(store: Store) -> None:
    made = plan(**BOTH)
    for record in store.records(made.cells).values():
        assert record.manifest.decoding == {
            "do_sample": False,
            "num_beams": 1,
            "max_new_tokens": tasks.get(made.cells[0].cell.task.name).answer_bound,
            "eos_token_id": [2],
            "end_tokens": ["<|end|>"],
        }


def test_a_larger_test_split_trains_nothing(store: Store, loads: list[str]) -> None:
    small = plan(**BOTH)
    large = larger(**BOTH)
    assert new_steps(large, store) == {"predict": 2, "grade": 2}
    assert len(loads) == 1, "one for both"
    counts = [one.counts for one in store.records(large.cells).values()]
    assert [one.test_examples for one in counts if one] == [12, 12]
    counts = [one.counts for one in store.records(small.cells).values()]
    assert [one.test_examples for one in counts if one] == [8, 8]


def test_a_further_seed_runs_that_seed_alone(store: Store) -> None:
    made = plan(**BOTH, seeds=[1, 2])
    assert new_steps(made, store) == {"train": 1, "predict": 1, "grade": 1}
    [new] = store.results.of_kind("train")[1:]
    assert isinstance(new.step, Train)
    assert new.step.seed == 2


def test_a_changed_description_label_or_name_runs_nothing(store: Store) -> None:
    changed = plan(
        name="c", description="new", methods=[{"name": "bitfit", "label": "mine"}]
    )
    assert missing(changed, store) == []
    [record] = store.records(changed.cells).values()
    assert record.status == "finished"


def test_the_equal_steps_of_two_benchmarks_are_one(store: Store) -> None:
    other = plan(name="other", methods=["lora", "bitfit"], tasks=TASKS)
    asked = [one.train for one in missing(other, store)]
    assert [(one.method.name, one.task.name) for one in asked if one] == [
        ("lora", "generated_mood"),
        ("lora", "generated_sums"),
        ("bitfit", "generated_sums"),
    ]


TASK = """
data: {train: train.jsonl, validation: validation.jsonl, test: test.jsonl}
prompt: "Is {number} even?"
answer: answer
labels: ["no", "yes"]
"""


@pytest.fixture
def own_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], dict[str, Any]]:
    """A task in a YAML file of one's own, with these metrics."""
    rows = [{"number": str(i), "answer": ["yes", "no"][i % 2]} for i in range(16)]
    for split in ("train", "validation", "test"):
        lines = (json.dumps({**row, "number": f"{split} {row['number']}"}) for row in rows)
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines))
    file = tmp_path / "evens.yaml"
    monkeypatch.setenv("PEFTBENCH_PLUGINS", os.fspath(file))

    def write(metrics: str) -> dict[str, Any]:
        file.write_text(f"{TASK}metric: {metrics}\n")
        return {"tasks": ["evens"], **BOTH}

    return write


def test_another_metric_is_a_grade_alone_and_loads_no_model(
    store: Store, own_task: Callable[[str], dict[str, Any]], loads: list[str]
) -> None:
    work(plan(**own_task("[accuracy]")), store)
    assert len(loads) == 1
    before = store.records(plan(**own_task("[accuracy]")).cells)
    made = plan(**own_task("[accuracy, macro_f1]"))
    assert new_steps(made, store) == {"grade": 2}
    assert len(loads) == 1, "grades need no model"
    for one in made.cells:
        record, old = store.records(made.cells)[one.cell.id], before[one.cell.id]
        names = [score.metric for score in record.scores]
        assert names[:2] == ["accuracy", "macro_f1"]
        assert record.headline == old.headline
        assert record.baselines == old.baselines
        assert record.counts == old.counts
        assert record.times_graded == 2
    fewer = plan(**own_task("[accuracy]"))
    assert missing(fewer, store) == [], "what covers all metrics is there"


def test_one_model_under_two_names_is_computed_once(
    store: Store, tmp_path: Path, loads: list[str]
) -> None:
    from peftbench.models import resolve
    from peftbench.models._load import load
    from peftbench.spec import ModelChoice

    base = load(resolve(ModelChoice(name="tiny")), "float32")
    for name in ("one", "two"):
        base.model.save_pretrained(tmp_path / name)
        base.tokenizer.save_pretrained(tmp_path / name)
    first, second = (plan(models=[str(tmp_path / name)]) for name in ("one", "two"))
    both = plan(models=[str(tmp_path / "one"), str(tmp_path / "two")])
    assert len(missing(both, store)) == 1, "one piece of work for two cells"
    work(first, store)
    assert len(loads) == 1
    assert missing(second, store) == missing(both, store) == []
    one, two = both.cells
    assert one.model != two.model
    assert one.cell.id == two.cell.id
    assert store.record(two) is not None


def test_auto_is_resolved_before_it_is_part_of_a_step(store: Store) -> None:
    [planned] = plan().cells
    here = planned.cell.model.dtype
    said = plan(models=[{"name": "tiny", "dtype": here}]).cells[0]
    assert said.cell.id == planned.cell.id
    other = plan(models=[{"name": "tiny", "dtype": "float16"}]).cells[0]
    assert other.cell.id != planned.cell.id
    for made in (plan(), plan(**BOTH)):
        assert "auto" not in json.dumps(
            [w.model_dump(mode="json") for w in missing(made, store)]
        )


# An adapter that was freed


def larger(**changes: Any) -> Plan:
    return plan(limits={"train": 16, "validation": 8, "test": 12}, **changes)


def free_all(store: Store) -> dict[str, str]:
    """Free all adapters; returns what their files were."""
    trained = store.results.of_kind("train")
    store.results.free(trained)
    [one] = store.results.of_kind("train")
    assert not one.has_adapter
    assert one.folder is not None
    assert not (one.folder / "adapter").exists()
    return one.digests


def test_an_adapter_that_was_freed_is_made_again_the_same(store: Store) -> None:
    [before] = store.results.of_kind("train")
    digests = free_all(store)
    assert new_steps(larger(), store) == {"predict": 1, "grade": 1}
    [after] = store.results.of_kind("train")
    assert (after.number, after.outcome) == (before.number, before.outcome)
    assert after.digests == digests
    assert after.has_adapter
    assert store.results.adapter(after) is not None, "its files are as they were"
    assert store.results.contradictions() == []
    assert list((store.folder / "staging").iterdir()) == []
    assert not (store.folder / "checkpoints" / after.step.id).exists()


def test_what_an_adapter_answers_is_the_same_after_it_was_made_again(
    store: Store, tmp_path: Path
) -> None:
    free_all(store)
    work(larger(), store)
    with Store.open(tmp_path / "at once") as other:
        work(larger(), other)
        step = larger().cells[0].cell.id
        [one, two] = [s.results.by_id([step])[step] for s in (store, other)]
        assert one.digests == two.digests
        assert isinstance(one.outcome, Predicted)
        assert isinstance(two.outcome, Predicted)
        assert one.outcome.numbers == two.outcome.numbers


def test_an_adapter_that_comes_out_otherwise_is_contradicted_and_not_asked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = free_all(store)
    real = AdapterRun._sign

    def sign(self: AdapterRun) -> None:
        real(self)
        weights = self.staging / "adapter" / "adapter_model.safetensors"
        whole = weights.read_bytes()
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))

    with monkeypatch.context() as patched:
        patched.setattr(AdapterRun, "_sign", sign)
        work(larger(), store)
    [record] = store.records(larger().cells).values()
    assert record.status == "failed"
    assert record.error is not None
    assert "training it again here gave other files" in record.error
    assert record.scores == ()
    [other] = store.results.contradictions()
    assert other.origin == "made again"
    assert other.files.keys() == digests.keys()
    differing = [path for path in digests if other.files[path] != digests[path]]
    assert differing == ["adapter/adapter_model.safetensors"]
    [trained] = store.results.of_kind("train")
    assert trained.digests == digests
    assert not trained.has_adapter
    [small] = store.records(plan().cells).values()
    assert small.status == "finished", "its answers to the smaller split stay"
    assert list((store.folder / "staging").iterdir()) == []
    assert missing(larger(), store) == [], "a failure is a result"


def test_a_freed_adapter_is_not_made_again_for_a_grade(
    store: Store,
    own_task: Callable[[str], dict[str, Any]],
    loads: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work(plan(**own_task("[accuracy]")), store)
    store.results.free(store.results.of_kind("train"))
    loads.clear()

    def step(self: Run) -> None:
        raise AssertionError("it trains")

    monkeypatch.setattr(Run, "step", step)
    assert new_steps(plan(**own_task("[accuracy, macro_f1]")), store) == {"grade": 2}
    assert loads == []


def test_large_adapters_go_when_their_work_is_done_unless_they_are_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peftbench.engine.unit.SMALL_BYTES", 100)
    work(larger(), store)
    assert [one.has_adapter for one in store.results.of_kind("train")] == [False]
    [record] = store.records(larger().cells).values()
    assert record.status == "finished"
    kept = plan(keep_adapters=True, limits={"train": 16, "validation": 8, "test": 4})
    work(kept, store)
    assert [one.has_adapter for one in store.results.of_kind("train")] == [True]


def test_what_is_forgotten_is_made_again_with_all_that_looks_at_it(store: Store) -> None:
    made = plan(**BOTH)
    [trained] = store.results.of_kind("train")
    store.results.forget([trained.step.id])
    assert kinds(store) == ["predict", "grade"]
    assert new_steps(made, store) == {"train": 1, "predict": 1, "grade": 1}
    [again] = store.results.of_kind("train")
    assert again.digests == trained.digests
    assert again.folder != trained.folder
