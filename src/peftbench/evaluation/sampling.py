"""Drawing tokens by numbers that are fixed beforehand, so that batches change nothing."""

from __future__ import annotations

import hashlib

import torch
from transformers import LogitsProcessor

from peftbench.spec import Sampling


def uniforms(seed: int, prompt: str, sample: int, tokens: int) -> torch.Tensor:
    """(tokens,) numbers in [0, 1), the same for the same arguments."""
    key = f"{seed}|{sample}|{prompt}".encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(key).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    return torch.rand(tokens, generator=generator)


class Drawn(LogitsProcessor):  # type: ignore[misc]
    """Leaves of every distribution the one token that a number draws from it: from the
    smallest set of most likely tokens that hold `top_p` of it (Holtzman et al., 2020,
    arXiv:1904.09751), at a temperature. What is greedy then, is a sample.

    draws: (rows, tokens), each in [0, 1).
    """

    def __init__(self, draws: torch.Tensor, sampling: Sampling) -> None:
        self.draws = draws
        self.sampling = sampling
        self.step = 0

    def __call__(
        self,
        input_ids: torch.Tensor,  # noqa: ARG002 - the library names it
        scores: torch.Tensor,
    ) -> torch.Tensor:
        """(rows, vocabulary) logits, of which all but one in a row are minus infinity."""
        logits = scores.float() / self.sampling.temperature
        likely, tokens = logits.softmax(-1).sort(dim=-1, descending=True, stable=True)
        before = likely.cumsum(-1) - likely  # mass of the likelier ones
        kept = likely * (before < self.sampling.top_p)
        ends = kept.cumsum(-1)
        draw = self.draws[:, self.step, None].to(scores.device) * ends[:, -1:]
        chosen = (ends <= draw).sum(-1, keepdim=True)
        # Rounding may put a draw at the very end of the mass.
        chosen = chosen.clamp(max=kept.count_nonzero(-1)[:, None] - 1)
        self.step += 1
        only = torch.full_like(scores, -torch.inf)
        return only.scatter(-1, tokens.gather(-1, chosen), 0.0)
