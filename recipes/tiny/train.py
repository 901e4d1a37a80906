"""Pre-train the tiny model from nothing: `python -m recipes.tiny.train`.

Writes the model's folder, `metrics.json` beside this file and the model card. The model
is also written every few minutes and when the run is interrupted.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from recipes.tiny import card, corpus, evaluate
from recipes.tiny.tokenizer import train_tokenizer
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, set_seed

HERE = Path(__file__).parent
MODEL = HERE.parents[1] / "src" / "peftbench" / "models" / "tiny"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides what is trained. The first limit to be reached ends the run."""

    seed: int = 0
    tokens: int = 20_000_000
    minutes: float = 60
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


def packed(documents: Sequence[np.ndarray], chance: random.Random) -> Iterator[int]:
    """The documents' tokens, one after another, in a new order every time around."""
    order = list(documents)
    while True:
        chance.shuffle(order)
        for tokens in order:
            yield from tokens.tolist()


def build_model(recipe: Recipe) -> LlamaForCausalLM:
    """The model with random weights."""
    config = LlamaConfig(
        vocab_size=recipe.vocab_size,
        hidden_size=recipe.hidden_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.kv_heads,
        intermediate_size=recipe.mlp_size,
        max_position_embeddings=recipe.final_length,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config)


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
            path.replace(folder / path.name)
    return rounded.float()


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
    parser.add_argument("--metrics", type=Path, default=HERE / "metrics.json")
    given = parser.parse_args()
    recipe = Recipe(
        seed=given.seed, tokens=given.tokens, minutes=given.minutes, stories=given.stories
    )
    torch.set_num_threads(given.threads)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    train(recipe, given.folder, given.metrics, given.export_minutes)


def train(recipe: Recipe, folder: Path, metrics: Path, export_minutes: float) -> None:
    """Make the data, train, and write the model, its metrics and its card."""
    set_seed(recipe.seed)
    chance = random.Random(recipe.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"

    documents = list(corpus.standard_library())
    documents += islice(corpus.stories(f"tiny {recipe.seed}"), recipe.stories)
    tokenizer = train_tokenizer(
        [d.text for d in documents[: recipe.tokenizer_documents] if not d.is_held_out],
        vocab_size=recipe.vocab_size,
        max_length=recipe.final_length,
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)

    training: dict[str, list[np.ndarray]] = {source: [] for source in corpus.SOURCES}
    held_out: dict[str, list[corpus.Document]] = {source: [] for source in corpus.SOURCES}
    for first in range(0, len(documents), 10_000):
        some = documents[first : first + 10_000]
        for document, ids in zip(
            some, tokenizer([d.text for d in some]).input_ids, strict=True
        ):
            if document.is_held_out:
                held_out[document.source].append(document)
            else:
                tokens = np.array([*ids, tokenizer.eos_token_id], dtype=np.int16)
                training[document.source].append(tokens)
    held_out["generated"] = held_out["generated"][:1000]
    tests = {
        source: evaluate.HeldOut(
            [
                np.array([*tokenizer(d.text).input_ids, tokenizer.eos_token_id])
                for d in some
            ],
            sum(len(d.text.encode()) for d in some),
        )
        for source, some in held_out.items()
    }
    sizes = {source: sum(map(len, some)) for source, some in training.items()}
    print("training tokens", sizes, "held out", {s: t.predicted for s, t in tests.items()})

    model = build_model(recipe).to(device)
    untrained = {
        source: test.figures(evaluate.model_nats(model, test, recipe.final_length))
        for source, test in tests.items()
    }
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        betas=(0.9, 0.95),
    )
    streams = {source: packed(some, chance) for source, some in training.items()}
    sources, weights = zip(*recipe.shares, strict=True)

    start = exported = time.monotonic()
    tokens = step = 0
    finished, losses = False, []

    def report() -> None:
        """Write the model as it is now, with its metrics and its card."""
        as_written = export(model, folder)
        shares = dict(recipe.shares)
        frequencies = evaluate.unigram_frequencies(training, shares, recipe.vocab_size)
        figures = {
            source: {
                "tokens": test.predicted,
                "bytes": test.bytes,
                "trained": test.figures(
                    evaluate.model_nats(as_written, test, recipe.final_length)
                ),
                "untrained": untrained[source],
                "unigram": test.figures(evaluate.unigram_nats(frequencies, test)),
            }
            for source, test in tests.items()
        }
        result = {
            "recipe": {**asdict(recipe), "shares": shares},
            "finished": finished,
            "parameters": sum(p.numel() for p in model.parameters()),
            "steps": step,
            "tokens_seen": tokens,
            "minutes": round((time.monotonic() - start) / 60, 1),
            "device": device,
            "threads": torch.get_num_threads(),
            "corpus_tokens": sizes,
            "held_out": figures,
        }
        metrics.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
        (folder / "README.md").write_text(card.text(result), "utf-8")
        print({source: figure["trained"] for source, figure in figures.items()}, flush=True)

    try:
        while not finished:
            elapsed = (time.monotonic() - start) / 60
            progress = max(tokens / recipe.tokens, elapsed / recipe.minutes)
            length = recipe.length if progress < 0.9 else recipe.final_length
            rows = chance.choices(sources, weights, k=recipe.batch_tokens // length)
            batch = torch.tensor([list(islice(streams[s], length)) for s in rows]).to(
                device
            )
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate_at(progress)
            model.train()
            with torch.autocast(device, dtype=torch.bfloat16):
                loss = model(input_ids=batch, labels=batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

            step, tokens = step + 1, tokens + batch.numel()
            losses.append(loss.item())
            if step % 50 == 0:
                mean = sum(losses[-50:]) / 50
                print(
                    f"step {step} tokens {tokens} minutes {elapsed:.1f} "
                    f"learning rate {recipe.rate_at(progress):.1e} loss {mean:.3f}",
                    flush=True,
                )
            if time.monotonic() - exported > 60 * export_minutes:
                report()
                exported = time.monotonic()
            finished = progress >= 1
    except KeyboardInterrupt:
        print("interrupted: writing the model as it is")
    report()


if __name__ == "__main__":
    main()
