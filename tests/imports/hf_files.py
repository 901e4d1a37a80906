"""Result files as Hugging Face peft's method comparison writes them; the numbers are made up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def result(
    experiment: str = "lora/llama-3.2-3B-rank32",
    *,
    peft_config: Mapping[str, Any] | None = None,
    accuracy: float | None = 0.48,
    status: str = "success",
    error: str = "",
    memory: str = "accelerator",
    seed: int = 0,
    created_at: str = "2026-01-02T03:04:05+00:00",
) -> dict[str, Any]:
    """One run of 500 steps, validated twice; without `accuracy` it did not get to the test."""
    looks = [
        {
            "step": step,
            "valid accuracy": valid,
            "train loss": loss,
            "train samples": 4 * step,
            "train time": seconds,
            "eval time": 11.0,
            "tokens / sec": speed,
            "mem allocated avg": 6.9e9,
            "mem reserved avg": 11.9e9,
            "elapsed time": 90.0 * step / 250,
        }
        for step, valid, loss, seconds, speed in (
            (250, 0.34, 0.98, 30.0, 6000.0),
            (500, 0.44, 0.72, 20.0, 7000.0),
        )
    ]
    test = {
        "step": 500,
        "test accuracy": accuracy,
        "train loss": 0.72,
        "train samples": 2000,
        "train total tokens": 320_000,
        "forgetting": 0.031,
    }
    return {
        "run_info": {
            "created_at": created_at,
            "total_time": 130.0,
            "experiment_name": experiment,
            "peft_branch": "main",
            "train_config": {
                "model_id": "meta-llama/Llama-3.2-3B",
                "dtype": "bfloat16",
                "max_seq_length": 768,
                "batch_size": 4,
                "batch_size_eval": 50,
                "max_steps": 500,
                "eval_steps": 250,
                "compile": False,
                "query_template": "Question: {query} Think step by step.\nAnswer:",
                "seed": seed,
                "grad_norm_clip": 1.0,
                "optimizer_type": "AdamW",
                "optimizer_kwargs": {"lr": 1e-4, "weight_decay": 0.1},
                "lr_scheduler": "cosine",
                "use_amp": False,
                "autocast_adapter_dtype": True,
                "generation_kwargs": {"max_length": 800, "max_new_tokens": 300},
                "attn_implementation": None,
            },
            "peft_config": peft_config,
            "error_msg": error,
        },
        "train_info": {
            f"{memory}_memory_reserved_avg": 11_868_689_976,
            f"{memory}_memory_max": 22_273_851_392,
            f"{memory}_memory_reserved_99th": 17_710_763_212,
            "train_time": 81.0,
            "file_size": 36_715_216,
            "num_trainable_params": 9_175_040,
            "num_total_params": 3_221_924_864,
            "status": status,
            "metrics": [*looks, test] if accuracy is not None else looks,
        },
        "meta_info": {
            "model_info": {"sha": "13afe51", "created_at": "2024-09-18T15:23:48+00:00"},
            "dataset_info": {
                "metamath": {"sha": "aa4f34d", "created_at": "2023-09-21T17:22:46+00:00"},
                "gsm8k": {"sha": "e53f048", "created_at": "2022-04-12T10:22:10+00:00"},
            },
            "package_info": {
                "transformers-version": "4.52.4",
                "transformers-commit-hash": None,
                "peft-version": "0.15.2.dev0",
                "peft-commit-hash": "5fe7f8f",
                "torch-version": "2.7.1+cu126",
            },
            "system_info": {
                "system": "Linux",
                "release": "6.8.0",
                "machine": "x86_64",
                "accelerator": "NVIDIA L40S",
            },
            "pytorch_info": "PyTorch built with: ...",
        },
    }


LORA = {
    "task_type": "CAUSAL_LM",
    "peft_type": "LORA",
    "auto_mapping": None,
    "base_model_name_or_path": "meta-llama/Llama-3.2-3B",
    "inference_mode": False,
    "r": 32,
    "target_modules": ["v_proj", "q_proj"],
    "lora_alpha": 64,
    "rank_pattern": {},
    "eva_config": None,
}


def write(folder: Path, **results: Mapping[str, Any]) -> Path:
    """A folder of result files, named as the suite names them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in results.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2), "utf-8")
    return folder
