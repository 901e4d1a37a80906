"""Every native method against its formula."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from formulas import Values, after, check_formula, module
from torch import nn

LAYERS = range(2)
LINEARS = [
    *(f"self_attn.{leaf}_proj" for leaf in "qkvo"),
    *(f"mlp.{leaf}_proj" for leaf in ("gate", "up", "down")),
]


def by_rows(weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """``W x`` one row of W at a time."""
    return torch.stack([(x * row).sum(-1) for row in weight], dim=-1)


def bottleneck(v: Any, x: torch.Tensor, f: Any = torch.relu) -> torch.Tensor:
    inner = f(by_rows(v["adapter.down.weight"], x) + v["adapter.down.bias"])
    return by_rows(v["adapter.up.weight"], inner) + v["adapter.up.bias"]


def sequential(model: Any, values: Values) -> None:
    for i in LAYERS:
        v = values[f"layers.{i}.mlp"]
        after(model, f"layers.{i}.mlp", lambda h, x, v=v: h + bottleneck(v, h))


def double(model: Any, values: Values) -> None:
    for i in LAYERS:
        for place in (f"layers.{i}.mlp", f"layers.{i}.self_attn"):
            v = values[place]
            after(model, place, lambda h, x, v=v: h + bottleneck(v, h, nn.functional.gelu))


def parallel(scale: float) -> Any:
    def install(model: Any, values: Values) -> None:
        for i in LAYERS:
            v = values[f"layers.{i}.mlp"]
            after(model, f"layers.{i}.mlp", lambda h, x, v=v: h + scale * bottleneck(v, x))

    return install


def scale_and_shift(places: list[str]) -> Any:
    def install(model: Any, values: Values) -> None:
        for i in LAYERS:
            for place in places:
                v = values[f"layers.{i}.{place}"]
                after(
                    model,
                    f"layers.{i}.{place}",
                    lambda y, x, v=v: v["scale"] * y + v["shift"],
                )

    return install


def token_shift(model: Any, values: Values) -> None:
    def shifted(h: torch.Tensor, _x: torch.Tensor, v: Any) -> torch.Tensor:
        rows = []
        for token in h.flatten(0, 1):
            amount = (v["amount.weight"][0] * token).sum() + v["amount.bias"][0]
            rows.append(token + amount * v["direction"])
        return torch.stack(rows).reshape(h.shape)

    for i in LAYERS:
        v = values[f"layers.{i}.mlp"]
        after(model, f"layers.{i}.mlp", lambda h, x, v=v: shifted(h, x, v))


def orthonormal(columns: torch.Tensor) -> torch.Tensor:
    """Gram and Schmidt, one column after the other; rows of the result."""
    rows: list[torch.Tensor] = []
    for column in columns.t():
        rest = column
        for row in rows:
            rest = rest - (row * column).sum() * row
        rows.append(rest / rest.square().sum().sqrt())
    return torch.stack(rows)


def low_rank_edit(model: Any, values: Values) -> None:
    def edited(h: torch.Tensor, _x: torch.Tensor, v: Any) -> torch.Tensor:
        r = orthonormal(v["directions"])
        wanted = by_rows(v["source.weight"], h) + v["source.bias"]
        return h + by_rows(r.t(), wanted - by_rows(r, h))

    for i in LAYERS:
        v = values[f"layers.{i}"]
        after(model, f"layers.{i}", lambda h, x, v=v: edited(h, x, v))


def probe(model: Any, values: Values) -> None:
    weight = values["lm_head"]["copies.weight"]
    after(model, "lm_head", lambda y, x: by_rows(weight, x))


def last_block(model: Any, values: Values) -> None:
    """The weights of the last block are exchanged outright."""
    for place, v in values.items():
        assert place.startswith("layers.1.")
        for name, tensor in v.items():
            owner = module(model, place)
            del owner._parameters[name.removeprefix("copies.")]
            setattr(owner, name.removeprefix("copies."), tensor)


def singular(diagonals: int) -> Any:
    """``U (S + M) V^T`` with M written out as a matrix."""

    def install(model: Any, values: Values) -> None:
        for i in LAYERS:
            for leaf in LINEARS:
                place = f"layers.{i}.{leaf}"
                weight = module(model, place).weight
                u, s, v = torch.linalg.svd(weight.detach(), full_matrices=False)
                signs = torch.stack(
                    [column[column.abs().argmax()].sign() for column in u.t()]
                )
                u, v = u * signs, signs[:, None] * v
                m = torch.diag(s)
                for j, offset in enumerate(range(1 - diagonals, diagonals)):
                    m = m + torch.diag(values[place][f"diagonals.{j}"], offset)
                after(model, place, lambda y, x, w=u @ m @ v: by_rows(w, x))

    return install


def beside_and_behind(model: Any, values: Values) -> None:
    for i in LAYERS:
        for leaf in LINEARS:
            v = values[f"layers.{i}.{leaf}"]
            after(
                model,
                f"layers.{i}.{leaf}",
                lambda y, x, v=v: (
                    y
                    + 0.5 * by_rows(v["b"] @ v["a"], x)
                    + 0.5 * by_rows(v["d"] @ v["c"], y)
                ),
            )


def low_rank(scale: float) -> Any:
    def install(model: Any, values: Values) -> None:
        for i in LAYERS:
            for leaf in LINEARS:
                v = values[f"layers.{i}.{leaf}"]
                after(
                    model,
                    f"layers.{i}.{leaf}",
                    lambda y, x, v=v: y + scale * by_rows(v["b"] @ v["a"], x),
                )

    return install


def tensor_train(model: Any, values: Values) -> None:
    """One U for each width out, one V for each width in; the first that needs one has it."""
    left: dict[int, torch.Tensor] = {}
    right: dict[int, torch.Tensor] = {}
    for i in LAYERS:
        for leaf in LINEARS:
            place = f"layers.{i}.{leaf}"
            d_out, d_in = module(model, place).weight.shape
            owned = [v for n, v in values[place].items() if n.startswith("owned")]
            if d_in not in right:
                right[d_in] = owned.pop(0)
            if d_out not in left:
                left[d_out] = owned.pop(0)
            assert not owned
            core = values[place]["core"]
            weight = left[d_out].t() @ core @ right[d_in]
            after(model, place, lambda y, x, w=weight: y + 2.0 * by_rows(w, x))


CASES: list[tuple[str, dict[str, Any], Any]] = [
    ("sequential-bottleneck", {"bottleneck": 5}, sequential),
    ("double-bottleneck", {"bottleneck": 5}, double),
    ("parallel-adapter", {"bottleneck": 5}, parallel(1.0)),
    ("scaled-parallel-adapter", {"bottleneck": 5}, parallel(4.0)),
    ("adaptformer", {"bottleneck": 5}, parallel(0.1)),
    ("ssf", {}, scale_and_shift(LINEARS)),
    ("hadamard", {}, scale_and_shift(["self_attn.o_proj"])),
    ("adapterbias", {}, token_shift),
    ("loreft", {"rank": 3}, low_rank_edit),
    ("linear-probe", {}, probe),
    ("last-layers", {}, last_block),
    ("svft", {}, singular(1)),
    ("svft", {"diagonals": 4}, singular(4)),
    ("hydra", {"rank": 3, "scale": 0.5}, beside_and_behind),
    ("dylora", {"rank": 4, "alpha": 2}, low_rank(0.5)),
    ("fact", {"rank": 3, "scale": 2.0}, tensor_train),
]


@pytest.mark.parametrize(("name", "parameters", "install"), CASES)
def test_logits_and_gradients_are_those_of_the_formula(
    name: str, parameters: dict[str, Any], install: Any
) -> None:
    check_formula(name, parameters, install)
