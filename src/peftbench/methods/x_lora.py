"""X-LoRA: several LoRA experts, mixed anew for every token and layer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from peftbench.errors import InvalidSpec, ModelError
from peftbench.methods._experts import Expert, copy_experts, expert_weights, hollow, route
from peftbench.methods._from_config import FILE, read_json
from peftbench.methods._linear import LinearMethod
from peftbench.methods._method import WEIGHTS, read_adapter
from peftbench.methods._settings import whole
from peftbench.models import Linear, Shapes

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel

_ROUTER = "base_model.internal_xlora_classifier"
#: peft sorts the experts of a saved adapter as text: of eleven, "10" would come before "2".
_MOST = 10


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

    num_experts: int = whole(4, hint="try 2 to 8")
    rank: int = whole(4, hint="try 2 to 16")
    alpha: int = whole(8, hint="once or twice the rank is common")
    #: Folders of finished LoRA adapters. What they hold makes the identity, not where they lie.
    adapters: tuple[str, ...] = ()
    #: SHA-256 of each one's files; found where the folders are.
    digests: tuple[str, ...] = ()

    title = "X-LoRA"
    tuner = "XLoraConfig"
    family = "reparameterised"
    paper = "Buehler and Buehler, 2024, arXiv:2402.07148"
    defaults_from = (
        "one router layer and no temperature: peft; layer by layer: the paper; four experts of "
        "rank 4 are ours"
    )
    identity_at_start = True  # fresh experts have B at zero
    mergeable = False  # the mixture depends on the token
    budget_knob = "rank"
    unsupported = {
        "opt": "its feed-forward layers see tokens without their rows, and weights have rows"
    }
    _found: ClassVar[tuple[Expert, ...]] = ()  # an instance has its own
    #: That of `lora`.
    training = {"learning_rate": 2e-4}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.adapters or self.digests:
            self._take_experts()
        if not 2 <= self.experts <= _MOST:
            raise InvalidSpec(
                f"X-LoRA mixes 2 to {_MOST} experts, got {self.experts}; change "
                f"{'adapters' if self.digests else 'num_experts'}."
            )

    @property
    def experts(self) -> int:
        """How many there are."""
        return len(self.digests) or self.num_experts

    @property
    def location(self) -> str | None:
        """The experts' folders, for a process that has to find them."""
        return os.pathsep.join(self.adapters) or None

    @classmethod
    def rebuilt(cls, parameters: Mapping[str, Any], location: str | None) -> Self:
        folders = tuple(location.split(os.pathsep)) if location else ()
        return cls(**parameters, adapters=folders)

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """The method that `save` wrote there, experts and all; raises `InvalidSpec` where
        they are elsewhere, as `peft` leaves them."""
        names = read_json(folder / FILE).get("adapters", {})
        missing = [name for name in names if not (folder / name / WEIGHTS).is_file()]
        if missing or not names:
            raise InvalidSpec(
                f"{folder} holds X-LoRA's router and not its experts "
                f"{', '.join(missing)}: copy each one's folder into it under that name."
            )
        expert = read_json(folder / next(iter(names)) / FILE)
        targets = expert["target_modules"]
        if not isinstance(targets, str):
            targets = tuple(sorted({name.rpartition(".")[2] for name in targets}))
        return cls(
            num_experts=len(names),
            rank=expert["r"],
            alpha=expert["lora_alpha"],
            target_modules=targets,
        )

    def parameters(self) -> dict[str, Any]:
        """The experts by what they hold."""
        found = super().parameters()
        del found["adapters"]
        return found

    def layers(self, shapes: Shapes) -> tuple[Linear, ...]:
        """Finished experts have their own."""
        if not self.digests:
            return super().layers(shapes)
        first = self._experts_at_hand()[0]
        found = tuple(linear for linear in shapes.linears if linear.name in first.layers)
        strangers = first.layers.keys() - {linear.name for linear in found}
        if strangers:
            raise InvalidSpec(
                f"X-LoRA: this {shapes.model_type} model has no linear layer {min(strangers)}, "
                f"which the expert in {first.folder} adapts: it is of another model."
            )
        return found

    def check(self, shapes: Shapes) -> None:
        """Finished experts have to fit the layers."""
        layers = self.layers(shapes)
        for expert in self._experts_at_hand() if self.digests else ():
            for linear in layers:
                if expert.layers[linear.name] != (linear.d_in, linear.d_out):
                    raise InvalidSpec(
                        f"X-LoRA: the expert in {expert.folder} is of another model: its "
                        f"{linear.name} has {expert.layers[linear.name]} inputs and outputs, this "
                        f"model's has {(linear.d_in, linear.d_out)}."
                    )

    def layer_parameters(self, layer: Linear, shapes: Shapes) -> int:
        """The router's outputs for a layer and, where they are fresh, its experts."""
        router = (shapes.hidden_size + 1) * self.experts
        fresh = self.num_experts * self.rank * (layer.d_in + layer.d_out)
        return router + (0 if self.digests else fresh)

    def stored_parameters(self, shapes: Shapes) -> int:
        """Finished experts are kept with the router that was made for them."""
        count = self.trainable_parameters(shapes)
        if self.digests:
            ranks = sum(expert.rank for expert in self._experts_at_hand())
            count += ranks * sum(x.d_in + x.d_out for x in self.layers(shapes))
        return count

    def peft_fields(self, shapes: Shapes) -> dict[str, Any]:
        return {
            "hidden_size": shapes.hidden_size,
            "layerwise_scalings": True,
            "use_trainable_adapters": not self.digests,
        }

    def config(self, model: PreTrainedModel) -> PeftConfig:
        """Without the experts, which have to be folders."""
        import peft

        shapes = Shapes.of(model)
        self.check(shapes)
        return peft.XLoraConfig(
            task_type="CAUSAL_LM", adapters={}, **self.peft_fields(shapes)
        )

    def attach(self, model: PreTrainedModel) -> nn.Module:
        config = self.config(model)
        found = self._experts_at_hand() if self.digests else ()
        folders = [expert.folder for expert in found]
        experts = [_read_lora(folder) for folder in folders]
        experts = experts or [self._fresh() for _ in range(self.experts)]
        adapted: nn.Module = self._wrap_experts(model, config, experts)
        copy_experts(adapted, folders)
        return adapted

    def save(self, adapted: nn.Module, folder: Path) -> None:
        """The router, and every expert in a folder of its own, as `peft` opens them.

        Not by `peft`: it takes an expert's name, a digit, for part of any tensor's name.
        """
        from safetensors.torch import save_file

        model: Any = adapted.base_model
        config: Any = adapted.active_peft_config
        folder.mkdir(parents=True, exist_ok=True)
        config.save_pretrained(str(folder))
        router = model.internal_xlora_classifier.state_dict()
        save_file({f"{_ROUTER}.{key}": x for key, x in router.items()}, folder / WEIGHTS)
        for name in config.adapters:
            expert = model.lora_model.peft_config[name]
            if isinstance(expert.target_modules, set):
                expert.target_modules = sorted(expert.target_modules)
            expert.save_pretrained(str(folder / name))
            save_file(expert_weights(adapted, name), folder / name / WEIGHTS)

    def load(self, model: PreTrainedModel, folder: Path) -> nn.Module:
        config, weights = read_adapter(folder, model.device)
        folders = [folder / name for name in sorted(cast("Any", config).adapters, key=int)]
        missing = [path.name for path in folders if not (path / WEIGHTS).is_file()]
        if missing:
            raise ModelError(
                f"The adapter in {folder} lacks its experts {', '.join(missing)}."
            )
        adapted: Any = self._wrap_experts(model, config, [_read_lora(x) for x in folders])
        router = {key.removeprefix(f"{_ROUTER}."): x for key, x in weights.items()}
        try:
            copy_experts(adapted, folders)
            adapted.base_model.internal_xlora_classifier.load_state_dict(router)
        except (KeyError, RuntimeError) as error:
            self.detach(adapted)
            raise ModelError(
                f"The adapter in {folder} does not fit this base model: its tensors have other "
                "names or shapes. Load it on the model that it was trained on."
            ) from error
        loaded: nn.Module = adapted.requires_grad_(False).eval()
        return loaded

    def _wrap_experts(
        self, model: PreTrainedModel, config: Any, experts: list[PeftConfig]
    ) -> PeftModel:
        """`model` with a router and LoRA layers at their start. `peft` takes experts as
        folders alone; theirs hold no weights, for those it would round to the base's
        precision, and look for under `model.` where not every model has them."""
        with TemporaryDirectory() as temporary:
            folders = {str(k): str(Path(temporary, str(k))) for k in range(len(experts))}
            for expert, path in zip(experts, folders.values(), strict=True):
                hollow(expert, Path(path))
            config.adapters = folders
            adapted = self._wrap(model, config)
        kept: Any = adapted.active_peft_config
        kept.adapters = {name: name for name in folders}  # no folder of this run
        route(adapted)
        return adapted

    def _prepare(self, model: PreTrainedModel, config: PeftConfig) -> None:
        model.config.use_cache = False  # peft insists

    def _fresh(self) -> PeftConfig:
        import peft

        names = self.target_modules
        return peft.LoraConfig(
            task_type="CAUSAL_LM",
            r=self.rank,
            lora_alpha=self.alpha,
            target_modules=names if isinstance(names, str) else list(names),
        )

    def _experts_at_hand(self) -> tuple[Expert, ...]:
        if not self._found:
            raise ModelError(
                "The folders of X-LoRA's experts are not named here; run the spec that names "
                "them where they are."
            )
        return self._found

    def _take_experts(self) -> None:
        """Read the experts in the folders, and hold them to what was planned."""
        named: Any = self.adapters
        folders = tuple(named.values() if isinstance(named, Mapping) else named)
        found = tuple(Expert.find(folder) for folder in folders)
        digests = tuple(expert.digest for expert in found)
        if found and self.digests and tuple(self.digests) != digests:
            raise InvalidSpec(
                "X-LoRA's experts are not those that were planned: their files were changed."
            )
        for expert in found[1:]:
            if expert.layers.keys() != found[0].layers.keys():
                raise InvalidSpec(
                    "X-LoRA needs experts of the same layers; "
                    f"{expert.folder} and {found[0].folder} adapt different ones."
                )
        object.__setattr__(self, "adapters", tuple(str(e.folder) for e in found))
        object.__setattr__(self, "digests", digests or tuple(self.digests))
        object.__setattr__(self, "_found", found)
        # Of their own, not of a size that could be chosen, and no identity.
        object.__setattr__(self, "identity_at_start", False)
        object.__setattr__(self, "budget_knob", None)


def _read_lora(folder: Path) -> PeftConfig:
    import peft

    config = peft.LoraConfig.from_pretrained(str(folder))
    return cast("PeftConfig", config)


METHOD = XLora
