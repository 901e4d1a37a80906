"""Running a model that has shapes and no numbers, as if it were on a named device.

On PyTorch's meta device every operator says what it would return, and computes nothing.
A few things need a hand there, and get it for as long as the context lasts:

- attention: which kernel runs, and what it keeps for the backward pass, depends on the
  device. On a CPU it is the flash kernel; on CUDA the flash kernel for 16-bit numbers,
  the memory-efficient one for float32, and plain products where that one cannot group
  its heads.
- whether rows are packed: transformers looks at the numbers. Those of the meter are not.
- the optimiser: on CUDA it updates all tensors at once, with temporaries for all.
- lower precision: autocast looks at a tensor's device. Where the CPU's is on, the arguments
  of products are cast here.
- singular vectors: their order in memory decides whether a part of them is a copy.
- permutations: of the entries of a large weight they take seconds, and any order will do.
- parameters of distributions: whether they are in range is a question about numbers.
- samples of a gamma distribution: before torch 2.13 they have no shape, and any will do.
- data: before torch 2.13 a parameter that was made on the CPU takes none without numbers.
- files: a tensor is written as its header and a hole of its size, and read as a shape.
- single numbers that a method asks for, where it says that zeros will do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from peftbench.cost import holes
from peftbench.models._device import Device

#: Packages that keep safetensors' functions under names of their own.
_READ_FILES = ("safetensors", "peft", "peftbench", "transformers")
#: Widest head that CUDA's flash kernel takes.
_WIDEST_FLASH_HEAD = 256


@contextmanager
def without_data(device: Device, *, zeros: bool = False) -> Iterator[None]:
    """Inside, models on the meta device allocate what they would on `device`.

    Asked for a number, they raise; with `zeros` they say 0, and that no entry is zero.
    """
    from torch.fx.experimental import _config
    from torch.optim import optimizer
    from transformers import masking_utils

    with ExitStack() as stack:
        if zeros:
            stack.enter_context(_Zeros())  # type: ignore[no-untyped-call]
            stack.enter_context(
                patch.object(_config, "meta_nonzero_assume_all_nonzero", new=True)
            )
        stack.enter_context(_Data())
        autocast = stack.enter_context(_Autocast())
        for owner, name, stand_in in (
            (torch, "clear_autocast_cache", autocast.cached.clear),
            (torch.autograd, "_engine_run_backward", autocast.in_backward),
            (
                torch.nn.functional,
                "scaled_dot_product_attention",
                partial(autocast.product, _KERNELS[device]),
            ),
            (masking_utils, "find_packed_sequence_indices", lambda _ids: None),
            (
                optimizer,
                "_get_foreach_kernels_supported_devices",
                lambda: ["meta"] if device == "cuda" else [],
            ),
            (torch.Tensor, "cpu", _stay(torch.Tensor.cpu)),
            (torch.linalg, "svd", _svd(torch.linalg.svd)),
            (torch, "randperm", _in_order),
            (torch, "_standard_gamma", torch.clone),
            (torch.distributions.Distribution, "_validate_args", False),
        ):
            stack.enter_context(patch.object(owner, name, stand_in))
        stack.enter_context(_holes_for_files())
        yield


class _Zeros(TorchDispatchMode):
    """A number of a tensor without numbers is 0, and any two such tensors are equal."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """See `TorchDispatchMode`."""
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return torch.zeros((), dtype=args[0].dtype).item()
        if func is torch.ops.aten.equal.default and args[0].is_meta:
            return args[0].shape == args[1].shape
        return func(*args, **(kwargs or {}))


class _Data(TorchFunctionMode):
    """Data without numbers given to a parameter on the CPU: torch before 2.13 refuses it."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """See `TorchFunctionMode`."""
        try:
            return func(*args, **(kwargs or {}))
        except RuntimeError:
            given = torch.Tensor.data.__set__  # type: ignore[attr-defined]  # a descriptor
            if func != given or not args[1].is_meta:
                raise
            return func(args[0], torch.zeros_like(args[1], device=args[0].device))


class _Autocast(TorchFunctionMode):
    """Casts as autocast does: the arguments of products, those that are trained once. What
    CUDA's casts up to float32 besides is float32 already under weights in float32."""

    _PRODUCTS = (
        *("linear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "addmm", "baddbmm"),
        *("addbmm", "einsum", "conv1d", "conv2d"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.cached: dict[int, torch.Tensor] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """See `TorchFunctionMode`."""
        if getattr(func, "__name__", "") in self._PRODUCTS:
            return self.product(func, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def product(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """`func` of its arguments as they are cast, where autocast is on."""
        if torch.is_autocast_enabled("cpu"):
            args, kwargs = tree_map_only(torch.Tensor, self._cast, (args, kwargs))
        return func(*args, **kwargs)

    def in_backward(self, *args: Any, **kwargs: Any) -> Any:
        """Blocks may be computed again there, and PyTorch puts its modes aside for it."""
        with self:
            return torch.autograd.graph._engine_run_backward(*args, **kwargs)

    def _cast(self, tensor: torch.Tensor) -> torch.Tensor:
        if not (tensor.is_meta and tensor.is_floating_point()):
            return tensor
        lower = torch.get_autocast_dtype("cpu")
        if not (tensor.is_leaf and tensor.requires_grad):
            return tensor.to(lower)
        if id(tensor) not in self.cached:
            self.cached[id(tensor)] = tensor.to(lower)
        return self.cached[id(tensor)]


def _on_cpu(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    if dropout_p > 0.0 or (attn_mask is not None and attn_mask.requires_grad):
        return _in_products(
            query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa
        )
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    mask = _additive(attn_mask, query)
    output: torch.Tensor = kernel(
        query, key, value, dropout_p, is_causal, attn_mask=mask, scale=scale
    )[0]
    return output


def _on_cuda(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    output: torch.Tensor
    is_short = query.dtype in (torch.float16, torch.bfloat16)
    if is_short and attn_mask is None and query.shape[-1] <= _WIDEST_FLASH_HEAD:
        flash = torch.ops.aten._scaled_dot_product_flash_attention
        output = flash(query, key, value, dropout_p, is_causal, False, scale=scale)[0]
    elif enable_gqa and query.shape[-3] != key.shape[-3]:
        output = _in_products(
            query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa
        )
    else:
        efficient = torch.ops.aten._scaled_dot_product_efficient_attention
        mask = _additive(attn_mask, query)
        keep = torch.is_grad_enabled() and (query.requires_grad or key.requires_grad)
        output = efficient(
            query, key, value, mask, keep, dropout_p, is_causal, scale=scale
        )[0]
    return output


_KERNELS: dict[Device, Callable[..., torch.Tensor]] = {"cpu": _on_cpu, "cuda": _on_cuda}


def _in_products(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None,
    dropout_p: float,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
) -> torch.Tensor:
    """Scores, softmax and values one after the other: what runs where no kernel fits."""
    plain = torch.ops.aten._scaled_dot_product_attention_math
    mask = _additive(attn_mask, query)
    output: torch.Tensor = plain(
        query, key, value, mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
    )[0]
    return output


def _additive(mask: torch.Tensor | None, query: torch.Tensor) -> torch.Tensor | None:
    """A boolean mask as the numbers that are added to the scores."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.where(
        mask,
        torch.scalar_tensor(0.0, dtype=query.dtype, device=query.device),
        torch.scalar_tensor(-torch.inf, dtype=query.dtype, device=query.device),
    )


def _stay(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """`function`, which moves a tensor, but for those that are nowhere."""

    def move(tensor: torch.Tensor, *arguments: Any, **keywords: Any) -> torch.Tensor:
        return tensor if tensor.is_meta else function(tensor, *arguments, **keywords)

    return move


def _svd(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose result lies column by column, as the true kernels leave it."""

    def decompose(matrix: torch.Tensor, *arguments: Any, **keywords: Any) -> Any:
        u, s, vh = function(matrix, *arguments, **keywords)
        return (u, s, vh.mT.contiguous().mT) if matrix.is_meta else (u, s, vh)

    return decompose


def _in_order(n: int, *, generator: Any = None, **keywords: Any) -> torch.Tensor:  # noqa: ARG001
    """As `torch.randperm`, the numbers from 0 to ``n - 1`` as they come."""
    return torch.arange(n, **keywords)


@contextmanager
def _holes_for_files() -> Iterator[None]:
    """Wherever safetensors' functions are known by a name, those of `holes` for them; also
    in modules that are imported meanwhile, which have them back afterwards."""
    from safetensors import torch as safetensors

    stand_ins = {
        safetensors.save_file: holes.save_file,
        safetensors.load_file: holes.load_file,
    }
    _exchange(stand_ins)
    try:
        yield
    finally:
        _exchange({stand_in: function for function, stand_in in stand_ins.items()})


def _exchange(functions: Mapping[Any, Any]) -> None:
    by_id = {id(old): new for old, new in functions.items()}
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").partition(".")[0] not in _READ_FILES:
            continue
        for name, value in list(vars(module).items()):
            if id(value) in by_id and module is not holes:
                setattr(module, name, by_id[id(value)])
