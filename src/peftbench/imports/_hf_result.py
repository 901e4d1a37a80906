"""The result file of Hugging Face peft's MetaMathQA suite, as its `utils.py` writes it.

Only what is imported is named here; the rest of a file is passed over. A value that is
missing is None: the format has grown, and old files lack what new ones have.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from peftbench.errors import DataError
from peftbench.imports import _files as files
from peftbench.spec.frozen import Amount, Count

_Fraction = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class TrainConfig(_Part):
    """What was asked of the training."""

    model_id: str = Field(min_length=1)
    dtype: str = ""
    max_seq_length: Count = 0
    seed: Count | None = None
    optimizer_kwargs: Mapping[str, Any] = {}


class RunInfo(_Part):
    """What was run, and when."""

    created_at: str = ""
    experiment_name: str = Field(min_length=1)
    train_config: TrainConfig
    peft_config: Mapping[str, Any] | None = None  # None: every parameter is trained
    error_msg: str = ""


class Look(_Part):
    """One validation, or the test, which is the last."""

    step: Count | None = None
    valid_accuracy: _Fraction | None = Field(None, alias="valid accuracy")
    test_accuracy: _Fraction | None = Field(None, alias="test accuracy")
    train_loss: float | None = Field(None, alias="train loss")
    train_time: Amount | None = Field(None, alias="train time")  # of its steps alone
    eval_time: Amount | None = Field(None, alias="eval time")
    tokens_per_second: Amount | None = Field(None, alias="tokens / sec")
    forgetting: float | None = None  # nats per token


def _memory(what: str) -> Any:
    """Called cuda_... before June 2025."""
    names = AliasChoices(f"accelerator_memory_{what}", f"cuda_memory_{what}")
    return Field(None, validation_alias=names)


class TrainInfo(_Part):
    """What came out."""

    status: Literal["success", "failed", "canceled"]
    memory_mean: Amount | None = _memory("reserved_avg")
    memory_p99: Amount | None = _memory("reserved_99th")
    memory_peak: Amount | None = _memory("max")
    train_time: Amount | None = None
    file_size: Count | None = None
    num_trainable_params: Count | None = None
    num_total_params: Count | None = None
    metrics: tuple[Look, ...]

    @property
    def validated(self) -> tuple[Look, ...]:
        """The looks at the validation part."""
        return tuple(look for look in self.metrics if look.valid_accuracy is not None)

    @property
    def test(self) -> Look | None:
        """The look at the test split; None where the run did not get there."""
        found = (look for look in self.metrics if look.test_accuracy is not None)
        return next(found, None)


class Source(_Part):
    """A model or dataset on the hub."""

    sha: str | None = None


class MetaInfo(_Part):
    """With what and where."""

    model_info: Source = Source()
    dataset_info: Mapping[str, Source] = {}
    package_info: Mapping[str, str | None] = {}
    system_info: Mapping[str, str] = {}

    @property
    def packages(self) -> dict[str, str]:
        """Versions by package."""
        told = ((n.removesuffix("-version"), n, v) for n, v in self.package_info.items())
        return {name: v for name, full, v in told if v and name != full}

    @property
    def device(self) -> str:
        """The accelerator; "" where it is not told."""
        return self.system_info.get("accelerator") or self.system_info.get("gpu", "")

    @property
    def platform(self) -> str:
        """System and its release."""
        told = (self.system_info.get(name, "") for name in ("system", "release"))
        return " ".join(filter(None, told))


class Result(_Part):
    """One file, one run."""

    run_info: RunInfo
    train_info: TrainInfo
    meta_info: MetaInfo


def read_result(path: Path, within: Path) -> Result:
    """Read and check a file; raises `DataError` for what is no result of the suite."""
    found = files.read_json(path, within)
    try:
        result = Result.model_validate(found)
    except ValidationError as error:
        lines = [files.wrong_field(one) for one in error.errors()]
        raise DataError(
            f"{path} is no result file of peft's method_comparison:\n" + "\n".join(lines)
        ) from error
    if result.train_info.status == "success" and result.train_info.test is None:
        raise DataError(
            f"{path} tells of a success without a 'test accuracy'. Only results of the "
            "MetaMathQA suite can be imported."
        )
    return result
