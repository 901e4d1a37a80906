"""A finished adapter as a method that trains nothing: it is loaded and scored."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from peftbench.errors import InvalidSpec, ModelError
from peftbench.methods import _from_config
from peftbench.methods._from_config import FromConfig, read_json
from peftbench.methods._method import WEIGHTS, Method
from peftbench.models import Shapes
from peftbench.reading import path_of
from peftbench.spec import CellMethod

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

#: What the store writes beside an adapter that it keeps.
ABOUT = "peftbench.json"


@dataclass(frozen=True, kw_only=True)
class FinishedAdapter(Method):
    """An adapter that was trained before, in `peft`'s format or kept by a store of ours.

    `files` are the digests of its files, which make its identity; `folder`, where they are,
    does not. Nothing is trained.
    """

    files: Mapping[str, str]
    folder: str | None = None

    family = "baseline"
    placement = "where its config says"
    paper = "that of the method"
    defaults_from = "its files"
    identity_at_start = False
    mergeable = False
    budget_knob = None
    trains = False
    needs_backward_through_base = False

    @classmethod
    def find(cls, path: str) -> Self:
        """The adapter in a folder; raises `InvalidSpec` where there is none."""
        folder = path_of(path).resolve()
        if not folder.is_dir():
            raise InvalidSpec(f"No adapter folder {path!r}: is the path right?")
        if not any(folder.glob("*.safetensors")) and not (folder / ABOUT).is_file():
            pickled = (folder / "adapter_model.bin").is_file()
            hint = (
                "Its weights are pickled, can run code, and are not read: save the adapter "
                "again with peft's save_pretrained."
                if pickled
                else f"An adapter is a folder with {_from_config.FILE} and {WEIGHTS}."
            )
            raise InvalidSpec(f"{path} holds no safetensors weights. {hint}")
        own = (folder / ABOUT).is_file()
        names = ["*.json", "*.safetensors"] if own else [_from_config.FILE, WEIGHTS]
        found = sorted(
            file for part in _parts(folder) for name in names for file in part.glob(name)
        )
        adapter = cls(
            files={file.relative_to(folder).as_posix(): _sha256(file) for file in found},
            folder=str(folder),
        )
        adapter.method()
        return adapter

    @property
    def num_virtual_tokens(self) -> int:
        """Positions before the input, where it is a soft prompt."""
        return int(getattr(self.method(), "num_virtual_tokens", 0))

    @property
    def location(self) -> str | None:
        return self.folder

    @classmethod
    def rebuilt(cls, parameters: Mapping[str, Any], location: str | None) -> Self:
        return cls(**parameters, folder=location)

    def parameters(self) -> dict[str, Any]:
        """What its identity is made of."""
        return {"files": dict(self.files)}

    def method(self) -> Method:
        """The method that can load it, by what the folder says of itself."""
        from peftbench.methods._build import rebuild

        folder = self._folder()
        if (folder / ABOUT).is_file():
            about = read_json(folder / ABOUT)
            try:
                return rebuild(CellMethod.model_validate(about["method"]))
            except (KeyError, TypeError, ValueError) as error:
                raise InvalidSpec(
                    f"{folder / ABOUT} does not say which method with which settings this "
                    f"adapter is of: {error}"
                ) from error
        if read_json(folder / _from_config.FILE).get("peft_type") == "XLORA":
            from peftbench.methods.x_lora import XLora

            return XLora.of_folder(folder)
        return FromConfig.read(str(folder), {})

    def trainable_parameters(self, shapes: Shapes) -> int:
        """None: it is trained already."""
        return 0

    def stored_parameters(self, shapes: Shapes) -> int:
        """What its method stores."""
        return self.method().stored_parameters(shapes)

    def attach(self, model: PreTrainedModel) -> nn.Module:
        """`model` with the adapter, frozen."""
        return self.load(model, self._folder())

    def detach(self, adapted: nn.Module) -> PreTrainedModel:
        return self.method().detach(adapted)

    def save(self, adapted: nn.Module, folder: Path) -> None:
        """Copy the adapter's files."""
        for name in self.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._folder() / name, folder / name)

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        return self.method().load(model, folder)

    def _folder(self) -> Path:
        if self.folder is None or not Path(self.folder).is_dir():
            raise ModelError(
                f"The folder of this adapter, {self.folder or 'not named here'}, is gone; run "
                "the spec that names it where it is."
            )
        return Path(self.folder)


def _parts(folder: Path) -> list[Path]:
    """The adapter's folder and, of X-LoRA's, those of its experts within. Others may hold
    what is not the adapter's, such as a trainer's checkpoints."""
    config = folder / _from_config.FILE
    experts = read_json(config).get("adapters") if config.is_file() else None
    if experts and not isinstance(experts, dict):
        raise InvalidSpec(f"{config}: `adapters` names no experts, by folder.")
    found = [folder, *(folder / name for name in experts or ())]
    for one in found:
        if not one.resolve().is_relative_to(folder.resolve()):
            raise InvalidSpec(f"{config} names an expert outside of its folder: {one}.")
    return found


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
