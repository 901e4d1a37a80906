"""A method whose adapters are our own, carried by `peft`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peftbench.methods._method import PeftMethod
from peftbench.models import Shapes

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

    from peftbench.methods._native.part import Part


@dataclass(frozen=True, kw_only=True)
class NativeMethod(PeftMethod):
    """A method that `peft` has not: all it has to state is its parts."""

    @abstractmethod
    def parts(self, model: PreTrainedModel, found: Mapping[str, Any]) -> Mapping[str, Part]:
        """What is put around which module of `model`, by the module's name.

        `found` is what the method read from data, if it does; see `NativeConfig`.
        """

    def config(self, model: PreTrainedModel) -> PeftConfig:
        """Raises `InvalidSpec` where the closed form does, for
        settings that do not fit `model`."""
        from peftbench.methods._native.tuner import NativeConfig

        self.trainable_parameters(Shapes.of(model))
        return NativeConfig(
            task_type="CAUSAL_LM", method=self.name(), parameters=self.parameters()
        )

    @classmethod
    def name(cls) -> str:
        """The name of the file that defines the method, as the catalogue writes it."""
        stem = cls.__module__.rpartition(".")[2]
        return stem.removeprefix("peftbench_plugin_").replace("_", "-")

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        from peftbench.methods._native.tuner import register

        register()
        return super()._wrap(model, config)
