"""X-LoRA: several LoRA experts, mixed anew for every token and layer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, cast

from peftbench.errors import InvalidSpec, ModelError
from peftbench.methods._finished import FinishedAdapter
from peftbench.methods._from_config import FILE, read_json
from peftbench.methods._linear import LinearMethod
from peftbench.methods._method import Family
from peftbench.methods._settings import check_whole
from peftbench.methods.lora import Lora

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel

    from peftbench.models._shapes import Linear, Shapes

_WEIGHTS = "adapter_model.safetensors"
_ROUTER = "base_model.internal_xlora_classifier"


@dataclass(frozen=True, kw_only=True)
class XLora(LinearMethod):
    """Routed LoRA experts (Buehler and Buehler, 2024, arXiv:2402.07148).

    Computes ``W x + sum_k w_k (alpha / rank) * B_k A_k x`` with W: (d_out, d_in), frozen, and
    A_k: (rank, d_in), B_k: (d_out, rank) of expert k. The weights w of a token and a layer are
    ``softmax(R h + b)``, with h: (hidden,) the last hidden state of the base alone at that
    token, so that every input is read twice, and R: (experts * layers, hidden), random.

    The paper's experts are finished adapters: name their folders in `adapters`, and R and b
    alone are trained; rank, alpha and targets are then the experts' own. With none named,
    num_experts fresh ones (A random, B zero) are trained together with the router. Trains
    ``(hidden + 1) * experts * layers`` parameters, and for fresh experts ``num_experts * rank *
    (d_in + d_out)`` per layer. Texts are written without a KV cache, which `peft` has not for it.
    """

    num_experts: int = 4
    rank: int = 4
    alpha: int = 8
    adapters: tuple[str, ...] = ()
    #: SHA-256 of each expert's files, found when `adapters` are named.
    digests: tuple[str, ...] = ()

    title: ClassVar[str] = "X-LoRA"
    tuner: ClassVar[str] = "XLoraConfig"
    family: ClassVar[Family] = "reparameterised"
    paper: ClassVar[str] = "Buehler and Buehler, 2024, arXiv:2402.07148"
    defaults_from: ClassVar[str] = (
        "one router layer and no temperature: peft; layer by layer: the paper; four experts of "
        "rank 4 are ours"
    )
    identity_at_start: ClassVar[bool] = True  # fresh experts have B at zero
    unsupported: ClassVar[Mapping[str, str]] = {
        "gpt2": "peft looks for the experts' layers under `model.`, where these are not",
        "gpt_neox": "peft looks for the experts' layers under `model.`, where these are not",
        "opt": "its feed-forward layers see tokens without their rows, and weights have rows",
    }
    mergeable: ClassVar[bool] = False  # the mixture depends on the token
    budget_knob: ClassVar[str | None] = "rank"
    depends_on_values: ClassVar[bool] = True  # peft reads the experts from disk
    #: That of `lora`.
    training: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.title, "num_experts", self.num_experts, "try 2 to 8")
        if self.num_experts < 2:
            raise InvalidSpec("X-LoRA mixes experts: it needs num_experts of at least 2.")
        check_whole(self.title, "rank", self.rank, "try 2 to 16")
        check_whole(self.title, "alpha", self.alpha, "once or twice the rank is common")
        if self.adapters or self.digests:
            self._find_experts()

    def layers(self, shapes: Shapes) -> tuple[Linear, ...]:
        """See `LinearMethod.layers`; finished experts have their own."""
        if not self.adapters:
            return super().layers(shapes)
        wanted = read_json(Path(self.adapters[0]) / FILE)["target_modules"]
        pattern = wanted if isinstance(wanted, str) else _ends_with(wanted)
        found = tuple(x for x in shapes.linears if re.fullmatch(pattern, x.name))
        if not found:
            raise InvalidSpec(
                f"X-LoRA: this {shapes.model_type} model has none of the layers of the experts "
                f"in {self.adapters[0]}: they are of another model."
            )
        return found

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        """The router's outputs for a layer and, where they are fresh, its experts."""
        router = (shapes.hidden_size + 1) * self.experts
        return router + (0 if self.adapters else self._expert_parameters(layer))

    def stored_parameters(self, shapes: Shapes) -> int:
        """Finished experts are kept with the router that was made for them."""
        count = self.trainable_parameters(shapes)
        if self.adapters:
            ranks = sum(int(read_json(Path(p) / FILE)["r"]) for p in self.adapters)
            count += ranks * sum(x.d_in + x.d_out for x in self.layers(shapes))
        return count

    @property
    def experts(self) -> int:
        """How many there are."""
        return len(self.adapters) or self.num_experts

    def settings(self, shapes: Shapes) -> dict[str, Any]:
        """See `LinearMethod.settings`."""
        return {
            "hidden_size": shapes.hidden_size,
            "adapters": {str(k): path for k, path in enumerate(self.adapters)},
            "layerwise_scalings": True,
            "use_trainable_adapters": not self.adapters,
        }

    def config(self, model: PreTrainedModel) -> PeftConfig:
        """See `PeftMethod.config`; fresh experts get their folders in `attach`."""
        import peft

        from peftbench.models._shapes import Shapes

        shapes = Shapes.of(model)
        self.layers(shapes)
        return peft.XLoraConfig(task_type="CAUSAL_LM", **self.settings(shapes))

    def attach(self, model: PreTrainedModel) -> nn.Module:
        """See `Method.attach`."""
        config: Any = self.config(model)
        adapted: nn.Module
        if self.adapters:
            adapted = self._wrap(model, config)
        else:
            with self._fresh_experts(model) as folders:
                config.adapters = folders
                adapted = self._wrap(model, config)
        return adapted

    def save(self, adapted: nn.Module, folder: Path) -> None:
        """The router, and every expert in a folder of its own, as `peft` opens them.

        Not by `peft`: it takes an expert's name, a digit, for part of any tensor's name.
        """
        from safetensors.torch import save_file

        model: Any = adapted.base_model
        config: Any = adapted.active_peft_config
        names = list(config.adapters)
        config.adapters = {name: name for name in names}  # no folder of this run
        folder.mkdir(parents=True, exist_ok=True)
        config.save_pretrained(str(folder))
        router = model.internal_xlora_classifier.state_dict()
        save_file({f"{_ROUTER}.{key}": x for key, x in router.items()}, folder / _WEIGHTS)
        for name in names:
            expert = model.lora_model.peft_config[name]
            if isinstance(expert.target_modules, set):
                expert.target_modules = sorted(expert.target_modules)
            expert.save_pretrained(str(folder / name))
            save_file(_expert_weights(model.lora_model, name), folder / name / _WEIGHTS)

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        """See `Method.load`."""
        from peftbench.methods._method import read_adapter

        config, weights = read_adapter(folder, model.device)
        experts: Any = config
        names = list(experts.adapters)
        missing = [name for name in names if not (folder / name).is_dir()]
        if missing:
            raise ModelError(
                f"The adapter in {folder} lacks its experts {', '.join(missing)}."
            )
        experts.adapters = {name: str(folder / name) for name in names}
        # peft marks trained experts as trainable again at every forward pass.
        experts.use_trainable_adapters = False
        adapted: Any = self._wrap(model, config)
        router = {key.removeprefix(f"{_ROUTER}."): x for key, x in weights.items()}
        try:
            adapted.base_model.internal_xlora_classifier.load_state_dict(router)
        except RuntimeError as error:
            self.detach(adapted)
            raise ModelError(
                f"The adapter in {folder} does not fit this base model: its router has another "
                "size. Load it on the model that it was trained on."
            ) from error
        loaded: nn.Module = adapted.requires_grad_(False).eval()
        return loaded

    def _wrap(self, model: PreTrainedModel, config: PeftConfig) -> PeftModel:
        adapted = super()._wrap(model, config)
        router = adapted.base_model.internal_xlora_classifier.layers.float()
        router[0].register_forward_pre_hook(_in_float32)  # whatever the base's precision is
        folders: Mapping[str, str] = cast("Any", config).adapters
        _set_exactly(adapted.base_model.lora_model, folders)
        return adapted

    def _prepare(self, model: PreTrainedModel, config: PeftConfig) -> None:  # noqa: ARG002
        model.config.use_cache = False  # peft insists

    @contextmanager
    def _fresh_experts(self, model: PreTrainedModel) -> Iterator[dict[str, str]]:
        """Folders of LoRA adapters at their start, by name: `peft` takes no others."""
        lora = Lora(rank=self.rank, alpha=self.alpha, target_modules=self.target_modules)
        with TemporaryDirectory() as temporary:
            folders = {str(k): Path(temporary, str(k)) for k in range(self.num_experts)}
            for folder in folders.values():
                adapted = lora.attach(model)
                lora.save(adapted, folder)
                lora.detach(adapted)
            yield {name: str(folder) for name, folder in folders.items()}

    def _expert_parameters(self, layer: Linear) -> int:
        return self.num_experts * self.rank * (layer.d_in + layer.d_out)

    def _find_experts(self) -> None:
        """Check the folders that are named, and take their targets and digests."""
        if len(self.adapters) < 2:
            raise InvalidSpec(
                f"X-LoRA mixes experts: name at least two folders in adapters, got "
                f"{len(self.adapters)}."
            )
        found = [FinishedAdapter.find(path) for path in self.adapters]
        targets = set()
        for path in self.adapters:
            config = read_json(Path(path) / FILE)
            if config.get("peft_type") != "LORA" or config.get("use_dora"):
                raise InvalidSpec(
                    f"X-LoRA mixes LoRA adapters; {path} is "
                    f"{'DoRA' if config.get('use_dora') else config.get('peft_type')}."
                )
            names = config["target_modules"]
            targets.add(tuple(sorted(names)) if isinstance(names, list) else names)
        if len(targets) > 1:
            raise InvalidSpec(
                "X-LoRA needs experts of the same layers; those of its adapters are "
                f"{'; '.join(map(str, sorted(targets)))}."
            )
        digests = tuple(one.files["adapter_model.safetensors"] for one in found)
        if self.digests and tuple(self.digests) != digests:
            raise InvalidSpec("X-LoRA's experts are not those that it was planned with.")
        object.__setattr__(self, "adapters", tuple(self.adapters))
        object.__setattr__(self, "digests", digests)


def _ends_with(names: Sequence[str]) -> str:
    return rf"(.*\.)?({'|'.join(map(re.escape, names))})"


def _expert_weights(model: nn.Module, name: str) -> dict[str, torch.Tensor]:
    """The tensors of one expert, under the names that LoRA's own files have."""
    found = {}
    for key, parameter in model.named_parameters():
        for factor in ("lora_A", "lora_B"):
            if key.endswith(f".{factor}.{name}.weight"):
                layer = key.removesuffix(f".{factor}.{name}.weight")
                found[f"base_model.{layer}.{factor}.weight"] = parameter.detach()
    return found


def _set_exactly(model: nn.Module, folders: Mapping[str, str]) -> None:
    """The experts' numbers as they are in their files: on their way into a base of 16 bits
    `peft` rounds them."""
    from safetensors.torch import load_file

    for name, folder in folders.items():
        weights = load_file(Path(folder) / _WEIGHTS)
        for key, parameter in _expert_weights(model, name).items():
            parameter.copy_(weights[key])


def _in_float32(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[Any, ...]:
    return (inputs[0].float(),)


METHOD = XLora
