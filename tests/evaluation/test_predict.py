"""Speed never changes an answer: the label pass says what decoding says, row by row."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import torch
from torch import nn
from transformers import GenerationConfig

from peftbench import methods, tasks
from peftbench.encoding.batches import Batch
from peftbench.encoding.encode import Encoder, stop_ids
from peftbench.encoding.logits import all_logits
from peftbench.errors import OutOfMemory
from peftbench.evaluation.predict import Predictor
from peftbench.models import resolve
from peftbench.models._load import BaseModel, _forget_decoding, load
from peftbench.spec import ModelChoice, Training
from peftbench.tasks import Task
from peftbench.tasks._answers import label_reader
from peftbench.training.data import TrainingData
from peftbench.training.run import Run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Every real task with a closed set of answers; recipes/slow-twin/ checks all their rows.
REAL_TASKS = [
    name
    for name in tasks.names()
    if tasks.get(name).labels and not tasks.get(name).is_generated
]
REAL_ROWS = 3
ROWS = 20


@pytest.fixture(scope="module")
def base() -> BaseModel:
    """The embedded tiny model, in float32 on any device, so that what should be equal can be
    told from rounding; tests leave it as it was."""
    return load(resolve(ModelChoice(name="tiny")), "float32")


@pytest.fixture(scope="module")
def encoder(base: BaseModel) -> Encoder:
    return Encoder(
        base.tokenizer,
        chat_template=True,
        stop_ids=stop_ids(base.tokenizer, base.model.generation_config.eos_token_id),
    )


@pytest.fixture(autouse=True)
def base_stays_intact(base: BaseModel) -> Iterator[None]:
    yield
    assert base.is_intact()


def rows_of(name: str, folder: Path | None = None) -> tuple[Task, list[str], list[Any]]:
    """A task, some of its test prompts and some of its training examples."""
    task = tasks.get(name)
    found = []
    for split in ("test", "train"):
        if folder:
            with gzip.open(
                folder / name / f"{split}.jsonl.gz", "rt", encoding="utf-8"
            ) as f:
                rows = [json.loads(line) for line in islice(f, ROWS)]
        else:
            assert task.generate is not None
            rows = list(task.generate(cast("Any", split))[:ROWS])
        found.append([task.to_example(row) for row in rows])
    return task, [example.prompt for example in found[0]], found[1]


def trained(
    adapted: nn.Module,
    encoder: Encoder,
    examples: Sequence[Any],
    steps: int = 8,
    learning_rate: float = 2e-2,
) -> nn.Module:
    """Train a little, so that some rows are decided and others are not."""
    training = Training(steps=steps, learning_rate=learning_rate, warmup_fraction=0)
    rows = [encoder.encode_example(example) for example in examples]
    rows = [row for row in rows if len(row) < 200] or rows[:4]
    batches = [[i % len(rows) for i in range(s, s + 4)] for s in range(steps)]
    device = next(adapted.parameters()).device
    run = Run(adapted, TrainingData(rows, batches, training, 0, device))
    for _ in range(steps):
        run.step()
    return adapted.eval()


def assert_fast_is_slow(
    predictor: Predictor, task: Task, prompts: Sequence[str]
) -> tuple[int, int]:
    """Both ways agree on every row; returns how many rows each way decided."""
    fast = predictor.predict(task, prompts)
    slow = predictor.predict_slowly(task, prompts)
    assert [output.answer for output in fast] == [output.answer for output in slow]
    assert [o.text.strip().casefold() for o in fast] == [
        o.text.strip().casefold() for o in slow
    ]
    scored = predictor.score_labels(prompts, task)
    undecided = sum(row.greedy is None for row in scored)
    return len(prompts) - undecided, undecided


def adapted_model(
    kind: str, base: BaseModel, encoder: Encoder, examples: Sequence[Any]
) -> tuple[nn.Module, Callable[[], Any]]:
    """A model of one kind over the base, and how to take it off again."""
    torch.manual_seed(5)
    if kind == "base":
        return base.model, lambda: None
    settings = {"num_virtual_tokens": 5} if kind.endswith(("tuning", "prefix")) else {}
    settings = {} if kind == "ln-tuning" else settings
    method = methods.get(kind)(**settings)
    adapted = trained(method.attach(base.model), encoder, examples)
    return adapted, lambda: method.detach(adapted)


@pytest.mark.parametrize("kind", ["base", "lora"])
def test_label_pass_says_what_decoding_says_on_real_rows_of_every_task(
    kind: str, base: BaseModel, encoder: Encoder, shared_dir: Path
) -> None:
    """One adapter that has seen a row of every task answers some in its labels."""
    found = {name: rows_of(name, shared_dir / "data") for name in REAL_TASKS}
    seen = [examples[0] for _, _, examples in found.values()]
    adapted, detach = adapted_model(kind, base, encoder, seen)
    predictor, counts = Predictor(adapted, encoder, 128), []
    try:
        for task, prompts, _ in found.values():
            counts.append(assert_fast_is_slow(predictor, task, prompts[:REAL_ROWS]))
    finally:
        detach()
    decided, undecided = map(sum, zip(*counts, strict=True))
    assert decided + undecided == REAL_ROWS * len(REAL_TASKS)
    assert undecided, "every row took the fast path: the test shows nothing"
    assert decided or kind == "base", "no row took the fast path: the test shows nothing"


@pytest.mark.parametrize("kind", ["prompt-tuning", "prefix-tuning", "p-tuning", "full"])
def test_label_pass_says_what_decoding_says_for_every_kind_of_method(
    kind: str, base: BaseModel, encoder: Encoder
) -> None:
    task, prompts, examples = rows_of("generated_mood")
    adapted, detach = adapted_model(kind, base, encoder, examples)
    try:
        decided, undecided = assert_fast_is_slow(
            Predictor(adapted, encoder, 120), task, prompts
        )
    finally:
        detach()
    assert decided + undecided == ROWS


def test_label_pass_says_what_decoding_says_where_rows_are_mixed(
    base: BaseModel, encoder: Encoder
) -> None:
    """Some rows a label, some something else: both ways of one call at once."""
    task, prompts, examples = rows_of("generated_mood")
    method = methods.get("lora")()
    torch.manual_seed(5)
    adapted = method.attach(base.model)
    mixed = 0
    try:
        for _ in range(8):
            trained(adapted, encoder, examples, steps=1, learning_rate=3e-3)
            counts = assert_fast_is_slow(Predictor(adapted, encoder, 120), task, prompts)
            mixed += min(counts) > 0
    finally:
        method.detach(adapted)
    assert mixed, "at no time were some rows decided and others not"


def test_label_pass_says_what_decoding_says_with_random_weights(
    base: BaseModel, encoder: Encoder
) -> None:
    task, prompts, _ = rows_of("generated_mood")
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    build: Any = AutoModelForCausalLM.from_config
    random = build(base.model.config).eval().float().to(base.device)
    _, undecided = assert_fast_is_slow(Predictor(random, encoder, 120), task, prompts)
    assert undecided == ROWS


@pytest.mark.parametrize("kind", ["lora", "prompt-tuning"])
def test_label_pass_says_what_decoding_says_where_prompts_are_cut(
    kind: str, base: BaseModel, encoder: Encoder
) -> None:
    """Both ways must cut the same tokens off, also where labels differ in length."""
    task, prompts, examples = rows_of("generated_mood")
    adapted, detach = adapted_model(kind, base, encoder, examples)
    try:
        for max_length in (16, 20, 24):
            predictor = Predictor(adapted, encoder, max_length)
            assert predictor.prompts_cut(prompts, task.answer_bound) == ROWS
            assert_fast_is_slow(predictor, task, prompts)
    finally:
        detach()


def test_all_labels_of_a_row_are_scored_after_the_same_prompt(
    base: BaseModel, encoder: Encoder
) -> None:
    """A longer label must not see less of the prompt than a shorter one."""
    seen: list[int] = []
    task = replace(rows_of("generated_mood")[0], labels=("no", "a much longer label"))
    predictor = Predictor(base.model, encoder, 64)
    original = Batch.of

    def spy(rows: Any, *rest: Any) -> Batch:
        seen.extend(len(row.prompt) for row in rows)
        return original(rows, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batch, "of", spy)
        predictor.score_labels(["word " * 200], task)
    assert len(seen) == 2
    assert len(set(seen)) == 1


def test_likelihood_of_a_label_is_the_sum_over_its_tokens_and_the_end(
    base: BaseModel, encoder: Encoder
) -> None:
    task, prompts, _ = rows_of("generated_mood")
    scored = Predictor(base.model, encoder, 120).score_labels(prompts[:3], task)
    for prompt, row in zip(prompts[:3], scored, strict=True):
        for label, found in zip(task.labels, row.log_likelihoods, strict=True):
            encoded = encoder.encode(prompt, label)
            whole = [(*encoded.prompt, *encoded.completion)]
            ids = torch.tensor(whole, device=base.device)
            with torch.no_grad():
                logs = all_logits(base.model, ids[:, :-1])[0].double().log_softmax(-1)
            start = len(encoded.prompt) - 1
            expected = sum(
                float(logs[start + k, token]) for k, token in enumerate(encoded.completion)
            )
            assert found == pytest.approx(expected, abs=1e-4)
            assert encoded.completion[-1] == encoder.stop_ids[0]


def test_likelihood_answer_is_the_likeliest_label(
    base: BaseModel, encoder: Encoder
) -> None:
    task, prompts, _ = rows_of("generated_mood")
    for output in Predictor(base.model, encoder, 120).predict(task, prompts):
        logs = output.label_log_likelihoods
        assert logs is not None
        assert output.likelihood_answer == task.labels[logs.index(max(logs))]


@pytest.mark.parametrize("kind", ["base", "lora", "prompt-tuning", "prefix-tuning"])
def test_neighbours_in_a_batch_change_no_answer(
    kind: str, base: BaseModel, encoder: Encoder
) -> None:
    """Padding and the order of rows are of no account, in both ways."""
    task, prompts, examples = rows_of("generated_mood")
    prompts = [prompts[0], prompts[1] * 2, prompts[2][-20:], *prompts[3:9]]
    adapted, detach = adapted_model(kind, base, encoder, examples)
    try:
        one_by_one = Predictor(adapted, encoder, 200, batch_tokens=1)
        together = Predictor(adapted, encoder, 200)
        texts = one_by_one.generate(prompts, 12)
        assert together.generate(prompts, 12) == texts
        assert together.generate(prompts[::-1], 12) == texts[::-1]
        alone = one_by_one.score_labels(prompts, task)
        for a, b in zip(alone, together.score_labels(prompts, task), strict=True):
            assert a.greedy == b.greedy
            assert a.log_likelihoods == pytest.approx(b.log_likelihoods, abs=1e-4)
    finally:
        detach()


def test_outputs_come_in_the_order_of_the_prompts(
    base: BaseModel, encoder: Encoder
) -> None:
    task, prompts, _ = rows_of("generated_mood")
    predictor = Predictor(base.model, encoder, 120, batch_tokens=300)
    outputs = predictor.predict(task, prompts)
    backwards = predictor.predict(task, prompts[::-1])
    assert [output.text for output in backwards] == [o.text for o in outputs][::-1]


def test_no_prompts_give_no_outputs(base: BaseModel, encoder: Encoder) -> None:
    for name in ("generated_mood", "generated_sums"):
        assert Predictor(base.model, encoder, 120).predict(tasks.get(name), []) == []


def test_decoding_ends_at_any_stop_token(base: BaseModel) -> None:
    prompt = rows_of("generated_mood")[1][0]
    free = Predictor(
        base.model, Encoder(base.tokenizer, chat_template=True, stop_ids=[1]), 200
    )
    text = free.generate([prompt], 12)[0]
    ids = base.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(ids) > 3, "the model stopped early by itself: the test shows nothing"
    stop = ids[2]
    stopping = Encoder(base.tokenizer, chat_template=True, stop_ids=[1, stop])
    written = Predictor(base.model, stopping, 200).generate([prompt], 12)[0]
    first = ids.index(stop)
    assert written == base.tokenizer.decode(ids[:first])


def test_what_is_written_is_bounded(base: BaseModel) -> None:
    never = Encoder(base.tokenizer, chat_template=True, stop_ids=[1])
    text = Predictor(base.model, never, 200).generate(["Ada found a ring."], 5)[0]
    assert len(base.tokenizer(text, add_special_tokens=False)["input_ids"]) <= 5


@pytest.mark.parametrize(
    "inherited",
    [
        {"no_repeat_ngram_size": 1},
        {"repetition_penalty": 1.3, "encoder_repetition_penalty": 1.3},
        {"min_new_tokens": 9, "forced_eos_token_id": 2},
        {"suppress_tokens": list(range(3, 600)), "begin_suppress_tokens": [2]},
        {"do_sample": True, "temperature": 0.6, "top_k": 20, "num_return_sequences": 2},
        {"num_beams": 3, "num_beam_groups": 3, "diversity_penalty": 1.0},
        {"stop_strings": ["a"], "max_time": 1e-4},
        {"return_dict_in_generate": True, "output_scores": True},
        {"prompt_lookup_num_tokens": 3},
        {"penalty_alpha": 0.6, "top_k": 4, "use_cache": False},
        {"custom_field_of_its_own": 1},
    ],
    ids=lambda inherited: next(iter(inherited)),
)
def test_decoding_inherits_nothing_from_the_models_own_settings(
    inherited: dict[str, Any], base: BaseModel, encoder: Encoder
) -> None:
    prompts = rows_of("generated_mood")[1][:3]
    predictor = Predictor(base.model, encoder, 200)
    expected = predictor.generate(prompts, 12)
    base.model.generation_config = GenerationConfig(eos_token_id=2, **inherited)
    _forget_decoding(base.model)
    assert predictor.generate(prompts, 12) == expected


def test_a_model_adds_its_end_tokens_to_decoding_and_nothing_else(
    base: BaseModel, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(base.source.location, folder)
    settings = {"eos_token_id": [2, 300], "repetition_penalty": 2.0, "max_length": 20}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    other = load(resolve(ModelChoice(name=str(folder))), "float32")
    left = other.model.generation_config
    assert (left.repetition_penalty, left.max_length) == (None, None)
    ends = stop_ids(other.tokenizer, left.eos_token_id)
    made = Encoder(other.tokenizer, chat_template=True, stop_ids=ends)
    assert Predictor(other.model, made, 200).decoding(12) == {
        "do_sample": False, "num_beams": 1, "max_new_tokens": 12, "eos_token_id": [2, 300]
    }  # fmt: skip
    assert made.end_tokens == ("<|end|>", other.tokenizer.convert_ids_to_tokens(300))


def test_room_for_a_long_answer_is_never_taken_from_the_whole_question(
    base: BaseModel, encoder: Encoder
) -> None:
    """A program of up to 512 tokens, on a model that takes 64 in all."""
    task = replace(tasks.get("gsm8k"), max_new_tokens=512)
    predictor = Predictor(base.model, encoder, max_length=64)
    assert predictor.bound(task) == 32
    assert predictor.bound(replace(task, max_new_tokens=20)) == 20
    assert predictor.bound(tasks.get("rte")) == tasks.get("rte").answer_bound
    seen: list[int] = []
    original: Any = base.model.generate

    def spy(**arguments: Any) -> Any:
        seen.append(arguments["input_ids"].shape[1] + arguments["max_new_tokens"])
        assert arguments["input_ids"].shape[1] > 10
        return original(**arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base.model, "generate", spy, raising=False)
        predictor.predict(task, ["Ada found a ring. " * 10])
    assert seen == [64]


def test_prompts_that_are_too_long_are_counted_and_keep_their_end(
    base: BaseModel, encoder: Encoder
) -> None:
    short, long = "Ada found a ring.", "Ben lost a map. " * 40 + "Ada found a ring."
    fits = len(encoder.prompt(short)) + 4
    predictor = Predictor(base.model, encoder, max_length=fits)
    assert predictor.prompts_cut([short, long, short], room_for_answer=4) == 1
    assert predictor.prompts_cut([short, long, short], room_for_answer=5) == 3
    kept = str(base.tokenizer.decode(list(encoder.prompt(long)[-(fits - 4) :])))
    assert kept.endswith("Ada found a ring.")
    spoken: list[torch.Tensor] = []
    original: Any = base.model.generate

    def spy(**arguments: Any) -> Any:
        spoken.append(arguments["input_ids"])
        return original(**arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base.model, "generate", spy, raising=False)
        predictor.generate([long], 4)
    assert tuple(spoken[0][0].tolist()) == encoder.prompt(long)[-(fits - 4) :]


@pytest.mark.parametrize("labels", [("yes", "no"), ("entailment", "a b c"), ("é", "😀")])
def test_every_label_fits_into_its_bound(labels: tuple[str, ...], encoder: Encoder) -> None:
    longest = max(len(encoder.encode("Is it?", label).completion) for label in labels)
    task = replace(rows_of("generated_mood")[0], labels=labels, max_new_tokens=1)
    assert longest <= task.answer_bound


def test_another_spelling_of_a_label_is_decoded_and_read(
    base: BaseModel, encoder: Encoder
) -> None:
    """Greedy writes "Good": no label token by token, and yet the answer good."""
    labels = ("good", "bad")
    method = methods.get("full")()
    torch.manual_seed(5)
    adapted = method.attach(base.model)
    prompts = ["How is Ada?", "How is Ben?"]
    rows = [encoder.encode(prompt, "Good") for prompt in prompts]
    training = Training(steps=15, batch_size=2, learning_rate=1e-3, warmup_fraction=0)
    run = Run(adapted, TrainingData(rows, [[0, 1]] * 15, training, 0, base.device))
    for _ in range(15):
        run.step()
    try:
        predictor = Predictor(adapted, encoder, 64)
        task = Task(
            description="",
            hub_id=None,
            splits={},
            license="",
            fields=(),
            to_example=lambda _: cast("Any", None),
            read_answer=label_reader(labels),
            metrics=("accuracy",),
            labels=labels,
        )
        outputs = predictor.predict(task, prompts)
        assert [(o.text.strip(), o.answer) for o in outputs] == [("Good", "good")] * 2
        assert_fast_is_slow(predictor, task, prompts)
    finally:
        method.detach(adapted)


class Forgetful(nn.Module):
    """A model that has memory for so many rows at once."""

    def __init__(self, model: PreTrainedModel, most: int) -> None:
        super().__init__()
        self.model = model
        self.config = model.config
        self.most = most
        self.sizes: list[int] = []

    def _check(self, input_ids: torch.Tensor) -> None:
        self.sizes.append(len(input_ids))
        if len(input_ids) > self.most:
            raise torch.OutOfMemoryError("too many rows")

    def forward(self, input_ids: torch.Tensor, **rest: Any) -> Any:
        self._check(input_ids)
        return self.model(input_ids=input_ids, **rest)

    def generate(self, input_ids: torch.Tensor, **rest: Any) -> Any:
        self._check(input_ids)
        return cast("Any", self.model).generate(input_ids=input_ids, **rest)

    def get_output_embeddings(self) -> Any:
        return cast("Any", self.model).get_output_embeddings()


def test_too_little_memory_halves_the_batch_and_changes_no_answer(
    base: BaseModel, encoder: Encoder
) -> None:
    task, prompts, _ = rows_of("generated_mood")
    small = Forgetful(base.model, most=3)
    outputs = Predictor(small, encoder, 120).predict(task, prompts)
    expected = Predictor(base.model, encoder, 120).predict(task, prompts)
    assert [output.text for output in outputs] == [output.text for output in expected]
    assert max(small.sizes) > 3


def test_a_single_row_that_does_not_fit_is_reported_with_its_length(
    base: BaseModel, encoder: Encoder
) -> None:
    predictor = Predictor(Forgetful(base.model, most=0), encoder, 120)
    with pytest.raises(OutOfMemory, match=r"one example of \d+ tokens .*max_length"):
        predictor.generate(["Ada found a ring."], 4)


def test_every_closed_set_of_answers_has_a_slow_twin_test() -> None:
    assert len(REAL_TASKS) == 20
    assert {"mnli", "multirc", "wsc", "mmlu", "math_qa"} <= set(REAL_TASKS)


def test_choices_are_read_alike_in_both_ways(base: BaseModel, encoder: Encoder) -> None:
    """An output that repeats a choice is its letter, however it was come by."""
    task = tasks.get("copa")
    prompts = ["Question: Which?\nA: one\nB: two\nAnswer with A or B.\nAnswer:"] * 2
    extras = [{"choices": ["one", "two"]}, {}]
    predictor = Predictor(base.model, encoder, 120)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictor, "generate", lambda self, rows, bound: ["two."] * len(rows))
        for outputs in (
            predictor.predict(task, prompts, extras),
            predictor.predict_slowly(task, prompts, extras),
        ):
            assert [output.answer for output in outputs] == ["B", None]
