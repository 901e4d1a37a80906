"""Output folders as PEFT-Factory writes them; rows and numbers are made up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

MODEL = "meta-llama/Meta-Llama-3-8B-Instruct"
USER = "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"

#: Prediction and label.
RTE = [
    ("entailment", "entailment"),
    ("not_entailment", "not_entailment"),
    ("Entailment\n", "not_entailment"),
    ("The answer is entailment.", "entailment"),
]
SVAMP = [
    ("( 9.0 - 2.0 ) = 7.0", "( 9.0 - 2.0 ) = 7.0"),
    ("(1 + 1) = 2", "( 8.0 - 5.0 ) = 3.0"),  # true, and no answer
    ("( 8.0 - 6.0 ) = 3.0", "( 8.0 - 5.0 ) = 3.0"),  # false, and the right number
    ("seven", "( 9.0 - 2.0 ) = 7.0"),
]
GSM8K = [
    ("3 + 4 = 7\n#### 7", "3 + 4 = <<3+4=7>>7\n#### 7"),
    ("#### $18", "#### 18"),
    ("18", "#### 18"),
]
#: One query with three answers, as the expanded file repeats it, and one with one.
RECORD = [
    ("the Oslo", "Oslo"), ("the Oslo", "Norway"), ("the Oslo", "Oslo city"),
    ("Bergen town", "Bergen"),
]  # fmt: skip


def write(
    root: Path,
    dataset: str = "rte",
    rows: Sequence[tuple[str, str]] = RTE,
    *,
    method: str = "lora",
    seed: int = 42,
    time: int = 1_760_000_000,
    prompts: Sequence[str] | None = None,
    eval_yaml: Mapping[str, Any] | None = None,
    train: bool = True,
) -> Path:
    """One evaluation and the training before it, in the published layout."""
    parent = root / method / "llama-3-8b-instruct"
    folder = parent / f"eval_{dataset}_{seed}_{time}"
    folder.mkdir(parents=True)
    texts = prompts or [f"Question {number}" for number in range(len(rows))]
    lines = [
        json.dumps({"prompt": USER.format(prompt), "predict": predict, "label": label})
        for prompt, (predict, label) in zip(texts, rows, strict=True)
    ]
    (folder / "generated_predictions.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    trained = parent / f"train_{dataset}_{seed}_{time}"
    settings = {
        "model_name_or_path": MODEL,
        "adapter_name_or_path": str(trained),
        "stage": "sft",
        "do_predict": True,
        "finetuning_type": method,
        "dataset": f"{dataset}_eval",
        "template": "llama3",
        "cutoff_len": 2048,
        "predict_with_generate": True,
        "bf16": True,
        "seed": seed,
    }
    (folder / "eval.yaml").write_text(yaml.safe_dump(settings | dict(eval_yaml or {})))
    if train:
        _write_training(trained, dataset, method, seed)
    return folder


def _write_training(folder: Path, dataset: str, method: str, seed: int) -> None:
    folder.mkdir()
    (folder / "train.yaml").write_text(
        f"""model_name_or_path: {MODEL}
finetuning_type: {method}
lora_rank: 16
lora_alpha: 16
lora_target: k_proj,v_proj,down_proj
dataset: {dataset}
cutoff_len: 2048
learning_rate: 5e-5
num_train_epochs: 10
seed: {seed}
"""
    )
    state = {
        "best_global_step": 500,
        "best_metric": 0.0912,
        "epoch": 10.0,
        "global_step": 5610,
        "max_steps": 5610,
        "log_history": [
            {"epoch": 0.5, "eval_loss": 0.12, "step": 281},
            {"epoch": 10.0, "step": 5610, "total_flos": 1.0e17, "train_loss": 0.05,
             "train_runtime": 3120.5, "train_samples_per_second": 7.2},
        ],
    }  # fmt: skip
    (folder / "trainer_state.json").write_text(json.dumps(state))
    (folder / "adapter_model.safetensors").write_bytes(b"x" * 1000)
