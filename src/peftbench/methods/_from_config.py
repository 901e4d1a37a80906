"""An `adapter_config.json` as a method: its content is the method's settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from peftbench.errors import InvalidSpec
from peftbench.methods._meta import counted
from peftbench.methods._method import PeftMethod
from peftbench.models import Shapes
from peftbench.reading import Unreadable, file_text, json_value, path_of

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

FILE = "adapter_config.json"

#: Of the base or the run that a config was written for; a method is neither's.
_NOT_SETTINGS = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "inference_mode",
        "num_attention_heads",
        "num_layers",
        "num_transformer_submodules",
        "peft_type",
        "peft_version",
        "revision",
        "task_type",
        "token_dim",
    }
)


@dataclass(frozen=True, kw_only=True)
class FromConfig(PeftMethod):
    """Whatever a config of Hugging Face `peft` describes (huggingface/peft, 2022).

    `peft_type` is the method's name there, `settings` its fields; those that only describe
    the base or the run that the config was written for are left out. What it trains is
    counted after attachment, to a model without weights.
    """

    peft_type: str
    settings: Mapping[str, Any]

    # What a config means cannot be told in general, so the weakest is said.
    family = "hybrid"
    placement = "where its config says"
    paper = "that of the method"
    defaults_from = "its config"
    identity_at_start = False
    mergeable = False
    budget_knob = None

    @classmethod
    def read(cls, path: str, changes: Mapping[str, Any]) -> Self:
        """The method of a config's file or its folder, with some fields changed.

        Raises `InvalidSpec` for what is no config of the `peft` that is installed.
        """
        file = path_of(path)
        file = file / FILE if file.is_dir() else file
        raw = read_json(file)
        method = cls(
            peft_type=str(raw.get("peft_type", "")),
            settings={k: v for k, v in raw.items() if k not in _NOT_SETTINGS}
            | dict(changes),
        )
        method._check(file)
        return method

    @property
    def num_virtual_tokens(self) -> int:
        """Positions before the input, where it is a soft prompt."""
        return int(self.settings.get("num_virtual_tokens") or 0)

    def trainable_parameters(self, shapes: Shapes) -> int:
        """Counted, see the class."""
        return counted(self, shapes)[0]

    def stored_parameters(self, shapes: Shapes) -> int:
        """Counted, see the class."""
        return counted(self, shapes)[1]

    def config(self, model: PreTrainedModel) -> PeftConfig:
        return self._class()(task_type="CAUSAL_LM", **self.settings)

    def _class(self) -> Any:
        from peft import PEFT_TYPE_TO_CONFIG_MAPPING

        known = {
            str(getattr(t, "value", t)): c for t, c in PEFT_TYPE_TO_CONFIG_MAPPING.items()
        }
        if self.peft_type not in known:
            raise InvalidSpec(
                f"peft has no method {self.peft_type!r}; it has {', '.join(sorted(known))}."
            )
        return known[self.peft_type]

    def _check(self, file: Path) -> None:
        """Refuse a config that `peft` would not take, before anything is loaded."""
        kind = self._class()
        if self.peft_type == "XLORA":
            raise InvalidSpec(
                f"{file} is of X-LoRA, whose experts are adapters of their own: name them, "
                "`{name: x-lora, parameters: {adapters: [FOLDER, ...]}}`, to train a router anew."
            )
        fields = kind.__dataclass_fields__
        strangers = [name for name in self.settings if name not in fields]
        if strangers:
            raise InvalidSpec(
                f"{file}: peft's {self.peft_type} has no field {', '.join(strangers)}; it has "
                f"{', '.join(name for name in fields if name not in _NOT_SETTINGS)}."
            )
        check_patterns(file, self.settings)
        try:
            kind(task_type="CAUSAL_LM", **self.settings)
        except Exception as error:
            raise InvalidSpec(
                f"{file}: peft refuses this config: {type(error).__name__}: {error}"
            ) from error

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        from peftbench.methods._virtual_tokens import count_positions_from_mask

        adapted = super()._wrap(model, config)
        if config.is_prompt_learning and self.peft_type != "PREFIX_TUNING":
            count_positions_from_mask(adapted)
        return adapted


#: Where a config's text is a regular expression over the names of layers, or its keys are.
_PATTERNS = ("target_modules", "exclude_modules", "feedforward_modules", "layers_pattern")
_BY_PATTERN = ("rank_pattern", "alpha_pattern")
#: An escaped character, or a set of them.
_ONE_CHARACTER = re.compile(r"\\.|\[\^?\]?[^\]]*\]", re.DOTALL)
_REPEATS = 4


def check_patterns(file: Path, settings: Mapping[str, Any]) -> None:
    """Raise `InvalidSpec` for a regular expression that may take years to say no.

    Without a repeated group the time grows with the name's length to the power of the
    repeats, not exponentially.
    """
    found = [settings[name] for name in _PATTERNS if isinstance(settings.get(name), str)]
    for name in _BY_PATTERN:
        found += [*settings[name]] if isinstance(settings.get(name), dict) else []
    for pattern in found:
        plain = _ONE_CHARACTER.sub("x", pattern)
        is_nested = any(f"){sign}" in plain for sign in "*+{")
        if is_nested or sum(map(plain.count, "*+{")) > _REPEATS:
            raise InvalidSpec(
                f"{file}: the pattern {pattern!r:.200} repeats a group, or has more than "
                f"{_REPEATS} repeats (*, + or {{}}): matching it against names of layers may "
                "never end. List the layers by name."
            )


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file; raises `InvalidSpec` where there is none."""
    try:
        raw = json_value(file_text(file))
    except Unreadable as error:
        raise InvalidSpec(f"{file} {error}.") from error
    if not isinstance(raw, dict) or not raw:
        raise InvalidSpec(f"{file} holds no JSON object; it cannot be an adapter's config.")
    return raw
