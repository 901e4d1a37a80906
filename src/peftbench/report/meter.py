"""What the meter read or predicted, in three tables: size, memory, time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from peftbench.cost.costs import Cost, Seconds
from peftbench.report import numbers
from peftbench.report.table import Cell, Column, Row, Table, counted, empty

NOT_MEASURED = "not measured"

#: A method's label, and its cost where there is one.
Named = tuple[str, Cost | None]


def meter_tables(rows: Sequence[Named], name: str, where: str) -> tuple[Table, ...]:
    """Size and FLOPs, memory, and time where any was measured. `name` ends the tables'
    names, `where` their titles; methods come in the order given."""
    costs = [cost for _, cost in rows if cost]
    tables = [_sizes(rows, name, where), _memory(rows, name, where)]
    if any(cost.basis == "measured" for cost in costs):
        tables.append(_times(rows, name, where))
    return tuple(tables)


def caption(costs: Sequence[Cost]) -> str:
    """On what, with which inputs, and how the costs came about."""
    probes = dict.fromkeys(
        f"{'Measured' if cost.basis == 'measured' else 'Predicted'} on {cost.device} "
        f"({cost.dtype} weights): a forward pass over "
        f"{counted(cost.probe.inference_batch, 'input')} of "
        f"{counted(cost.probe.inference_length, 'token')}, training steps on "
        f"{counted(cost.probe.training_batch, 'input')} of "
        f"{counted(cost.probe.training_length, 'token')}"
        + (" in bfloat16" if cost.probe.precision == "bfloat16" else "")
        + (
            f", {counted(cost.probe.repeats, 'repeat')}."
            if cost.basis == "measured"
            else "."
        )
        for cost in [cost for cost in costs if cost.trainable_parameters] or costs
    )
    if not probes:
        return "No cost was measured."
    return " ".join(
        [
            *probes,
            "One method at a time: no time or memory comes from the runs that gave the "
            "scores, which share the machine. FLOPs: a multiplication and an addition are "
            "two; training is forward and backward. Prefixes are decimal (1 MB is 1,000,000 "
            "bytes).",
        ]
    )


def _sizes(rows: Sequence[Named], name: str, where: str) -> Table:
    titles = (
        ("Trainable", "parameters"),
        ("Share", "of the base"),
        ("Head", "of the trainable"),
        ("Stored", "on disk"),
        ("To serve", "beside the base"),
        ("Forward", "per token"),
        ("Extra", "one input"),
        ("Training", "per token"),
    )

    def cells(cost: Cost) -> tuple[Cell, ...]:
        share = cost.trainable_parameters / cost.base_parameters
        return (
            _count(cost.trainable_parameters),
            Cell(
                text=numbers.share(cost.trainable_parameters, cost.base_parameters),
                value=share,
            ),
            _count(cost.head_parameters),
            _si(cost.stored_bytes, "B"),
            _si(cost.serve_bytes, "B"),
            _si(cost.forward_flops_per_token, "FLOPs"),
            _si(cost.extra_forward_flops, "FLOPs"),
            _si(cost.training_flops_per_token, "FLOPs"),
        )

    return Table(
        name=f"costs{name}",
        title=f"Size and FLOPs{where}",
        caption=caption([cost for _, cost in rows if cost]),
        columns=_columns(titles),
        rows=_rows(rows, cells, len(titles)),
    )


def _memory(rows: Sequence[Named], name: str, where: str) -> Table:
    has_allocator = any(cost and cost.peak_memory.allocated for _, cost in rows)
    titles = [
        ("Peak", "training"),
        ("Weights", "of the peak"),
        ("Adapter", "of the peak"),
        ("Gradients", "of the peak"),
        ("Optimizer", "of the peak"),
        ("Activations", "of the peak"),
    ]
    if has_allocator:
        titles += [("Allocated", "by CUDA"), ("Reserved", "by CUDA")]

    def cells(cost: Cost) -> tuple[Cell, ...]:
        memory = cost.peak_memory
        parts = [
            memory.total,
            memory.weights,
            memory.adapter,
            memory.gradients,
            memory.optimizer,
            memory.activations,
        ]
        found = [_si(size, "B") for size in parts]
        if has_allocator:
            found += [_si(memory.allocated, "B"), _si(memory.reserved, "B")]
        return tuple(found)

    return Table(
        name=f"memory{name}",
        title=f"Memory of a training step{where}",
        caption="Bytes of live tensors at the peak of a step, by what they hold. "
        "Activations are the rest: what is kept for the backward pass, and temporaries. A "
        "device needs somewhat more: for its kernels, and for what its allocator keeps.",
        columns=_columns(titles),
        rows=_rows(rows, cells, len(titles)),
    )


def _times(rows: Sequence[Named], name: str, where: str) -> Table:
    titles = (
        ("Step", "± IQR"),
        ("Throughput", "training"),
        ("Prefill", "± IQR"),
        ("Token", "± IQR"),
        ("Prefill", "merged"),
        ("Token", "merged"),
        ("Load", "± IQR"),
        ("Merge", "± IQR"),
        ("Energy", "one step"),
        ("Energy", "one token"),
    )

    def cells(cost: Cost) -> tuple[Cell, ...]:
        step = (
            Seconds(median=cost.step_seconds, spread=cost.step_seconds_spread or 0.0)
            if cost.step_seconds is not None
            else None
        )
        rate = cost.training_tokens_per_second
        return (
            _time(step),
            Cell(text=numbers.si(rate, "tokens/s"), value=rate),
            *(
                _time(seconds)
                for seconds in (
                    cost.prefill,
                    cost.token,
                    cost.prefill_merged,
                    cost.token_merged,
                    cost.load,
                    cost.merge,
                )
            ),
            *(
                _si(joules, "J") if joules is not None else empty("not available")
                for joules in (cost.step_joules, cost.token_joules)
            ),
        )

    busy = [cost.load_average for _, cost in rows if cost and cost.load_average is not None]
    alone = (
        f" While they were taken, {max(busy):.1f} processes wanted to run on this machine, on "
        "average and at most: times are of a quiet machine only where that is well below the "
        "number of its cores."
        if busy
        else ""
    )
    return Table(
        name=f"times{name}",
        title=f"Time and energy{where}",
        caption="Medians over the repeats ± interquartile range, after warm-up. Prefill: "
        "from an input to its first new token; token: each one that follows. Merged: folded "
        "into the base's weights. Energy is that of the GPU, by its counter." + alone,
        columns=_columns(titles),
        rows=_rows(rows, cells, len(titles)),
    )


def _columns(titles: Sequence[tuple[str, str]]) -> tuple[Column, ...]:
    return (
        Column(title="Method", is_number=False, sorts_first="ascending"),
        *(Column(title=t, note=n, sorts_first="ascending") for t, n in titles),
    )


def _rows(
    rows: Sequence[Named], cells: Callable[[Cost], tuple[Cell, ...]], width: int
) -> tuple[Row, ...]:
    nothing = (empty(NOT_MEASURED), *(empty() for _ in range(width - 1)))
    return tuple(
        Row(header=label, cells=cells(cost) if cost else nothing) for label, cost in rows
    )


def _count(value: int) -> Cell:
    return Cell(text=numbers.count(value), value=value)


def _si(value: float | None, unit: str) -> Cell:
    return Cell(text=numbers.si(value, unit), value=value)


def _time(seconds: Seconds | None) -> Cell:
    if seconds is None:
        return empty()
    median, spread = (numbers.si(s, "s") for s in (seconds.median, seconds.spread))
    return Cell(text=f"{median} ± {spread}", value=seconds.median)
