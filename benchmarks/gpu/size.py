"""How large everything is: as on a GPU, or as a CPU can try; and models of that size."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from peftbench.models import resolve
from peftbench.models._device import device_kind
from peftbench.spec import ModelChoice

#: Sizes of Llama models with fewer heads for keys than for queries.
_SHAPES: Mapping[str, Mapping[str, int]] = {
    "1.3b": {"hidden": 2048, "inner": 5632, "layers": 26, "heads": 32, "key_heads": 4},
    "135m": {"hidden": 576, "inner": 1536, "layers": 30, "heads": 9, "key_heads": 3},
    "toy": {"hidden": 32, "inner": 64, "layers": 2, "heads": 4, "key_heads": 2},
}


@dataclass
class Size:
    """What the parts are run on."""

    folder: Path
    results: Path  # where the parts' files are
    is_toy: bool
    methods: tuple[str, ...]  # of the part of that name; empty: all
    workers: tuple[int, ...]  # how many, of the part of that name
    device_name: str = field(default_factory=device_kind)

    @classmethod
    @contextmanager
    def of(cls, results: Path, *, toy: bool, methods: str, workers: str) -> Iterator[Size]:
        """A size with a folder for models and stores, which goes at the end."""
        with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
            named = tuple(name for name in methods.split(",") if name)
            counts = tuple(map(int, workers.split(",")))
            yield cls(Path(folder), results, toy, named, counts)

    @property
    def device(self) -> torch.device:
        """Where this runs."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def data_dir(self) -> Path | None:
        """Real rows, where there are any: PEFTBENCH_DATA_DIR."""
        named = os.environ.get("PEFTBENCH_DATA_DIR")
        return Path(named) if named else None

    def choose(self, large: Any, toy: Any) -> Any:
        """One of the two."""
        return toy if self.is_toy else large

    def model(self, name: str) -> Path:
        """The folder of a Llama of random bfloat16 weights, with the embedded tokenizer."""
        folder = self.folder / name
        if folder.is_dir():
            return folder
        tokenizer = AutoTokenizer.from_pretrained(
            resolve(ModelChoice(name="tiny")).location
        )
        shape = _SHAPES["toy" if self.is_toy else name]
        config = LlamaConfig(
            vocab_size=-(-len(tokenizer) // 64) * 64,
            hidden_size=shape["hidden"],
            intermediate_size=shape["inner"],
            num_hidden_layers=shape["layers"],
            num_attention_heads=shape["heads"],
            num_key_value_heads=shape["key_heads"],
            max_position_embeddings=2048,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            tie_word_embeddings=True,
            dtype="bfloat16",
        )
        torch.manual_seed(0)
        with self.device:
            made = LlamaForCausalLM(config).to(torch.bfloat16)
        made.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder


def rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    """Phases of a run, to the hundredth of a second."""
    return {phase: round(spent, 2) for phase, spent in seconds.items()}
