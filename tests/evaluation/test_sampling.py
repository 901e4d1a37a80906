"""Samples follow the model's distribution, and nothing but seed, prompt and number."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from peftbench.encoding.encode import Encoder, stop_ids
from peftbench.evaluation.predict import Predictor
from peftbench.evaluation.sampling import Drawn, uniforms
from peftbench.models import resolve
from peftbench.models._load import load
from peftbench.spec import ModelChoice, Sampling


def drawn(
    probabilities: list[float], draws: torch.Tensor, *, top_p: float, temperature: float = 1
) -> list[int]:
    """Tokens drawn from one distribution by each of `draws`."""
    scores = torch.tensor(probabilities).log().expand(len(draws), -1)
    chosen = Drawn(
        draws[:, None], Sampling(samples=1, temperature=temperature, top_p=top_p)
    )(torch.zeros(len(draws), 1, dtype=torch.long), scores)
    assert torch.isfinite(chosen).sum(-1).eq(1).all(), "one token is left of each row"
    return chosen.argmax(-1).tolist()


def shares(tokens: list[int], size: int) -> list[float]:
    counts = Counter(tokens)
    return [counts[token] / len(tokens) for token in range(size)]


EVENLY = torch.linspace(0, 1 - 1e-4, 10_000)
PROBABILITIES = [0.1, 0.6, 0.05, 0.25]


def test_draws_follow_the_distribution() -> None:
    found = shares(drawn(PROBABILITIES, EVENLY, top_p=1.0), 4)
    assert found == pytest.approx(PROBABILITIES, abs=1e-3)


def test_the_nucleus_is_the_smallest_set_that_holds_its_share() -> None:
    found = shares(drawn(PROBABILITIES, EVENLY, top_p=0.8), 4)
    assert found == pytest.approx([0, 0.6 / 0.85, 0, 0.25 / 0.85], abs=1e-3)
    assert set(drawn(PROBABILITIES, EVENLY, top_p=0.5)) == {1}
    assert set(drawn([0.25] * 4, EVENLY, top_p=0.01)) == {0}, "never empty"


def test_a_low_temperature_is_greedy_and_a_high_one_is_even() -> None:
    assert set(drawn(PROBABILITIES, EVENLY, top_p=1.0, temperature=0.01)) == {1}
    even = shares(drawn(PROBABILITIES, EVENLY, top_p=1.0, temperature=10), 4)
    assert max(even) - min(even) < 0.08


def test_the_very_end_of_the_mass_is_a_token_too() -> None:
    ends = torch.tensor([0.0, 1 - 2**-24])
    assert drawn(PROBABILITIES, ends, top_p=1.0) == [1, 2]


def test_numbers_depend_on_seed_prompt_and_sample_alone() -> None:
    first = uniforms(1, "a", 0, 20)
    assert torch.equal(first, uniforms(1, "a", 0, 20))
    for other in ((2, "a", 0), (1, "b", 0), (1, "a", 1)):
        assert not torch.equal(first, uniforms(*other, 20))
    assert first.min() >= 0
    assert first.max() < 1


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    base = load(resolve(ModelChoice(name="tiny")), "float32")
    stops = stop_ids(base.tokenizer, base.model.generation_config.eos_token_id)
    base.model.eval()
    return Predictor(
        base.model, Encoder(base.tokenizer, chat_template=False, stop_ids=stops), 128
    )


PROMPTS = ("The sun is", "A long while ago, when there were no", "No")


def test_samples_are_the_same_whatever_else_is_in_the_batch(predictor: Predictor) -> None:
    sampling = Sampling(samples=3)
    together = predictor.sample(PROMPTS, 12, sampling, seed=1)
    small = Predictor(predictor.model, predictor.encoder, 128, batch_tokens=1)
    assert small.sample(PROMPTS, 12, sampling, seed=1) == together
    assert predictor.sample(PROMPTS[1:], 12, sampling, seed=1) == together[1:]
    more = predictor.sample(PROMPTS, 12, Sampling(samples=5), seed=1)
    assert [row[:3] for row in more] == together, "more samples add to fewer"


def test_samples_differ_from_each_other_and_between_seeds(predictor: Predictor) -> None:
    first, second = (
        predictor.sample(PROMPTS, 12, Sampling(samples=4), seed=seed) for seed in (1, 2)
    )
    assert [len(row) for row in first] == [4, 4, 4]
    assert first != second
    assert len({text for row in first for text in row}) > 6


def test_sampling_leaves_the_global_random_numbers_alone(predictor: Predictor) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    predictor.sample(PROMPTS[:1], 4, Sampling(samples=2), seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_sample_at_almost_no_temperature_is_the_greedy_answer(
    predictor: Predictor,
) -> None:
    cold = predictor.sample(PROMPTS, 12, Sampling(samples=1, temperature=1e-3), seed=1)
    assert [row[0] for row in cold] == predictor.generate(PROMPTS, 12)
