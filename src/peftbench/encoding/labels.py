"""Whether a tokenizer can tell the labels of a task apart, and write them."""

from __future__ import annotations

from peftbench.encoding.encode import Encoder
from peftbench.errors import DataError
from peftbench.tasks import Task

#: Stands for any prompt: a label's tokens do not depend on it.
_PROMPT = "Question\nAnswer:"


def label_troubles(task: Task, encoder: Encoder) -> list[str]:
    """What keeps labels from being scored, a sentence each.

    Greedy decoding is compared with a label's tokens, so two labels must not be the same
    ones (as two unknown words are, or "①" and "1" for a tokenizer that normalises), and
    what a label's tokens decode to must be read as that label.
    """
    troubles = []
    seen: dict[tuple[int, ...], str] = {}
    for label in task.labels:
        try:
            tokens = encoder.encode(_PROMPT, label).completion
        except DataError as error:
            troubles.append(f"The label {label!r} cannot be written: {error}")
            continue
        text = encoder.decode(tokens)
        first = seen.setdefault(tokens, label)
        if first != label:
            troubles.append(f"The labels {first!r} and {label!r} are the same tokens.")
        elif task.read_answer(text) != label:
            read = task.read_answer(text)
            how = "no label" if read is None else f"{read!r}"
            troubles.append(
                f"The label {label!r} comes back as {text!r}, which is read as {how}."
            )
    return troubles
