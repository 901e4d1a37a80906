"""All that decides what the tiny model becomes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import LlamaConfig, LlamaForCausalLM, set_seed

#: Where the model lives in the package.
MODEL = Path(__file__).parents[2] / "src" / "peftbench" / "models" / "tiny"
#: What its training and evaluation measured.
METRICS = Path(__file__).parent / "metrics.json"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Sizes, data and schedule. The first limit to be reached ends the run."""

    seed: int = 0
    tokens: int = 15_142_912  # 3,697 steps
    minutes: float = 600
    vocab_size: int = 1024
    hidden_size: int = 160
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    mlp_size: int = 448
    batch_tokens: int = 4096
    length: int = 256
    final_length: int = 512  # in the last tenth of the run
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    warmup: float = 0.02  # shares of the run
    decay: float = 0.25
    stories: int = 400_000
    tokenizer_documents: int = 150_000  # the standard library and as many stories as fit
    shares: tuple[tuple[str, float], ...] = (
        ("docs", 0.10),
        ("source", 0.25),
        ("generated", 0.65),
    )

    def rate_at(self, progress: float) -> float:
        """Learning rate: up, constant, down to a hundredth (warmup, stable, decay)."""
        up = min(1.0, progress / self.warmup)
        down = min(1.0, max(0.0, 1 - progress) / self.decay)
        return self.learning_rate * min(up, max(down, 0.01))

    def untrained_model(self) -> LlamaForCausalLM:
        """The model with the random weights that its training starts from."""
        set_seed(self.seed)
        config = LlamaConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            intermediate_size=self.mlp_size,
            max_position_embeddings=self.final_length,
            tie_word_embeddings=True,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
        return LlamaForCausalLM(config)
