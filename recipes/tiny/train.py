"""Pre-train the tiny model from nothing: `python -m recipes.tiny.train`.

Writes the model's folder, `metrics.json` beside this file and the model card. The model
is also written every few minutes and when the run is interrupted.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import random
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from recipes.tiny import card
from recipes.tiny.data import Data, documents, in_tokens
from recipes.tiny.evaluate import Tokens, compare
from recipes.tiny.recipe import METRICS, MODEL, Recipe
from recipes.tiny.tokenizer import train_tokenizer
from transformers import GenerationConfig, LlamaForCausalLM


def main() -> None:
    """Read the arguments, then train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=Recipe.tokens)
    parser.add_argument("--minutes", type=float, default=Recipe.minutes)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--stories", type=int, default=Recipe.stories)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--export-minutes", type=float, default=6)
    parser.add_argument("--folder", type=Path, default=MODEL)
    parser.add_argument("--metrics", type=Path, default=METRICS)
    given = parser.parse_args()
    recipe = Recipe(
        seed=given.seed, tokens=given.tokens, minutes=given.minutes, stories=given.stories
    )
    torch.set_num_threads(given.threads)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    train(recipe, given.folder, given.metrics, given.export_minutes)


def train(recipe: Recipe, folder: Path, metrics: Path, export_minutes: float) -> None:
    """Make the data, train, and write the model, its metrics and its card."""
    found = documents(recipe)
    tokenizer = train_tokenizer(
        [d.text for d in found[: recipe.tokenizer_documents] if not d.is_held_out],
        vocab_size=recipe.vocab_size,
        max_length=recipe.final_length,
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    run = Pretraining(recipe, in_tokens(found, tokenizer))
    print("training tokens", run.data.training_tokens, flush=True)
    exported = time.monotonic()
    try:
        while not run.finished:
            run.step()
            if run.steps % 50 == 0:
                print(run.state(), flush=True)
            if time.monotonic() - exported > 60 * export_minutes:
                run.write(folder, metrics)
                exported = time.monotonic()
    except KeyboardInterrupt:
        print("interrupted: writing the model as it is")
    run.write(folder, metrics)


@dataclass
class Pretraining:
    """A run: the model, its optimiser, and how far it is."""

    recipe: Recipe
    data: Data
    started: float = field(default_factory=time.monotonic)
    steps: int = 0
    tokens: int = 0
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = self.recipe.untrained_model().to(self.device)
        self.optimizer = _optimizer(self.model, self.recipe)
        self.chance = random.Random(self.recipe.seed)
        self.streams = {
            source: packed(some, self.chance) for source, some in self.data.training.items()
        }

    @property
    def minutes(self) -> float:
        """Since the start."""
        return (time.monotonic() - self.started) / 60

    @property
    def progress(self) -> float:
        """Share of the run that is over, by tokens or by time."""
        return max(self.tokens / self.recipe.tokens, self.minutes / self.recipe.minutes)

    @property
    def finished(self) -> bool:
        """Whether a limit is reached."""
        return self.progress >= 1

    def step(self) -> None:
        """One batch: rows of one length, each from a source drawn by its share."""
        recipe, progress = self.recipe, self.progress
        length = recipe.length if progress < 0.9 else recipe.final_length
        sources, shares = zip(*recipe.shares, strict=True)
        rows = self.chance.choices(sources, shares, k=recipe.batch_tokens // length)
        batch = torch.tensor(
            [list(islice(self.streams[source], length)) for source in rows]
        )
        batch = batch.to(self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate_at(progress)
        self.model.train()
        with torch.autocast(self.device, dtype=torch.bfloat16):
            loss = self.model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.steps, self.tokens = self.steps + 1, self.tokens + batch.numel()
        self.losses.append(loss.item())

    def state(self) -> str:
        """One line on how it goes."""
        return (
            f"step {self.steps} tokens {self.tokens} minutes {self.minutes:.1f} "
            f"learning rate {self.recipe.rate_at(self.progress):.1e} "
            f"loss {sum(self.losses[-50:]) / len(self.losses[-50:]):.3f}"
        )

    def write(self, folder: Path, metrics: Path) -> None:
        """Write the model as it is now, with its metrics and its card."""
        minutes, finished = self.minutes, self.finished
        as_written = export(self.model, folder)
        untrained = self.recipe.untrained_model().to(self.device)
        result = {
            "recipe": {**asdict(self.recipe), "shares": dict(self.recipe.shares)},
            "finished": finished,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "steps": self.steps,
            "tokens_seen": self.tokens,
            "minutes": round(minutes, 1),
            "device": self.device,
            "threads": torch.get_num_threads(),
            "python": platform.python_version(),
            "corpus_tokens": self.data.training_tokens,
            "held_out": compare(as_written, untrained, self.data, self.recipe),
        }
        metrics.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
        (folder / "README.md").write_text(card.text(result), "utf-8")
        print(card.table(result["held_out"]), flush=True)


def packed(found: Sequence[Tokens], chance: random.Random) -> Iterator[int]:
    """The documents' tokens, one after another, in a new order every time around."""
    order = list(found)
    while True:
        chance.shuffle(order)
        for tokens in order:
            yield from tokens.tolist()


def export(model: LlamaForCausalLM, folder: Path) -> LlamaForCausalLM:
    """Write the weights as bfloat16, whole or not at all; return them as written."""
    rounded = copy.deepcopy(model).to(torch.bfloat16)
    rounded.generation_config = GenerationConfig(
        pad_token_id=0, bos_token_id=1, eos_token_id=2, do_sample=False
    )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        rounded.save_pretrained(temporary)
        for path in Path(temporary).iterdir():
            path.chmod(0o644)  # safetensors writes for the owner alone
            path.replace(folder / path.name)
    written = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return cast("LlamaForCausalLM", written.to(model.device))


def _optimizer(model: LlamaForCausalLM, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW; gains are not decayed."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    gains = [p for p in model.parameters() if p.ndim == 1]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": gains, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.95))


if __name__ == "__main__":
    main()
