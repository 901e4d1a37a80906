"""A task described in a YAML file: whose rows, how they are asked, how they are scored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from peftbench.spec.frozen import Frozen
from peftbench.spec.read import spec_text, validated, yaml_mapping


def _file(value: object) -> object:
    """Let `reviews.csv` stand for `{file: reviews.csv}`."""
    return {"file": value} if isinstance(value, str) else value


def _texts(value: object) -> object:
    """Let one name stand for a list of one."""
    return (value,) if isinstance(value, str) else value


def value_text(value: object) -> str:
    """A value of a column or of the YAML file as text: true and 1 as "true" and "1".

    >>> value_text(True), value_text(1), value_text(" 1 ")
    ('true', '1', '1')
    """
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


class TaskRows(Frozen):
    """Where rows come from: one file, files for the splits, or a dataset on the hub.

    Files end in .jsonl, .jsonl.gz, .csv, .tsv or .parquet; paths are relative to the YAML
    file. Of a hub dataset `train`, `validation` and `test` are its splits, as `datasets`
    writes them.
    """

    file: str | None = None
    """All rows in one file. Test and validation rows are cut off by group."""

    test_fraction: float = Field(0.2, gt=0, lt=1)
    """Share of that one file that is the test split."""

    train: str | None = None
    validation: str | None = None
    """Without one, a part of the training rows is cut off by group."""
    test: str | None = None

    hub: str | None = Field(None, pattern=r"^[^/\s]+/[^/\s]+$")
    """Id of a dataset on the Hugging Face hub, owner/name."""

    subset: str | None = None
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$")
    """Commit of the hub dataset, 40 hexadecimal digits: a branch would move."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        parts = (self.train, self.validation, self.test)
        if self.file is not None and (self.hub or any(parts)):
            raise ValueError("give one `file`, or `train` and `test`, not both")
        if self.file is None and not (self.train and self.test):
            raise ValueError("give one `file`, or both `train` and `test`")
        if (self.hub is None) != (self.revision is None):
            raise ValueError("a `hub` dataset needs its `revision`, and only it has one")
        if self.subset and not self.hub:
            raise ValueError("only a `hub` dataset has a `subset`")
        return self


class TaskFile(Frozen):
    """A task without a line of Python."""

    description: str = ""
    """One line for lists and reports."""

    license: str = "not stated"

    data: Annotated[TaskRows, BeforeValidator(_file, json_schema_input_type=str | TaskRows)]

    prompt: str = Field(min_length=1)
    """What the model reads, with columns in braces: "Review: {text}\\nAnswer:"."""

    answer: str = Field(min_length=1)
    """The column with the right answer."""

    labels: Mapping[str, str] = Field(default_factory=dict)
    """The closed set of answers, as the column's value to the word the model writes; a list
    where the column holds the words themselves. Empty: answers are free."""

    reads: Literal["text", "number", "last_number"] = "text"
    """How a free answer is read: the whole output, a number and nothing else, or the last
    number of a longer answer. A number is written as 7, -3.5 or 1,200; a fraction, an
    exponent, a date or a calculation is none, and neither is a piece of one."""

    metric: Annotated[
        tuple[str, ...],
        BeforeValidator(_texts, json_schema_input_type=str | tuple[str, ...]),
    ] = ()
    """Names of metrics, the headline first. Empty: accuracy and macro_f1 for labels,
    numeric_match for numbers, exact_match and token_f1 for text."""

    group: str | None = None
    """A column whose equal values belong together and never stand in two splits."""

    max_new_tokens: int | None = Field(None, ge=1, le=4096)
    """Bound on an answer's length in tokens; null: 8 for labels, 64 for free answers. A
    label is never cut short."""

    version: int = Field(1, ge=1)

    @field_validator("labels", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            value = {word: word for word in value}
        if not isinstance(value, Mapping):
            return value
        for word in value.values():
            if not isinstance(word, str):
                raise ValueError(
                    f"the word {word!r} is no text; put it in quotes (YAML reads yes, no, on "
                    "and off as true and false, and 1 as a number)"
                )
            if not word.strip() or word != word.strip():
                raise ValueError(f"the word {word!r} is empty or has blanks around it")
        found = {value_text(key): word for key, word in value.items()}
        if len(found) < len(value):
            raise ValueError(
                "two of the column's values are the same text, such as 1 and '1'"
            )
        return found

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.labels and len(set(self.labels.values())) < 2:
            raise ValueError("labels: there must be two words that differ")
        if self.labels and self.reads != "text":
            raise ValueError("reads: answers of a closed set of labels are read as labels")
        return self


def read_task_file(path: Path) -> TaskFile:
    """The task that a file describes; raises `InvalidSpec` for every field that is wrong."""
    text = spec_text(path)
    return validated(TaskFile, yaml_mapping(text, str(path), TaskFile), str(path))
