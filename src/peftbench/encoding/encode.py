"""Examples to token ids: the same ids for training, scoring and generating."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.errors import DataError
from peftbench.tasks import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


#: Stands for an answer, to see what a chat template puts around one.
_PROBE = "peftbench-answer"


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

    def prompt_sha256(self, prompt: str) -> str:
        """Names a rendered prompt in stored predictions."""
        return hashlib.sha256(self.render(prompt).encode()).hexdigest()

    def prompt(self, prompt: str) -> tuple[int, ...]:
        """Token ids of the rendered prompt."""
        ids = self._ids(self.render(prompt), special=not self.uses_chat_template)
        while ids and ids[-1] == self.tokenizer.eos_token_id and len(ids) > 1:
            ids = ids[:-1]  # some tokenizers close every text with the end token
        return ids

    def encode(self, prompt: str, completion: str) -> Encoded:
        """Prompt and completion, which must have at least one token of its own."""
        head = self.prompt(prompt)
        tail = self._completion(prompt, completion, head)
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

    def _completion(self, prompt: str, completion: str, head: tuple[int, ...]) -> Any:
        if self.uses_chat_template:
            return self._ids(self._turn(prompt, completion), special=False)
        whole = self._ids(f"{self.render(prompt)} {completion}", special=True)
        if whole[: len(head)] == head:
            return whole[len(head) :]
        return self._ids(f" {completion}", special=False)

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
            turn = self._ids(self._turn(prompt, completion), special=False)
            position = _first(turn, self.stop_ids)
            if position < len(turn):
                return turn[position]
        return self.stop_ids[0]

    def _ids(self, text: str, *, special: bool) -> tuple[int, ...]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=special)["input_ids"]
        return tuple(ids)

    def _chat(self, turns: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        text: Any = self.tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=add_generation_prompt
        )
        return str(text)


def stop_ids(tokenizer: PreTrainedTokenizerBase, generation_config: Any) -> tuple[int, ...]:
    """Tokens that end an answer: the tokenizer's end token first, then the model's."""
    configured = getattr(generation_config, "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    found = [tokenizer.eos_token_id, *listed]
    return tuple(dict.fromkeys(token for token in found if token is not None))


def _first(ids: Sequence[int], wanted: Sequence[int]) -> int:
    """Position of the first of `wanted` in `ids`; the length where there is none."""
    return next((i for i, token in enumerate(ids) if token in wanted), len(ids))
