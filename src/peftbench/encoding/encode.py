"""Examples to token ids: the same ids for training, scoring and generating."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from peftbench.errors import DataError, ModelError
from peftbench.models import ModelSource
from peftbench.models._tokenizer import end_tokens, load_tokenizer, template_texts
from peftbench.tasks import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


#: Stand for a question and its answer, to see what a chat template puts around them.
_QUESTION, _PROBE = "peftbench-question", "peftbench-answer"

#: What templates ask for the date by, and the one that they are given: what Llama 3's
#: falls back to where it is given none.
_CLOCK = "strftime_now"
_ASKS_FOR_TODAY = re.compile(rf"{_CLOCK}\s*\(\s*(['\"])(.*?)\1\s*\)")
_TODAY = date(2024, 7, 26)

_WITHOUT_TEMPLATE = (
    "Ask this model without it: `models: [{name: ..., chat_template: false}]`."
)


@dataclass(frozen=True)
class Encoded:
    """One example in tokens. `completion` ends with the end token."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


class Encoder:
    """Turns prompts and completions into token ids.

    With a chat template, a prompt is the user's turn and a completion the assistant's.
    Without one, they are joined by one blank and tokenised together: the blank belongs
    to the completion's first token, as in running text, and never ends a prompt.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        chat_template: bool,
        stop_ids: Sequence[int],
    ) -> None:
        self.tokenizer = tokenizer
        self.uses_chat_template = chat_template and bool(
            getattr(tokenizer, "chat_template", None)
        )
        if not stop_ids:
            raise DataError("The tokenizer has no end token, so no answer could ever end.")
        self.stop_ids = tuple(stop_ids)

    @property
    def end_tokens(self) -> tuple[str, ...]:
        """The stop tokens as the tokenizer writes them."""
        return tuple(self.tokenizer.convert_ids_to_tokens(list(self.stop_ids)))

    def render(self, prompt: str) -> str:
        """The text that the model reads.

        Some templates add text before an answer, such as an empty "thinking" block, that
        their generation prompt lacks. Here it is the prompt's, and never to be written.
        """
        if not self.uses_chat_template:
            return prompt.rstrip()
        head = self._chat([{"role": "user", "content": prompt}], add_generation_prompt=True)
        whole = self._whole(prompt, _PROBE)
        before, probe, _ = whole.removeprefix(head).partition(_PROBE)
        return head + before if probe and whole.startswith(head) else head

    def check_template(self) -> None:
        """Make sure that rendered prompts hold the question and end where the answer starts;
        raises `ModelError`, with what to do, where the chat template does not see to that."""
        if not self.uses_chat_template:
            return
        rendered, whole = self.render(_QUESTION), self._whole(_QUESTION, _PROBE)
        wrong = None
        if re.search(rf"{_CLOCK}\s*\(", self._template or ""):
            wrong = "asks for the date in a way that cannot be fixed"
        elif rendered != self.render(_QUESTION):
            wrong = "renders another prompt each time"
        elif _QUESTION not in rendered:
            wrong = f"renders nothing of the question, but {_short(rendered)}"
        elif _PROBE not in whole:
            wrong = f"renders nothing of the answer, but {_short(whole)}"
        else:
            after = rendered.partition(_QUESTION)[2]
            before = whole.partition(_QUESTION)[2].partition(_PROBE)[0]
            if after != before:
                wrong = (
                    f"ends a prompt with {_short(after)}, and begins an answer after "
                    f"{_short(before)}"
                )
        if wrong is not None:
            raise ModelError(f"The chat template {wrong}. {_WITHOUT_TEMPLATE}")

    @property
    def template_sha256(self) -> str:
        """Digest of what the chat template makes of a question and its answer."""
        rendered = self.render(_QUESTION) + self._whole(_QUESTION, _PROBE)
        return hashlib.sha256(rendered.encode()).hexdigest()

    def prompt_sha256(self, prompt: str) -> str:
        """Names a rendered prompt in stored predictions."""
        return hashlib.sha256(self.render(prompt).encode()).hexdigest()

    def prompt(self, prompt: str) -> tuple[int, ...]:
        """Token ids of the rendered prompt."""
        rendered = self.render(prompt)
        data = prompt if self.uses_chat_template else rendered
        ids = self._ids(rendered, data, special=not self.uses_chat_template)
        while ids and ids[-1] == self.tokenizer.eos_token_id and len(ids) > 1:
            ids = ids[:-1]  # some tokenizers close every text with the end token
        return ids

    def encode(self, prompt: str, completion: str) -> Encoded:
        """Prompt and completion, which must have at least one token of its own."""
        head = self.prompt(prompt)
        tail = self._completion(prompt, completion, head)
        if ends := [end for end in self._ends_that_are_no_text if end in completion]:
            raise DataError(
                f"The completion {completion!r} holds {ends[0]!r}, which ends an answer for this "
                "model and cannot be encoded as text. Write it otherwise."
            )
        tail = tuple(tail[: _first(tail, self.stop_ids)])
        if not tail:
            raise DataError(
                f"The completion {completion!r} has no tokens; there is no target."
            )
        return Encoded(head, (*tail, self._end_after(prompt, completion)))

    def encode_example(self, example: Example) -> Encoded:
        """The prompt and the completion it is trained to."""
        return self.encode(example.prompt, example.completion)

    def decode(self, ids: Sequence[int]) -> str:
        """The text up to the first stop token."""
        kept = list(ids[: _first(ids, self.stop_ids)])
        text: str = self.tokenizer.decode(kept, skip_special_tokens=True)
        return text

    def _completion(
        self, prompt: str, completion: str, head: tuple[int, ...]
    ) -> tuple[int, ...]:
        if self.uses_chat_template:
            turn = self._turn(prompt, completion)
            return self._ids(turn, completion, special=False)
        text = f"{self.render(prompt)} {completion}"
        whole = self._ids(text, text, special=True)
        if whole[: len(head)] == head:
            return whole[len(head) :]
        return self._ids(f" {completion}", f" {completion}", special=False)

    def _turn(self, prompt: str, completion: str) -> str:
        """What the assistant's turn adds to the rendered prompt."""
        head, whole = self.render(prompt), self._whole(prompt, completion)
        return whole[len(head) :] if whole.startswith(head) else completion

    def _whole(self, prompt: str, completion: str) -> str:
        turns = [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": completion},
        ]
        return self._chat(turns, add_generation_prompt=False)

    def _end_after(self, prompt: str, completion: str) -> int:
        """The template's own end of turn, else the tokenizer's end token."""
        if self.uses_chat_template:
            turn = self._completion(prompt, completion, ())
            position = _first(turn, self.stop_ids)
            if position < len(turn):
                return turn[position]
        return self.stop_ids[0]

    def special_tokens_in(self, text: str) -> tuple[str, ...]:
        """Text of a row that reads like a special token, each once; it is encoded as text."""
        return tuple(dict.fromkeys(self._special.findall(text))) if self._special else ()

    def _ids(self, text: str, data: str, *, special: bool) -> tuple[int, ...]:
        """Token ids of `text`, a part of which is `data` from a row: what reads like a special
        token there, such as "</s>" in a page of HTML, is text and ends no answer."""
        pieces = [(text, False)]
        if self.special_tokens_in(data):
            part = data if data in text else data.strip()  # some templates strip turns
            before, found, after = text.partition(part)
            parted = [(before, False), (found, True), (after, False)]
            pieces = [piece for piece in parted if piece[0]]
        return tuple(
            token
            for piece, is_data in pieces
            for token in self.tokenizer(
                piece,
                add_special_tokens=special,  # `text` is then one piece
                **({"split_special_tokens": True} if is_data else {}),
            )["input_ids"]
        )

    @cached_property
    def _template(self) -> str | None:
        """The chat template as it is used, where that is not as the tokenizer has it: a prompt
        must not be another one tomorrow, so "today" is always the same day."""
        if _CLOCK not in str(self.tokenizer.chat_template):
            return None
        template: str = self.tokenizer.get_chat_template()
        return _ASKS_FOR_TODAY.sub(lambda call: repr(_TODAY.strftime(call[2])), template)

    @cached_property
    def _ends_that_are_no_text(self) -> tuple[str, ...]:
        """End tokens that the tokenizer finds in any text, not being marked as special."""
        added = self.tokenizer.added_tokens_decoder
        known = (added.get(token) for token in self.stop_ids)
        return tuple(token.content for token in known if token and not token.special)

    @cached_property
    def _special(self) -> re.Pattern[str] | None:
        added = self.tokenizer.added_tokens_decoder.values()
        texts = {token.content for token in added if token.special}
        longest_first = sorted(texts, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first))) if texts else None

    def _chat(self, turns: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        try:
            text: Any = self.tokenizer.apply_chat_template(
                turns,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                chat_template=self._template,
            )
        except Exception as error:  # the template's own words, or a mistake in it
            roles = " and ".join(turn["role"] for turn in turns)
            raise ModelError(
                f"The chat template does not render a conversation of {roles} "
                f"({type(error).__name__}: {error}). {_WITHOUT_TEMPLATE}"
            ) from error
        return str(text)


def encoder_for(source: ModelSource, *, chat_template: bool = True) -> Encoder:
    """The encoder of a model that is not loaded: the same as that of the loaded one."""
    tokenizer = load_tokenizer(source)
    return Encoder(
        tokenizer,
        chat_template=chat_template,
        stop_ids=stop_ids(tokenizer, end_tokens(source)),
    )


@lru_cache
def chat_rendering(source: ModelSource) -> str | None:
    """Digest of what the model's chat template renders; None where the model's files say all
    of it, and the template asks for no date."""
    if not any(_CLOCK in text for text in template_texts(source)):
        return None
    encoder = encoder_for(source)
    return encoder.template_sha256 if encoder.uses_chat_template else None


def stop_ids(tokenizer: PreTrainedTokenizerBase, configured: Any) -> tuple[int, ...]:
    """Tokens that end an answer: the tokenizer's end token first, then the model's, which are
    `configured` as an id, several, or None."""
    listed = configured if isinstance(configured, list) else [configured]
    found = [tokenizer.eos_token_id, *listed]
    return tuple(dict.fromkeys(token for token in found if token is not None))


def _short(text: str) -> str:
    """The end of a rendered text, as an error message shows it."""
    return repr(text if len(text) <= 80 else f"...{text[-77:]}")


def _first(ids: Sequence[int], wanted: Sequence[int]) -> int:
    """Position of the first of `wanted` in `ids`; the length where there is none."""
    return next((i for i, token in enumerate(ids) if token in wanted), len(ids))
