"""What a run will need, estimated from shapes alone: no weights, no torch.

Closed forms for planning, not for comparing: what a report shows is measured by
`cost/meter.py`. Activations follow Korthikanti et al., 2022 (arXiv:2205.05198) in
counting what each layer keeps for its backward pass.
"""

from __future__ import annotations

from peftbench.methods import Method
from peftbench.models import Shapes

#: Tensors of the width of the hidden state that a block keeps beside the inputs and
#: outputs of its linear layers: two normalisations and two residual sums.
_HIDDEN_TENSORS_PER_BLOCK = 4


def forward_flops_per_token(shapes: Shapes) -> int:
    """Multiplications and additions of the linear layers; attention over short texts is
    left out, and so is the output layer, which only answers pass."""
    return 2 * sum(linear.d_in * linear.d_out for linear in shapes.linears)


def training_flops_per_token(shapes: Shapes, method: Method) -> int:
    """Forward, backward to the inputs, and gradients of what is trained."""
    through = 2 * forward_flops_per_token(shapes)
    trained = min(method.trainable_parameters(shapes), shapes.parameters)
    return through + 2 * trained


def peak_memory_bytes(
    shapes: Shapes, method: Method, *, tokens: int, weight_bytes: int = 4
) -> int:
    """Weights, adapter with gradients and AdamW's two moments (float32), and the
    activations of `tokens` tokens in one forward and backward pass."""
    weights = shapes.parameters * weight_bytes
    if not method.trains:
        return weights + 4 * tokens * max(shapes.hidden_size, shapes.vocab_size // 8)
    trained = method.trainable_parameters(shapes)
    kept = sum(linear.d_in + linear.d_out for linear in shapes.linears)
    kept += _HIDDEN_TENSORS_PER_BLOCK * shapes.num_layers * shapes.hidden_size
    return weights + 4 * 4 * trained + 4 * tokens * kept
