"""Rows of a test set: what a model wrote on each, and what that was worth."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One test row and what the model wrote there."""

    row: int
    prompt_sha256: str
    prompt: str | None  # kept for the first few rows, to look at
    output: str
    target: str
    likelihood_answer: str | None = None  # the most likely label
    label_log_likelihoods: tuple[float, ...] | None = None  # nats, in the task's order
    group: str | None = None  # these three as in `tasks.Example`
    references: tuple[str, ...] = ()
    extra: str = "{}"  # JSON
    samples: tuple[str, ...] = ()  # further outputs, drawn at random


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How a row's output was read, and what it was worth."""

    answer: str | None  # None: unreadable
    score: float | None  # its part of the headline metric (jackknife); None: see its group
    likelihood_answer: str | None = None  # as the test set's labels have it
    verdict: str | None = None  # on the answer as a program; None: not run
    sampled_verdicts: tuple[str, ...] = ()  # on those in the samples
