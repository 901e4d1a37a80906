"""The tiny model's card, written from what its training recorded.

`python -m recipes.tiny.card` writes it again from `metrics.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from recipes.tiny.recipe import METRICS, MODEL

#: What each source is, and under which licence.
_SOURCES = {
    "docs": ("docstrings and help topics of the Python standard library", "PSF-2.0"),
    "source": ("source code of the Python standard library", "PSF-2.0"),
    "generated": ("short stories that the recipe generates", "Apache-2.0"),
}

_CARD = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [llama, tiny, peft, benchmark]
---

# tiny: the embedded base model of peftbench

A Llama of {parameters:,} parameters, pre-trained from nothing for this project, so that a
benchmark runs on any machine in minutes and without a download. It is real in every part,
tokenizer, weights and config. It is not a useful language model.

| | |
|---|---|
| architecture | Llama, {layers} layers, width {hidden_size}, MLP {mlp_size}, tied embeddings |
| attention | {heads} heads, {kv_heads} for keys and values |
| tokenizer | byte-level BPE of {vocab_size:,} tokens, trained on the same text; each digit is one |
| longest input | {final_length} tokens |
| weights | bfloat16, safetensors |

## Training

{tokens_seen:,} tokens in {steps:,} steps of {batch_tokens:,}, in {took:g} minutes on
{machine}. AdamW with a peak learning rate of {learning_rate:g} and weight decay of
{weight_decay:g}. The rate rises in the first {warmup:.0%} of the run and falls in the last
{decay:.0%}. Rows have {length} tokens, and {final_length} in the last tenth of the run.

| source | text | licence | tokens there are | share of the rows |
|---|---|---|---:|---:|
{sources}

The standard library is that of Python {python}. No dataset was downloaded, no text from the
web, and none that another model wrote.

The stories play in the small world of the generated tasks (`generated_mood`,
`generated_rating`, `generated_sums`): the same people, events and dishes. What a test row
tells, a story may have told, with its end in other words. No prompt of a task stands in a
story. So these tasks are learned in few steps on this model, and say little about real ones.

## How well it predicts text it has not seen

Perplexity per token, end tokens included, on documents that were held out by a hash of
their name (of their text, if generated). The untrained copy is the model before its first
step; the unigram model draws every token by its frequency in the training text.

{table}

Measured on the weights that are here; `recipes/tiny/metrics.json` is the record, with bits
per byte. `make tiny` trains and measures. In a checkout, to measure again without training:

    python -m recipes.tiny.evaluate

## Use

    peftbench run --model tiny --methods base,lora --tasks generated_sums

It is for trying things out, for tests, for teaching, and for finding mistakes in methods.
It answers no questions and writes no working code. A ranking of methods on this model need
not hold on a larger one. It has had no safety training; its words are those of the standard
library and of the stories.

## Licence

Weights, tokenizer and generated text: Apache-2.0, as the rest of peftbench. The text of the
standard library is under the licence of the Python Software Foundation, version 2
(<https://docs.python.org/3/license.html>), copyright Python Software Foundation.
"""


def text(metrics: Mapping[str, Any]) -> str:
    """The card in full."""
    threads = metrics["threads"]
    machines = {"cpu": f"{threads} CPU thread{'s'[: threads > 1]}", "cuda": "one GPU"}
    return _CARD.format(
        **metrics["recipe"],
        parameters=metrics["parameters"],
        steps=metrics["steps"],
        tokens_seen=metrics["tokens_seen"],
        took=metrics["minutes"],
        machine=machines[metrics["device"]],
        python=metrics["python"],
        sources=_source_rows(metrics),
        table=table(metrics["held_out"]),
    )


def table(held_out: Mapping[str, Mapping[str, Any]]) -> str:
    """Perplexities by source, as Markdown."""
    rows = [
        "| held-out text | tokens | tiny | untrained copy | unigram |",
        "|---|---:|---:|---:|---:|",
    ]
    for source, figures in held_out.items():
        trained, untrained, unigram = (
            figures[model]["perplexity"] for model in ("trained", "untrained", "unigram")
        )
        rows.append(
            f"| {source} | {figures['tokens']:,} | **{trained:.2f}** | {untrained:,.0f} "
            f"| {unigram:,.0f} |"
        )
    return "\n".join(rows)


def _source_rows(metrics: Mapping[str, Any]) -> str:
    rows = []
    for source, share in metrics["recipe"]["shares"].items():
        what, licence = _SOURCES[source]
        tokens = metrics["corpus_tokens"][source]
        rows.append(f"| {source} | {what} | {licence} | {tokens:,} | {share:.0%} |")
    return "\n".join(rows)


def write() -> None:
    """Write the card of the model in the package beside its weights."""
    metrics = json.loads(METRICS.read_text("utf-8"))
    (MODEL / "README.md").write_text(text(metrics), "utf-8")


if __name__ == "__main__":
    write()
