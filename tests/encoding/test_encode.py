"""Text to tokens: the same ids for training, scoring and generating, the target whole."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peftbench.encoding.encode import Encoder, stop_ids
from peftbench.errors import DataError, ModelError
from peftbench.models import resolve
from peftbench.models._load import load
from peftbench.spec import ModelChoice
from peftbench.tasks import Example

TINY = load(resolve(ModelChoice(name="tiny")))

#: As the templates of chat models go: turns between marks, the answer's end marked too.
PLAIN = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
#: Some put an empty "thinking" block before an answer, and not into the generation prompt.
THINKING = (
    "{% for m in messages %}<{{ m.role }}>"
    "{% if m.role == 'assistant' %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@cache
def templated(template: str) -> Any:
    """The tiny model's tokenizer with a chat template."""
    tokenizer = copy.deepcopy(TINY.tokenizer)
    tokenizer.chat_template = template
    return tokenizer


def encoder(template: str | None = None, stops: tuple[int, ...] = (2,)) -> Encoder:
    tokenizer = templated(template) if template else TINY.tokenizer
    return Encoder(tokenizer, chat_template=True, stop_ids=stops)


def text(ids: tuple[int, ...]) -> str:
    return str(TINY.tokenizer.decode(list(ids)))


def test_prompt_and_completion_are_joined_by_one_blank() -> None:
    row = encoder().encode("Is it? Answer: ", "yes")
    assert text(row.prompt) == "<|begin|>Is it? Answer:"
    assert text(row.completion) == " yes<|end|>"


def test_the_completion_ends_with_the_end_token_once() -> None:
    for completion in ("yes", "yes<|end|>"):
        assert encoder().encode("Is it?", completion).completion.count(2) == 1


def test_a_completion_without_tokens_is_refused() -> None:
    with pytest.raises(DataError, match="has no tokens"):
        encoder(PLAIN).encode("Is it?", "")


@pytest.mark.parametrize("template", [None, PLAIN, THINKING])
def test_a_special_token_in_a_row_is_text(template: str | None) -> None:
    """It used to end the answer there: trained cut short, and never to be matched."""
    made = encoder(template)
    answer = "keep 0 <|end|> word 0 <|end|> rest"
    row = made.encode("Mark <|end|> or <|begin|> in\n<|pad|>", answer)
    assert made.decode(row.completion).strip() == answer
    assert row.completion.count(2) == 1
    assert row.completion[-1] == 2
    plain = made.encode("Mark . or , in\n.", "keep")
    assert [row.prompt.count(token) for token in (0, 1, 2)] == [
        plain.prompt.count(token) for token in (0, 1, 2)
    ]
    assert text(row.prompt).count("<|end|>") == text(plain.prompt).count("<|end|>") + 1
    assert made.special_tokens_in(answer) == ("<|end|>",)


def test_an_end_token_that_cannot_be_text_is_refused_in_an_answer() -> None:
    tokenizer = copy.deepcopy(TINY.tokenizer)
    tokenizer.add_tokens(["<stop>"])
    end = tokenizer.convert_tokens_to_ids("<stop>")
    made = Encoder(tokenizer, chat_template=False, stop_ids=(2, end))
    with pytest.raises(DataError, match="holds '<stop>', which ends an answer"):
        made.encode("Is it?", "yes <stop> no")


def test_an_example_is_encoded_from_its_completion_not_its_target() -> None:
    example = Example(prompt="1 + 1 =", completion="1 + 1 = 2", target="2")
    row = encoder().encode_example(example)
    assert text(row.completion) == " 1 + 1 = 2<|end|>"
    assert len(row) == len(row.prompt) + len(row.completion)


words = st.text(min_size=1, max_size=30).filter(lambda t: "<|" not in t and t.strip())


@settings(max_examples=80, deadline=None)
@given(words, words)
def test_nothing_of_a_completion_is_lost(prompt: str, completion: str) -> None:
    for template in (None, PLAIN, THINKING):
        made = encoder(template)
        row = made.encode(prompt, completion)
        assert row.prompt == made.prompt(prompt)
        assert made.decode(row.completion).strip() == completion.strip()
        assert row.completion[-1] == 2
        assert 2 not in row.completion[:-1]


@settings(max_examples=40, deadline=None)
@given(words)
def test_a_prompt_does_not_depend_on_its_completion(prompt: str) -> None:
    made = encoder()
    assert made.encode(prompt, "yes").prompt == made.encode(prompt, "no way").prompt


def test_a_chat_prompt_is_the_users_turn_and_the_completion_the_assistants() -> None:
    made = encoder(PLAIN)
    row = made.encode("Is it?", "yes")
    assert made.uses_chat_template
    assert text(row.prompt) == "<user>Is it?<|end|><assistant>"
    assert text(row.completion) == "yes<|end|>"


def test_what_a_template_puts_before_an_answer_belongs_to_the_prompt() -> None:
    """As a part of the completion it would have to be written, and read as the answer."""
    made = encoder(THINKING)
    row = made.encode("Is it?", "yes")
    assert text(row.prompt) == "<user>Is it?<|end|>\n<assistant><think>\n\n</think>\n\n"
    assert text(row.completion) == "yes<|end|>"
    assert made.prompt("Is it?") == row.prompt
    assert made.render("Is it?").endswith("</think>\n\n")


def test_a_template_that_rewrites_earlier_turns_is_used_as_it_is() -> None:
    template = "{% if messages|length > 1 %}<chat>{% endif %}" + PLAIN
    row = encoder(template).encode("Is it?", "yes")
    assert text(row.prompt) == "<user>Is it?<|end|><assistant>"
    assert text(row.completion) == "yes<|end|>"


#: As Llama 3's: a system turn with today's date, where the environment tells it.
DATED = "<system>Today is {{ strftime_now('%d %b %Y') }}<|end|>" + PLAIN

GENERATION = "{% if add_generation_prompt %}<assistant>{% endif %}"
TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}<|end|>{% endfor %}"


@pytest.mark.parametrize("template", [None, PLAIN, THINKING, DATED, "<chat>" + PLAIN])
def test_a_template_that_holds_question_and_answer_passes(template: str | None) -> None:
    encoder(template).check_template()


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (
            "{% if messages[0].role != 'system' %}"
            "{{ raise_exception('a system turn is needed') }}{% endif %}" + PLAIN,
            "conversation of user .TemplateError: a system turn is needed",
        ),
        (
            "{% if messages[-1].role != 'user' %}"
            "{{ raise_exception('the user is last') }}{% endif %}" + PLAIN,
            "conversation of user and assistant .TemplateError: the user is last",
        ),
        ("{% for m in messages %}{{ m.content }}", "TemplateSyntaxError"),
        ("{{ messages[0].content.text.strip() }}", "UndefinedError"),
        (
            "{% for m in messages %}<{{ m.role }}>{% for part in m.content %}{{ part.text }}"
            "{% endfor %}<|end|>{% endfor %}" + GENERATION,
            "renders nothing of the question, but '<user><|end|><assistant>'",
        ),
        (
            "<user>{{ messages[0].content }}<|end|>" + GENERATION,
            "renders nothing of the answer",
        ),
        (
            TURNS + GENERATION.replace("<assistant>", "<assistant><think>"),
            "ends a prompt with '<.end.><assistant><think>', and begins an answer after",
        ),
        (
            "{% set form = '%d' %}{{ strftime_now(form) }}" + PLAIN,
            "asks for the date in a way that cannot be fixed",
        ),
        (PLAIN + "{{ range(100000) | random }}", "renders another prompt each time"),
    ],
    ids=[
        "system",
        "user last",
        "syntax",
        "undefined",
        "parts",
        "answer",
        "thinks",
        "date",
        "random",
    ],
)
def test_a_template_that_cannot_ask_is_refused_with_what_to_do(
    template: str, words: str
) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        encoder(template).check_template()
    assert "chat_template: false" in str(caught.value)


def test_a_template_that_asks_for_the_date_is_given_a_fixed_one() -> None:
    """Else the same step would ask another prompt every day."""
    rendered = encoder(DATED).render("Is it?")
    assert rendered == "<system>Today is 26 Jul 2024<|end|><user>Is it?<|end|><assistant>"
    assert encoder(DATED).template_sha256 != encoder(PLAIN).template_sha256


def test_the_chat_template_can_be_left_unused() -> None:
    made = Encoder(templated(PLAIN), chat_template=False, stop_ids=(2,))
    assert not made.uses_chat_template
    assert made.render("Is it? ") == "Is it?"


def test_a_turn_ends_with_the_templates_own_end_token() -> None:
    template = PLAIN.replace("<|end|>", "<|begin|>")
    row = encoder(template, stops=(2, 1)).encode("Is it?", "no")
    assert text(row.completion) == "no<|begin|>"


def test_decoding_stops_at_the_first_stop_token() -> None:
    ids = [*TINY.tokenizer(" yes", add_special_tokens=False)["input_ids"]]
    assert encoder().decode([*ids, 2, *ids]) == " yes"
    assert encoder(stops=(2, ids[0])).decode(ids) == ""


def test_prompts_have_a_digest_of_what_the_model_reads() -> None:
    made = encoder()
    assert made.prompt_sha256("a") == made.prompt_sha256("a \n")
    assert made.prompt_sha256("a") != encoder(PLAIN).prompt_sha256("a")


def test_without_an_end_token_no_answer_could_end() -> None:
    with pytest.raises(DataError, match="no end token"):
        encoder(stops=())


@pytest.mark.parametrize(
    ("configured", "expected"),
    [(None, (2,)), (2, (2,)), (7, (2, 7)), ([7, 2, 9], (2, 7, 9)), ([], (2,))],
)
def test_stop_tokens_are_the_tokenizers_first_then_the_models(
    configured: Any, expected: tuple[int, ...]
) -> None:
    assert stop_ids(TINY.tokenizer, configured) == expected


@pytest.mark.parametrize("prompt", ["", " ", "\n"])
def test_an_empty_prompt_still_has_a_token_to_predict_from(prompt: str) -> None:
    assert len(encoder().encode(prompt, "yes").prompt) >= 1
