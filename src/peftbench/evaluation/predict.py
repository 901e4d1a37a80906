"""From an adapted model and prompts to answers.

A closed-label task needs no decoding: one forward pass over a prompt and a candidate
label shows whether greedy decoding would write exactly that label and stop. Rows where
it would write something else are decoded. The slow twin decodes every row and must
give the same outputs. The likelihood of each label comes from the same pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn

from peftbench.encoding.batches import Batch
from peftbench.encoding.encode import Encoded, Encoder
from peftbench.encoding.logits import answer_logits
from peftbench.errors import OutOfMemory
from peftbench.evaluation.sampling import Drawn, uniforms
from peftbench.methods import Method
from peftbench.models._padding import unharmed_length
from peftbench.spec import Sampling
from peftbench.tasks import Task


@dataclass(frozen=True)
class Output:
    """What a model did with one prompt."""

    text: str
    answer: str | None  # None: unreadable
    likelihood_answer: str | None = None
    label_log_likelihoods: tuple[float, ...] | None = None
    samples: tuple[str, ...] = ()  # further texts, drawn at random


@dataclass(frozen=True)
class Predictor:
    """A model that answers prompts; `max_length` bounds prompt and answer in tokens.

    `tokens_before` are those that the method puts before every prompt, as inputs or into the
    cache. Rows whose answers padding would change are decoded beside rows of their length.
    """

    model: nn.Module
    encoder: Encoder
    max_length: int
    tokens_before: int = 0
    batch_tokens: int = 8192

    @classmethod
    def of(
        cls, adapted: nn.Module, method: Method, encoder: Encoder, max_length: int
    ) -> Self:
        """Of a model with a method on it."""
        before = [
            getattr(method, name, 0) for name in ("num_virtual_tokens", "prefix_tokens")
        ]
        return cls(adapted, encoder, max_length, tokens_before=max(before))

    def predict(
        self, task: Task, prompts: Sequence[str], extras: Sequence[Mapping[str, Any]] = ()
    ) -> list[Output]:
        """The outputs, in the order of the prompts; `extras` are those of the examples."""
        self.model.eval()
        if not task.labels:
            return self.predict_slowly(task, prompts, extras)
        scored = self.score_labels(prompts, task)
        undecided = [i for i, label in enumerate(scored) if label.greedy is None]
        texts = self.generate([prompts[i] for i in undecided], task.answer_bound)
        written = dict(zip(undecided, texts, strict=True))
        outputs = []
        for i, row in enumerate(scored):
            text = written[i] if row.greedy is None else row.greedy
            best = max(range(len(task.labels)), key=lambda k: row.log_likelihoods[k])
            answer = task.read(text, extras[i] if extras else None)
            outputs.append(Output(text, answer, task.labels[best], row.log_likelihoods))
        return outputs

    def predict_slowly(
        self, task: Task, prompts: Sequence[str], extras: Sequence[Mapping[str, Any]] = ()
    ) -> list[Output]:
        """The slow twin: generate for every row, then read the answer."""
        texts = self.generate(prompts, self.bound(task))
        return [
            Output(text, task.read(text, extra))
            for text, extra in zip(texts, extras or [{}] * len(texts), strict=True)
        ]

    @torch.no_grad()
    def score_labels(self, prompts: Sequence[str], task: Task) -> list[LabelScores]:
        """Log-likelihood of every label with its end token, and the label that greedy
        decoding writes, if it is one. All labels follow the same prompt, and the same
        that `generate` reads: it is cut at its start for the longest answer."""
        labels = task.labels
        room = max(1, self.max_length - task.answer_bound)
        encoded = [self.encoder.encode(p, label) for p in prompts for label in labels]
        rows = [Encoded(row.prompt[-room:], row.completion) for row in encoded]
        log_likelihoods = [0.0] * len(rows)
        is_greedy = [False] * len(rows)

        def score(chosen: Sequence[int]) -> None:
            batch = Batch.of([rows[i] for i in chosen], self._pad_id, self._device)
            logits = answer_logits(self.model, batch.input_ids, batch.answers).float()
            right = logits.argmax(-1) == batch.targets
            logs = logits.log_softmax(-1).gather(1, batch.targets[:, None])[:, 0]
            sizes = [len(rows[i].completion) for i in chosen]
            for i, log, hit in zip(
                chosen, logs.split(sizes), right.split(sizes), strict=True
            ):
                log_likelihoods[i] = float(log.double().sum())
                is_greedy[i] = bool(hit.all())

        self._in_batches([len(row) for row in rows], score)
        return [
            LabelScores(
                greedy=next(
                    (labels[k] for k in range(len(labels)) if is_greedy[at + k]), None
                ),
                log_likelihoods=tuple(log_likelihoods[at : at + len(labels)]),
            )
            for at in range(0, len(rows), len(labels))
        ]

    def sample(
        self,
        prompts: Sequence[str],
        max_new_tokens: int,
        sampling: Sampling,
        *,
        seed: int,
    ) -> list[tuple[str, ...]]:
        """Several outputs to every prompt, drawn from the model's distribution. The draws
        depend on the seed, the prompt and the sample's number, and on no batch."""
        keys = [(prompt, k) for prompt in prompts for k in range(sampling.samples)]
        draws = torch.stack([uniforms(seed, *key, max_new_tokens) for key in keys])
        texts = self.generate(
            [prompt for prompt, _ in keys], max_new_tokens, (draws, sampling)
        )
        size = sampling.samples
        return [tuple(texts[at : at + size]) for at in range(0, len(texts), size)]

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[str],
        max_new_tokens: int,
        drawn: tuple[torch.Tensor, Sampling] | None = None,
    ) -> list[str]:
        """Decoding with a KV cache, up to a stop token or the bound: greedy, or with
        `drawn` by one number in [0, 1) for every prompt and token."""
        room = max(1, self.max_length - max_new_tokens)
        ids = [self.encoder.prompt(prompt)[-room:] for prompt in prompts]
        texts = [""] * len(prompts)

        def decode(chosen: Sequence[int]) -> None:
            length = max(len(ids[i]) for i in chosen)
            input_ids = torch.full((len(chosen), length), self._pad_id)
            mask = torch.zeros_like(input_ids)
            for row, i in enumerate(chosen):  # the padding is on the left
                input_ids[row, length - len(ids[i]) :] = torch.tensor(ids[i])
                mask[row, length - len(ids[i]) :] = 1
            written = self.model.generate(  # type: ignore[operator]
                input_ids=input_ids.to(self._device),
                attention_mask=mask.to(self._device),
                logits_processor=[Drawn(drawn[0][list(chosen)], drawn[1])] if drawn else [],
                pad_token_id=self._pad_id,
                **self.decoding(max_new_tokens),
            )
            for i, row in zip(chosen, written[:, length:].tolist(), strict=True):
                texts[i] = self.encoder.decode(row)

        unharmed = unharmed_length(self.model)
        mixed = math.inf if unharmed is None else unharmed - self.tokens_before
        self._in_batches([len(row) + max_new_tokens for row in ids], decode, mixed)
        return texts

    def decoding(self, max_new_tokens: int) -> dict[str, Any]:
        """All that decoding goes by, in the words of `transformers`. It is the protocol's:
        a model adds its end tokens, and nothing else (`models._load`)."""
        return {
            "do_sample": False,
            "num_beams": 1,
            "max_new_tokens": max_new_tokens,
            "eos_token_id": list(self.encoder.stop_ids),
        }

    def bound(self, task: Task) -> int:
        """Tokens that an answer may have. A free one has at most half of what the model
        takes: the question must not be cut away to make room for it."""
        if task.labels:
            return task.answer_bound
        return min(task.answer_bound, max(1, self.max_length // 2))

    def prompts_cut(self, prompts: Sequence[str], room_for_answer: int) -> int:
        """How many prompts are longer than fits, and are read without their beginning."""
        room = self.max_length - room_for_answer
        return sum(len(self.encoder.prompt(prompt)) > room for prompt in prompts)

    def _in_batches(
        self,
        lengths: Sequence[int],
        work: Callable[[Sequence[int]], None],
        mixed: float = math.inf,
    ) -> None:
        """Longest first, so that what does not fit fails early; halved if it does not. Above
        the length `mixed`, all rows of a batch are equally long."""
        pending = list(_batches(lengths, self.batch_tokens, mixed))
        while pending:
            chosen = pending.pop(0)
            try:
                work(chosen)
            except (torch.OutOfMemoryError, MemoryError) as error:
                if len(chosen) == 1:
                    raise OutOfMemory(
                        f"Evaluating one example of {lengths[chosen[0]]} tokens does not "
                        f"fit into memory ({error}). Lower training.max_length."
                    ) from error
                half = len(chosen) // 2
                pending[:0] = [chosen[:half], chosen[half:]]

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def _pad_id(self) -> int:
        return int(self.encoder.tokenizer.pad_token_id)


@dataclass(frozen=True)
class LabelScores:
    """Both readings of one row: `greedy` is None where decoding writes no label."""

    greedy: str | None
    log_likelihoods: tuple[float, ...]


def _batches(
    lengths: Sequence[int], tokens: int, mixed: float = math.inf
) -> Iterator[list[int]]:
    """Rows of similar length whose padded size stays within `tokens`; of equal length above
    `mixed`."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    while order:
        longest = lengths[order[0]]
        size = max(1, tokens // max(1, longest))
        if longest > mixed:
            size = min(size, sum(lengths[i] == longest for i in order))
        yield order[:size]
        order = order[size:]
