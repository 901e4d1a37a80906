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


def kronecker(v: Any, side: str, rules: torch.Tensor) -> torch.Tensor:
    """The sum of Kronecker products, by torch.kron."""
    s, t = v[f"adapter.{side}.s"], v[f"adapter.{side}.t"]
    products = [torch.kron(a, torch.outer(s[i], t[i])) for i, a in enumerate(rules)]
    return torch.stack(products).sum(0)


def hypercomplex(model: Any, values: Values) -> None:
    (rules,) = (
        tensor
        for v in values.values()
        for n, tensor in v.items()
        if n.endswith("owned.values")
    )

    def change(h: torch.Tensor, _x: torch.Tensor, v: Any) -> torch.Tensor:
        down = kronecker(v, "down", rules)
        inner = nn.functional.gelu(by_rows(down, h) + v["adapter.down.bias"])
        up = kronecker(v, "up", rules)
        return h + by_rows(up, inner) + v["adapter.up.bias"]

    for i in LAYERS:
        for place in (f"layers.{i}.mlp", f"layers.{i}.self_attn"):
            after(model, place, lambda h, x, v=values[place]: change(h, x, v))


def rotated(x: torch.Tensor, position: int) -> torch.Tensor:
    """Rotary embedding of one head's vector, theta 10,000, halves apart."""
    half = x.shape[0] // 2
    angles = position / 10_000 ** (torch.arange(half, dtype=torch.float64) / half)
    first, second = x[:half], x[half:]
    return torch.cat(
        [
            first * angles.cos() - second * angles.sin(),
            second * angles.cos() + first * angles.sin(),
        ]
    )


def attention_with_prefix(attention: Any, v: Any) -> Any:
    """One query after the other: softmax over the prefix and all tokens up to it."""

    def forward(hidden_states: torch.Tensor, **_: Any) -> Any:
        q, k, value = (
            getattr(attention, f"{leaf}_proj")(hidden_states) for leaf in ("q", "k", "v")
        )
        rows = []
        for row in range(hidden_states.shape[0]):
            tokens = []
            for i in range(hidden_states.shape[1]):
                gate = torch.zeros(())
                if "gate.weight" in v:
                    x = hidden_states[row, i]
                    opened = (v["gate.weight"][0] * x).sum() + v["gate.bias"][0]
                    gate = torch.log(1 / (1 + torch.exp(-opened)))
                heads = []
                for head in range(4):
                    shared = head // 2  # two heads to one of keys and values
                    mine, theirs = (
                        slice(8 * head, 8 * head + 8),
                        slice(8 * shared, 8 * shared + 8),
                    )
                    query = rotated(q[row, i, mine], i)
                    keys = [
                        *v["keys"][shared],
                        *(rotated(k[row, j, theirs], j) for j in range(i + 1)),
                    ]
                    seen = [
                        *v["values"][shared],
                        *(value[row, j, theirs] for j in range(i + 1)),
                    ]
                    scores = torch.stack([(query * key).sum() / 8**0.5 for key in keys])
                    added = gate * (torch.arange(len(keys)) < len(v["keys"][shared]))
                    weights = torch.softmax(scores + added, 0)
                    heads.append((weights[:, None] * torch.stack(seen)).sum(0))
                tokens.append(torch.cat(heads))
            rows.append(torch.stack(tokens))
        return attention.o_proj(torch.stack(rows)), None

    return forward


def mix_and_match(model: Any, values: Values) -> None:
    for i in LAYERS:
        attention: Any = module(model, f"layers.{i}.self_attn")
        attention.forward = attention_with_prefix(
            attention, values[f"layers.{i}.self_attn"]
        )
        v = values[f"layers.{i}.mlp"]
        after(model, f"layers.{i}.mlp", lambda h, x, v=v: h + 4.0 * bottleneck(v, x))


def gate_of(v: Any, z: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(by_rows(v["gate.weight"], z) + v["gate.bias"])


def three_behind_gates(model: Any, values: Values) -> None:
    for i in LAYERS:
        attention: Any = module(model, f"layers.{i}.self_attn")
        attention.forward = attention_with_prefix(
            attention, values[f"layers.{i}.self_attn"]
        )
        for leaf in "qv":
            v = values[f"layers.{i}.self_attn.{leaf}_proj"]
            after(
                model,
                f"layers.{i}.self_attn.{leaf}_proj",
                lambda y, x, v=v: (
                    y + gate_of(v, x) * 2.0 * by_rows(v["branch.b"] @ v["branch.a"], x)
                ),
            )
        v = values[f"layers.{i}.mlp"]
        inside = {n.removeprefix("branch."): tensor for n, tensor in v.items()}
        after(
            model,
            f"layers.{i}.mlp",
            lambda h, x, v=v, inside=inside: h + gate_of(v, h) * bottleneck(inside, h),
        )


def layer_norm(v: Any, name: str, x: torch.Tensor) -> torch.Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * v[f"{name}.weight"] + v[f"{name}.bias"]


def side_block(v: Any, s: torch.Tensor) -> torch.Tensor:
    """Width 8 in 4 heads, one query after the other."""
    qkv = by_rows(v["block.qkv.weight"], layer_norm(v, "block.attention_norm", s))
    out = torch.zeros_like(s)
    for row in range(s.shape[0]):
        for i in range(s.shape[1]):
            heads = []
            for head in range(4):
                at = 2 * head
                query = qkv[row, i, at : at + 2]
                keys = qkv[row, : i + 1, 8 + at : 10 + at]
                seen = qkv[row, : i + 1, 16 + at : 18 + at]
                weights = torch.softmax((keys * query).sum(-1) / 2**0.5, 0)
                heads.append((weights[:, None] * seen).sum(0))
            one = torch.zeros_like(out)
            one[row, i] = 1
            out = out + one * torch.cat(heads)
    s = s + by_rows(v["block.out.weight"], out)
    inner = by_rows(v["block.inner.weight"], layer_norm(v, "block.feed_forward_norm", s))
    return s + by_rows(v["block.outer.weight"], nn.functional.gelu(inner))


def ladder(model: Any, values: Values) -> None:
    state: dict[str, torch.Tensor] = {}

    def climb(h: torch.Tensor, x: torch.Tensor, v: Any) -> torch.Tensor:
        if "down_input.weight" in v:
            state["s"] = by_rows(v["down_input.weight"], x)
        share = 1 / (1 + torch.exp(-v["alpha"] / 0.1))
        mixed = share * by_rows(v["down.weight"], h) + (1 - share) * state["s"]
        state["s"] = side_block(v, mixed)
        return h

    for i in LAYERS:
        after(model, f"layers.{i}", lambda h, x, v=values[f"layers.{i}"]: climb(h, x, v))
    top = values["norm"]
    after(
        model,
        "norm",
        lambda h, x: h + by_rows(top["up.weight"], layer_norm(top, "norm", state["s"])),
    )


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
    ("compacter", {"bottleneck": 8}, hypercomplex),
    ("mam", {"prefix_tokens": 3, "bottleneck": 5}, mix_and_match),
    ("unipelt", {"prefix_tokens": 3, "bottleneck": 5, "rank": 4}, three_behind_gates),
    ("lst", {"side_width": 8}, ladder),
]


@pytest.mark.parametrize(("name", "parameters", "install"), CASES)
def test_logits_and_gradients_are_those_of_the_formula(
    name: str, parameters: dict[str, Any], install: Any
) -> None:
    check_formula(name, parameters, install)
