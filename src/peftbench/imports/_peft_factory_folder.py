"""An output folder of PEFT-Factory: its rows, and what its files tell of the run.

    <method>/<model>/eval_<dataset>_<seed>_<time>/generated_predictions.jsonl, eval.yaml
    <method>/<model>/train_<dataset>_<seed>_<time>/train.yaml, trainer_state.json, adapter

Each line of the predictions has `predict` and `label`, and `prompt` in all but old versions.
YAML and trainer state may be missing; then what they tell is absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from peftbench.errors import DataError
from peftbench.imports import _files as files
from peftbench.tasks._answers import plain_float

PREDICTIONS = "generated_predictions.jsonl"
_NAME = re.compile(
    r"(?:eval|train)_(?P<dataset>.+?)_(?P<seed>[0-9]{1,18})_(?P<time>[0-9]{9,})"
)
#: YAML keys that set a method, by how they begin.
_METHOD_KEYS = (
    "lora_", "ia3_", "target_modules", "feedforward_modules", "num_virtual_tokens", "encoder_",
    "prefix_", "prompt_tuning_", "use_dora", "use_rslora", "pissa_", "oft_", "bitfit_", "svft_",
)  # fmt: skip


@dataclass(frozen=True)
class Output:
    """One folder with predictions."""

    folder: Path

    @cached_property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The lines, each with text in `predict` and `label`."""
        return files.read_rows(self.folder / PREDICTIONS, self.folder, ("predict", "label"))

    @property
    def dataset(self) -> str:
        """Name of the dataset without `_eval`; raises `DataError` where nothing tells."""
        name = self._dataset_told or self._named("dataset")
        if not name:
            raise DataError(
                f"{self.folder}: nothing tells its dataset. Expected a folder called "
                "eval_<dataset>_<seed>_<time>, or a YAML file with `dataset` in it."
            )
        return name.removesuffix("_eval")

    @property
    def is_on_training_rows(self) -> bool:
        """Whether the YAML names the training entry: the tool's own script
        run_train_eval.sh evaluates on that."""
        return bool(self._dataset_told) and not self._dataset_told.endswith("_eval")

    @property
    def method(self) -> str:
        """The tool's name of the method; "" where nothing tells."""
        told = files.text(self.config, "finetuning_type")
        if told or not self._has_published_layout:
            return told
        return self.folder.parent.parent.name

    @property
    def model(self) -> str:
        """The base model; "" where nothing tells."""
        told = files.text(self.config, "model_name_or_path")
        if told or not self._has_published_layout:
            return told
        return self.folder.parent.name

    @property
    def seed(self) -> int | None:
        """Of the YAML, else of the folder's name."""
        told, named = files.whole(self.config, "seed"), self._named("seed")
        return int(named) if told is None and named else told

    @property
    def time(self) -> str:
        """When it was launched, as the folder's name has it; "" where it has not."""
        return self._named("time")

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The YAML of the evaluation; {} where there is none."""
        return _yaml(self.folder)

    @cached_property
    def training_folder(self) -> Path | None:
        """Where the adapter was trained: what the YAML names, else the folder's twin."""
        named = files.text(self.config, "adapter_name_or_path")
        twin = self.folder.name.replace("eval_", "train_", 1)
        for name in (Path(named).name, twin):
            found = self.folder.parent / name
            if name not in ("", "..", self.folder.name) and found.is_dir():
                return found
        return None

    @cached_property
    def training_config(self) -> Mapping[str, Any]:
        """The YAML of the training; {} where there is none."""
        return _yaml(self.training_folder) if self.training_folder else {}

    @property
    def method_settings(self) -> dict[str, Any]:
        """What the YAML files set of the method; the training's go first."""
        told = {**self.config, **self.training_config}
        return {k: v for k, v in told.items() if k.startswith(_METHOD_KEYS)}

    @cached_property
    def trainer_state(self) -> Mapping[str, Any]:
        """What the trainer logged; {} where it did not."""
        path = (self.training_folder or self.folder) / "trainer_state.json"
        return files.read_json(path, self.folder.parent) if path.exists() else {}

    @property
    def trained(self) -> dict[str, Any]:
        """How far the training went, as the trainer's state tells."""
        names = ("epoch", "global_step", "best_global_step", "best_metric", "max_steps")
        return {n: v for n in names if (v := self.trainer_state.get(n)) is not None}

    @property
    def learning_rate(self) -> float | None:
        """Of the training's YAML, where `1e-5` without a point is text."""
        return plain_float(str(self.training_config.get("learning_rate")))

    @property
    def train_seconds(self) -> float | None:
        """The trainer's own `train_runtime`; None where it is not logged."""
        log = self.trainer_state.get("log_history")
        entries = [one for one in log if isinstance(one, dict)] if type(log) is list else []
        found = (one.get("train_runtime") for one in reversed(entries))
        return next((float(v) for v in found if isinstance(v, int | float)), None)

    @property
    def adapter_bytes(self) -> int | None:
        """Size of the adapter's weights; None where they are not there."""
        path = (self.training_folder or self.folder) / "adapter_model.safetensors"
        return path.stat().st_size if path.is_file() else None

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of every file that was read."""
        found = [self.folder / PREDICTIONS, *_yaml_files(self.folder)]
        if self.training_folder:
            found += _yaml_files(self.training_folder)
            found.append(self.training_folder / "trainer_state.json")
        return {
            path.relative_to(self.folder.parent).as_posix(): files.digest(
                path, self.folder.parent
            )
            for path in found
            if path.exists()
        }

    @property
    def _dataset_told(self) -> str:
        return files.text(self.config, "eval_dataset", "dataset")

    @property
    def _has_published_layout(self) -> bool:
        return bool(_NAME.fullmatch(self.folder.name))

    def _named(self, part: str) -> str:
        found = _NAME.fullmatch(self.folder.name)
        return found[part] if found else ""


def find_outputs(path: Path) -> list[Output]:
    """All folders with predictions at or below a path; raises where there is none."""
    expected = f"output folders of PEFT-Factory, which hold {PREDICTIONS}"
    folder = files.folder(path, expected)
    found = sorted(file.parent for file in folder.rglob(PREDICTIONS))
    if not found:
        holds = ", ".join(sorted(p.name for p in folder.iterdir())[:8])
        raise DataError(
            f"No {PREDICTIONS} at or below {folder} (it holds: {holds or 'nothing'}); give "
            f"{expected}."
        )
    return [Output(one) for one in found]


def _yaml_files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])


def _yaml(folder: Path) -> Mapping[str, Any]:
    """The one file of settings in a folder; of several, those that say more go first."""
    told: dict[str, Any] = {}
    for path in _yaml_files(folder):
        told = {**files.read_yaml(path, folder.parent), **told}
    return told
