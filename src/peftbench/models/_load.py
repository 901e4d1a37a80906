"""Loading a base model once, to stay resident while many adapters come and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch

from peftbench.errors import ModelError
from peftbench.models._shapes import Shapes
from peftbench.models._source import ModelSource
from peftbench.models._tokenizer import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

#: Precisions of weights, by their names in a spec.
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass
class BaseModel:
    """A frozen base model in memory, with its tokenizer."""

    source: ModelSource
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    shapes: Shapes
    fingerprint: float

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.model.device
        return device

    @property
    def max_positions(self) -> int | None:
        """Longest input in tokens that the model was built for, if it says so."""
        found = getattr(self.model.config, "max_position_embeddings", None)
        return cast("int | None", found)

    def is_intact(self) -> bool:
        """Whether every weight is as it was when loaded."""
        return fingerprint(self.model) == self.fingerprint


def default_device() -> torch.device:
    """The first accelerator, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load(source: ModelSource, dtype: str = "auto") -> BaseModel:
    """Load model and tokenizer, frozen and in evaluation mode.

    Reads safetensors only and never runs code that comes with a model. Raises
    `ModelError` where that is not enough.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()  # our own progress and errors are enough
    logging.disable_progress_bar()
    device = default_device()
    if dtype == "auto" and device.type == "cpu":
        dtype = "float32"
    tokenizer = load_tokenizer(source)
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            source.location,
            dtype=DTYPES.get(dtype, "auto"),
            use_safetensors=True,
            output_loading_info=True,
            revision=source.revision,
            trust_remote_code=False,
        )
    except Exception as error:
        raise ModelError(
            f"{source.name} does not load as a causal language model from safetensors: "
            f"{error}"
        ) from error
    if missing := sorted(found["missing_keys"]):
        # transformers would fill them with random numbers.
        raise ModelError(
            f"The weights of {source.name} lack {len(missing)} of the model's tensors, such "
            f"as {missing[0]}; is a file missing, or is it an adapter?"
        )
    model.name_or_path = model.config._name_or_path = source.written_name
    model = model.to(device).eval().requires_grad_(False)
    rows = model.get_input_embeddings().num_embeddings
    if tokenizer.pad_token_id >= rows:  # padding is never attended to: any token will do
        tokenizer.pad_token_id = tokenizer.eos_token_id or 0
    _check_tokens(source, tokenizer, rows)
    _check_causal(source, model)
    _forget_decoding(model)
    return BaseModel(source, model, tokenizer, Shapes.of(model), fingerprint(model))


def _check_tokens(
    source: ModelSource, tokenizer: PreTrainedTokenizerBase, rows: int
) -> None:
    """Raises `ModelError` where a token that every prompt may have has no embedding."""
    for name, token in (
        ("end", tokenizer.eos_token_id),
        ("beginning", tokenizer.bos_token_id),
    ):
        if token is not None and token >= rows:
            raise ModelError(
                f"The token of the {name} in the tokenizer of {source.name} is number {token}, "
                f"and the model has embeddings of {rows} tokens: they do not belong together."
            )


@torch.no_grad()
def _check_causal(source: ModelSource, model: PreTrainedModel) -> None:
    """Raises `ModelError` where what stands later changes what the model says before it: such a
    model sees the answers that it is trained on."""
    ids = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 5]], device=model.device)
    logits = model(input_ids=ids, use_cache=False).logits[:, :3].float()
    difference = float((logits[0] - logits[1]).abs().max())
    if difference > 1e-2 * float(logits.abs().max()):
        raise ModelError(
            f"{source.name} is no causal language model: its logits change with tokens that "
            "come later. Encoders cannot be benchmarked here; choose a model that writes text."
        )


def _forget_decoding(model: PreTrainedModel) -> None:
    """Leave of the model's own `generation_config.json` its end tokens alone.

    `generate` fills in from there whatever it is not told: penalties, minimal lengths,
    suppressed tokens. The same prompt would be scored by other rules on every model.
    """
    from transformers import GenerationConfig

    if model.can_generate():
        ends = model.generation_config.eos_token_id
        model.generation_config = GenerationConfig(eos_token_id=ends)


@torch.no_grad()
def fingerprint(model: torch.nn.Module) -> float:
    """A number that almost surely changes with any weight or any parameter's name."""
    total = 0.0
    for index, (name, tensor) in enumerate(sorted(model.state_dict().items())):
        weight = 1.0 + index / 7.0 + (sum(name.encode()) % 97) / 97.0
        total += weight * float(tensor.double().abs().sum() + tensor.double().sum() / 3.0)
    return total
