"""What a run will need, estimated from shapes alone: no weights, no torch, at once.

Closed forms for planning, not for comparing: `predict.py` runs the very step without data
and is exact, in seconds. Activations follow Korthikanti et al., 2022 (arXiv:2205.05198) in
counting what each layer keeps for its backward pass; the shares were fitted to what
`predict.py` says of Llama, Qwen, Phi, OLMo and the embedded model, and hold within a third
of it (`tests/cost/test_closed_form.py`).
"""

from __future__ import annotations

from peftbench.methods import Method
from peftbench.models import Shapes
from peftbench.spec.benchmark import Precision

#: Of the inputs and outputs of a block's linear layers, what is kept with frozen weights.
_KEPT_OF_LINEARS = 0.8
#: Logits are there three times in float32: as log-probabilities, the gradient of these, and
#: their own gradient. Gemma 2 caps them, which is one more.
_BYTES_PER_LOGIT = 12
_BYTES_PER_CAPPED_LOGIT = 16
#: Families whose layers stand beside linear ones, and keep those layers' inputs too.
_BESIDE_LINEARS = ("adapter", "reparameterised", "hybrid")
#: Of the widths of those inputs, how many are kept once more: query, key and value share
#: one in float32; under 16-bit weights or arithmetic each is cast on its own.
_SHARED_INPUTS = 0.57


def forward_flops_per_token(shapes: Shapes) -> int:
    """Multiplications and additions of the linear layers; attention over short texts is
    left out, and so is the output layer, which only answers pass."""
    return 2 * sum(linear.d_in * linear.d_out for linear in shapes.linears)


def training_flops_per_token(
    shapes: Shapes, method: Method, *, gradient_checkpointing: bool = False
) -> int:
    """Forward, backward to the inputs, and gradients of what is trained; with
    checkpointing the forward pass once more."""
    passes = 3 if gradient_checkpointing else 2
    through = passes * forward_flops_per_token(shapes)
    trained = min(method.trainable_parameters(shapes), shapes.parameters)
    return through + 2 * trained


def peak_memory_bytes(
    shapes: Shapes,
    method: Method,
    *,
    batch: int,
    length: int,
    answer_length: int | None = None,
    weight_bytes: int = 4,
    gradient_checkpointing: bool = False,
    precision: Precision = "float32",
) -> int:
    """Peak of a training step on `batch` rows of `length` tokens, the loss on the last
    `answer_length` of each (None: on all): weights, what is trained in float32 with its
    gradient and AdamW's two moments, and activations. Of a forward pass where nothing is
    trained. Within a third of what `predict.py` says."""
    weights = method.base_bytes(shapes, weight_bytes)
    answers = batch * (length if answer_length is None else min(length, answer_length))
    if not method.trains:
        width = max(6 * shapes.hidden_size, 3 * _widest(shapes))
        return weights + weight_bytes * (
            batch * length * width + answers * shapes.vocab_size
        )
    trained = min(method.trainable_parameters(shapes), shapes.parameters)
    in_place = trained if trained == shapes.parameters else 0
    activations = _activations(
        shapes,
        method,
        tokens=batch * (length + int(getattr(method, "num_virtual_tokens", 0))),
        answers=answers,
        weight_bytes=4 if in_place else weight_bytes,
        gradient_checkpointing=gradient_checkpointing,
        precision=precision,
    )
    # Gradients appear as activations go: the larger of both is there at the peak. AdamW adds
    # two temporaries of the largest tensor, with everything trained the embedding.
    kept = weights - weight_bytes * in_place + 3 * 4 * trained
    temporaries = 2 * 4 * shapes.hidden_size * shapes.vocab_size if in_place else 0
    return kept + max(4 * trained + temporaries, activations)


def _widest(shapes: Shapes) -> int:
    return max((linear.d_out for linear in shapes.linears), default=shapes.hidden_size)


def _activations(
    shapes: Shapes,
    method: Method,
    *,
    tokens: int,
    answers: int,
    weight_bytes: int,
    gradient_checkpointing: bool,
    precision: Precision,
) -> int:
    layers = max(1, shapes.num_layers)
    kept_bytes = 2 if precision == "bfloat16" else weight_bytes
    blocks = _KEPT_OF_LINEARS * kept_bytes * sum(x.d_in + x.d_out for x in shapes.linears)
    if method.family in _BESIDE_LINEARS:
        is_shared = precision == "float32" and weight_bytes == 4
        inputs = sum(linear.d_in for linear in shapes.linears)
        blocks += (
            (2 if precision == "bfloat16" else 4)
            * inputs
            * (_SHARED_INPUTS if is_shared else 1.0)
        )
    blocks *= tokens
    is_capped = shapes.model_type == "gemma2"
    head = answers * (_BYTES_PER_CAPPED_LOGIT if is_capped else _BYTES_PER_LOGIT)
    head *= shapes.vocab_size
    if weight_bytes > kept_bytes:  # every product keeps its weight, cast, for the way back
        weights = 2 * sum(linear.d_in * linear.d_out for linear in shapes.linears)
        in_4_bits = shapes.parameters * weight_bytes - method.base_bytes(
            shapes, weight_bytes
        )
        blocks += max(0, weights - in_4_bits)
        head += 2 * shapes.hidden_size * shapes.vocab_size
    if gradient_checkpointing:
        inputs = tokens * weight_bytes * shapes.num_layers * shapes.hidden_size
        one_block = 1.2 * blocks / layers  # and some of its gradients
        return int(inputs + max(head, one_block))
    return int(blocks + head)
