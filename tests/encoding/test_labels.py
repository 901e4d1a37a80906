"""Labels that a tokenizer cannot tell apart, or cannot write, are found before a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from peftbench import tasks
from peftbench.encoding.encode import Encoder, encoder_for
from peftbench.encoding.labels import label_troubles
from peftbench.errors import InvalidSpec
from peftbench.models import resolve
from peftbench.spec import ModelChoice, Protocol
from peftbench.tasks import Task
from peftbench.tasks._answers import label_reader

TINY = encoder_for(resolve(ModelChoice(name="tiny")))


def labelled(*labels: str) -> Task:
    return replace(
        tasks.get("generated_mood"), labels=labels, read_answer=label_reader(labels)
    )


def words(*known: str, normalizer: Any = None) -> Encoder:
    """A tokenizer of whole words; others are one and the same unknown token."""
    vocabulary = {w: i for i, w in enumerate(("<end>", "<unk>", *known))}
    made = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s+"), "removed")
    made.decoder = decoders.Fuse()
    if normalizer:
        made.normalizer = normalizer
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<end>", unk_token="<unk>"
    )
    return Encoder(tokenizer, chat_template=False, stop_ids=(0,))


@pytest.mark.parametrize("protocol", ["strict", "peft-bench"])
def test_labels_of_all_tasks_are_distinct_and_come_back(protocol: Protocol) -> None:
    checked = 0
    for name in tasks.names():
        try:
            task = tasks.get(name, protocol)
        except InvalidSpec:
            continue
        assert label_troubles(task, TINY) == [], name
        checked += bool(task.labels)
    assert checked > 15


def test_labels_that_differ_in_case_alone_are_told_apart() -> None:
    assert label_troubles(labelled("US", "us", "them"), TINY) == []


def test_two_unknown_words_are_the_same_tokens() -> None:
    found = label_troubles(labelled("Ja", "Nein", "yes"), words("yes"))
    assert found == [
        "The label 'Ja' comes back as '', which is read as no label.",
        "The labels 'Ja' and 'Nein' are the same tokens.",
    ]


def test_labels_that_a_tokenizer_normalises_to_one_are_the_same_tokens() -> None:
    made = words("1", "2", normalizer=normalizers.NFKC())
    found = label_troubles(labelled("1", "①", "2"), made)
    assert found == ["The labels '1' and '①' are the same tokens."]
    found = label_troubles(labelled("①", "2"), made)
    assert found == ["The label '①' comes back as '1', which is read as no label."]


def test_case_that_a_tokenizer_drops_matters_only_where_it_tells_labels_apart() -> None:
    made = words("us", "them", normalizer=normalizers.Lowercase())
    assert label_troubles(labelled("US", "Them"), made) == []
    assert label_troubles(labelled("US", "us", "them"), made) == [
        "The label 'US' comes back as 'us', which is read as 'us'.",
        "The labels 'US' and 'us' are the same tokens.",
    ]


def test_a_label_without_tokens_cannot_be_written() -> None:
    made = words("a", "b", normalizer=normalizers.Replace("-", " "))
    [found] = label_troubles(labelled("a", "-"), made)
    assert found.startswith("The label '-' cannot be written: The completion '-' has no")


def test_a_label_that_its_own_reader_does_not_read_is_found() -> None:
    task = replace(labelled("yes", "no"), read_answer=label_reader(("yes", "nope")))
    assert label_troubles(task, TINY) == [
        "The label 'no' comes back as ' no', which is read as no label."
    ]
