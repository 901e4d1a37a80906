"""Hold the pass over labels to decoding, on every test row of every task with labels.

For each task the base model and a LoRA that was trained on it a little (so that it answers
some rows with a label and others otherwise) predict all rows in both ways. Any row that the
two ways answer differently is printed, and makes the exit code 1.

    python recipes/slow-twin/check.py --data-dir DATA [--tasks glue,copa] [--rows 100]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from peftbench import methods, tasks
from peftbench.encoding.bounded import bounded
from peftbench.encoding.encode import Encoder, stop_ids
from peftbench.evaluation.predict import Predictor
from peftbench.models import resolve
from peftbench.models._load import BaseModel, load
from peftbench.spec import ModelChoice, Training
from peftbench.spec.suites import with_groups_expanded
from peftbench.tasks._data import TaskData, load_task_data
from peftbench.training.run import Run, TrainingData

LENGTH = 384  # tokens of prompt and answer
STEPS = 20


def main() -> None:
    """Check every task and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--tasks", default="peft-bench")
    parser.add_argument("--rows", type=int, default=None, help="of each test split")
    parser.add_argument("--model", default="tiny")
    asked = parser.parse_args()
    base = load(resolve(ModelChoice(name=asked.model)))
    encoder = Encoder(
        base.tokenizer,
        chat_template=True,
        stop_ids=stop_ids(base.tokenizer, base.model.generation_config.eos_token_id),
    )
    differences = rows = 0
    for name in with_groups_expanded(asked.tasks.split(",")):
        if not tasks.get(name).labels:
            continue
        limits = {"train": 100, "validation": 1, "test": asked.rows}
        data = load_task_data(name, data_dir=asked.data_dir, limits=limits)
        for kind, model in models(base, encoder, data):
            start = time.monotonic()
            decided, different = compare(Predictor(model, encoder, LENGTH), data)
            n = len(data.examples["test"])
            rows, differences = rows + n, differences + different
            print(
                f"{name:12} {kind:5} {n:5} rows, {decided:5} decided by the pass, "
                f"{different} different ({time.monotonic() - start:.0f} s)",
                flush=True,
            )
    print(f"{rows} rows, {differences} different")
    sys.exit(1 if differences else 0)


def models(
    base: BaseModel, encoder: Encoder, data: TaskData
) -> Iterator[tuple[str, nn.Module]]:
    """The base model, and a LoRA on it that has seen the task."""
    yield "base", base.model.eval()
    method = methods.get("lora")()
    torch.manual_seed(1)
    adapted = method.attach(base.model)
    training = Training(steps=STEPS, learning_rate=1e-2, warmup_fraction=0)
    encoded = [encoder.encode_example(example) for example in data.examples["train"]]
    rows = bounded(encoded, LENGTH).rows
    batches = [[i % len(rows) for i in range(at, at + 4)] for at in range(0, 4 * STEPS, 4)]
    run = Run(adapted, TrainingData(rows, batches, training, 0, base.device))
    for _ in range(STEPS):
        run.step()
    yield "lora", adapted.eval()
    base.model = method.detach(adapted)


def compare(predictor: Predictor, data: TaskData) -> tuple[int, int]:
    """How many rows the pass decided, and how many the two ways answer differently."""
    task, test = data.task, data.examples["test"]
    prompts, extras = [e.prompt for e in test], [e.extra for e in test]
    decided = sum(row.greedy is not None for row in predictor.score_labels(prompts, task))
    fast = predictor.predict(task, prompts, extras)
    slow = predictor.predict_slowly(task, prompts, extras)
    different = 0
    for example, one, other in zip(test, fast, slow, strict=True):
        if one.answer != other.answer:
            different += 1
            print(f"  {one.text!r} and {other.text!r} after {example.prompt[-200:]!r}")
    return decided, different


if __name__ == "__main__":
    main()
