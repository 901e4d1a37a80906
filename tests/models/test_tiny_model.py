"""The embedded model is small, complete, and has really learnt something."""

from __future__ import annotations

import importlib
import json
import math
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peftbench.models import names, resolve
from peftbench.models._load import BaseModel, load
from peftbench.models._source import ModelSource
from peftbench.spec import ModelChoice

RECIPE = Path(__file__).parents[2] / "recipes" / "tiny"


def recipe(part: str) -> Any:
    """A module of the recipe, which is not part of the package."""
    root = str(RECIPE.parents[1])
    if root not in sys.path:
        sys.path.append(root)
    return importlib.import_module(f"recipes.tiny.{part}")


@pytest.fixture(scope="module")
def source() -> ModelSource:
    return resolve(ModelChoice(name="tiny"))


@pytest.fixture(scope="module")
def base(source: ModelSource) -> BaseModel:
    return load(source)


def test_it_ships_whole_and_small(source: ModelSource) -> None:
    files = list(Path(source.location).iterdir())
    assert "tiny" in names()
    assert sum(file.stat().st_size for file in files) <= 8_000_000
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= {
        file.name for file in files
    }
    assert not [f for f in files if f.suffix in (".bin", ".pt", ".pkl")], "no pickles"


def test_card_says_what_the_run_measured(source: ModelSource, base: BaseModel) -> None:
    metrics = json.loads((RECIPE / "metrics.json").read_text())
    card = (Path(source.location) / "README.md").read_text()
    assert recipe("card").text(metrics) == card, "run `python -m recipes.tiny.card`"
    assert f"{base.shapes.parameters:,} parameters" in card
    assert metrics["parameters"] == base.shapes.parameters == 1_916_960
    assert f"{metrics['tokens_seen']:,} tokens" in card
    for seen in metrics["held_out"].values():
        for model in ("trained", "untrained", "unigram"):
            value = seen[model]["perplexity"]
            shown = {"trained": f"{value:.2f}", "untrained": f"{value:,.0f}"}
            assert shown.get(model, f"{value:.0f}") in card


@given(text=st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_tokenizer_gives_every_text_back(base: BaseModel, text: str) -> None:
    ids = base.tokenizer.encode(text, add_special_tokens=False)
    assert base.tokenizer.decode(ids) == text


def nats_per_token(model: torch.nn.Module, ids: list[int]) -> float:
    tokens = torch.tensor([ids], device=next(model.parameters()).device)
    with torch.no_grad():
        return float(model(input_ids=tokens, labels=tokens).loss)


def test_it_predicts_prose_and_code_far_better_than_an_untrained_copy(
    base: BaseModel,
) -> None:
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    untrained = AutoModelForCausalLM.from_config(base.model.config).to(base.device)
    for text in (
        "Return the number of items in the list, or raise ValueError if it is empty.",
        "def __init__(self, name, value):\n    self.name = name\n    self.value = value\n",
        "Anna had 7 stamps and gave 3 of them away, which left 4 stamps.",
    ):
        ids = base.tokenizer.encode(text)
        learnt, random = nats_per_token(base.model, ids), nats_per_token(untrained, ids)
        uniform = math.log(base.shapes.vocab_size)
        assert learnt < 0.7 * random, text
        assert learnt < 0.7 * uniform, text


@pytest.mark.parametrize(("kind", "at_most"), [("topics", 30.0), ("stories", 3.0)])
def test_perplexity_on_held_out_documents_is_far_below_that_of_simpler_models(
    base: BaseModel, kind: str, at_most: float
) -> None:
    """The unigram model here knows the very text's own frequencies: none can do better."""
    corpus, data, evaluate = recipe("corpus"), recipe("data"), recipe("evaluate")
    found = {
        "topics": _topics(corpus),
        "stories": islice(corpus.stories("tiny 0"), 1000),
    }[kind]
    documents = [document for document in found if document.is_held_out]
    assert documents
    held_out = data.held(documents, base.tokenizer)
    counts = np.bincount(
        np.concatenate([tokens[1:] for tokens in held_out.documents]), minlength=1024
    )
    frequencies = np.maximum(counts, 1e-9) / counts.sum()
    untrained = recipe("recipe").Recipe().untrained_model()
    perplexity = {
        name: held_out.figures(nats)["perplexity"]
        for name, nats in {
            "tiny": evaluate.model_nats(base.model, held_out, 512),
            "untrained": evaluate.model_nats(untrained, held_out, 512),
            "unigram": evaluate.unigram_nats(frequencies, held_out),
        }.items()
    }
    assert perplexity["tiny"] < at_most
    assert 4 * perplexity["tiny"] < perplexity["unigram"] < perplexity["untrained"]


def _topics(corpus: Any) -> list[Any]:
    """Help topics of this Python, as the corpus names them."""
    from pydoc_data.topics import topics

    return [corpus.Document("docs", f"topic {name}", text) for name, text in topics.items()]
