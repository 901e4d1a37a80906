"""Our training and our free answers beside the usual recipe's: `Trainer` with peft's LoRA
under bf16 autocast, and `generate` in batches."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from benchmarks.gpu.ceilings import wait
from benchmarks.gpu.size import Size, rounded
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

from peftbench import Experiment, tasks
from peftbench.tasks._data import load_task_data

BATCH = 16


def run(size: Size) -> dict[str, Any]:
    """Seconds of both, on the same model and rows."""
    task = "gsm8k" if size.data_dir and not size.is_toy else "generated_sums"
    steps, answers = size.choose((40, 16), (2, 4))
    length = size.choose(384, 96)
    ours = _ours(size, task, steps, answers, length)
    usual = _usual(size, task, steps, answers, length)
    return {
        "task": task,
        "steps": steps,
        "batch_size": BATCH,
        "max_length": length,
        "answers": answers,
        "ours": ours,
        "usual_recipe": usual,
        "train_ratio": round(usual["train"] / ours["train"], 3),
        "evaluate_ratio": round(usual["evaluate"] / ours["evaluate"], 3),
    }


def _ours(size: Size, task: str, steps: int, answers: int, length: int) -> dict[str, Any]:
    spec = {
        "name": "recipe",
        "models": [{"name": str(size.model("1.3b")), "dtype": "bfloat16"}],
        "methods": [{"name": "lora", "parameters": {"rank": 8}}],
        "tasks": [task],
        "seeds": [1],
        "training": {
            "steps": steps,
            "batch_size": BATCH,
            "validations": 1,
            "max_length": length,
            "precision": "bfloat16",
        },
        "limits": {"train": BATCH * steps, "validation": 1, "test": answers},
    }
    start = time.monotonic()
    with Experiment(spec, data_dir=size.data_dir, store=size.folder / "recipe") as one:
        one.run(workers=1, measure_costs=False)
        ((_, record),) = one.ended()
    assert record.status == "finished", record.error
    return {"wall": round(time.monotonic() - start, 2), **rounded(record.seconds)}


def _usual(size: Size, task: str, steps: int, answers: int, length: int) -> dict[str, Any]:
    folder = size.model("1.3b")
    limits = {"train": BATCH * steps, "validation": 1, "test": answers}
    data = load_task_data(task, data_dir=size.data_dir, limits=limits)
    clock = _Clock(size)
    with clock.phase("load"):
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
        model = model.to(size.device)
    with clock.phase("attach"):
        linear = [
            "q_proj",
            "k_proj",
            "v_proj",
            "o_proj",
            "gate_proj",
            "up_proj",
            "down_proj",
        ]
        adapted = get_peft_model(
            model, LoraConfig(r=8, lora_alpha=16, target_modules=linear)
        )
    with clock.phase("tokenise"):
        rows = [
            _labelled(tokenizer, f"{one.prompt} ", one.completion, length)
            for one in data.examples["train"]
        ]
    with clock.phase("train"):
        _train(adapted, tokenizer, rows, steps, size.folder / "trainer")
    with clock.phase("evaluate"):
        adapted.eval()
        new_tokens = tasks.get(task).max_new_tokens
        prompts = [one.prompt for one in data.examples["test"]]
        for start in range(0, len(prompts), BATCH):
            batch = tokenizer(
                prompts[start : start + BATCH], return_tensors="pt", padding=True
            ).to(size.device)
            with torch.no_grad():
                adapted.generate(
                    input_ids=batch["input_ids"],
                    attention_mask=batch["attention_mask"],
                    max_new_tokens=new_tokens,
                    do_sample=False,
                    pad_token_id=tokenizer.pad_token_id,
                )
    return rounded(clock.seconds)


def _labelled(tokenizer: Any, prompt: str, answer: str, length: int) -> dict[str, Any]:
    asked, said = tokenizer(prompt)["input_ids"], tokenizer(answer)["input_ids"]
    said = [*said, tokenizer.eos_token_id]
    ids, labels = [*asked, *said], [*[-100] * len(asked), *said]
    return {"input_ids": ids[-length:], "labels": labels[-length:]}


def _train(model: Any, tokenizer: Any, rows: list[Any], steps: int, folder: Path) -> None:
    def collate(batch: list[Any]) -> dict[str, torch.Tensor]:
        longest = max(len(one["input_ids"]) for one in batch)

        def padded(name: str, fill: int) -> torch.Tensor:
            return torch.tensor(
                [[*one[name], *[fill] * (longest - len(one[name]))] for one in batch]
            )

        ids = padded("input_ids", tokenizer.pad_token_id)
        mask = padded("labels", -101) != -101
        return {"input_ids": ids, "labels": padded("labels", -100), "attention_mask": mask}

    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        learning_rate=2e-4,
        bf16=True,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
    )
    Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collate).train()


class _Clock:
    """Seconds of named phases, up to the device's last work."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.seconds: dict[str, float] = {}
        self._name = ""

    def phase(self, name: str) -> _Clock:
        """Of this name, as a context."""
        self._name = name
        return self

    def __enter__(self) -> None:
        self._start = time.monotonic()

    def __exit__(self, *_error: object) -> None:
        wait(self.size)
        self.seconds[self._name] = time.monotonic() - self._start
