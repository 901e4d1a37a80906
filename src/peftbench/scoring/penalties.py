"""Performance, discounted by what it costs: products of one primitive, `soft_penalty`.

PSCP (PEFT-Bench, arXiv:2511.21285) counts parameters, inference and memory:
``PSCP = P * (1 + M_p/C_p)^-b_p * (1 + M_f/C_f)^-b_f * (1 + M_m/C_m)^-b_m``
PPT (Performance-Parameter Trade-off of V-PETL Bench, arXiv:2402.02242) counts parameters
alone: ``PPT = P * exp(-log10(M_p/C + 1))``.

A composite is an opinion: the constants say what counts as expensive. The report shows
every factor, and how the ranking moves with constants and betas.
"""

from __future__ import annotations

import math

#: The published constants: 5e8 trainable parameters, 10 extra TFLOPs of inference on
#: one input, 94 GB of training memory (of an H100 NVL).
PARAMETER_CONSTANT = 5e8
TFLOPS_CONSTANT = 10.0
MEMORY_CONSTANT_GB = 94.0

#: Of PPT: ten million trainable parameters, the head not counted.
PPT_CONSTANT = 1e7
#: ``exp(-log10(x)) = x ** (-1 / ln 10)``, so PPT is a soft penalty too.
PPT_BETA = 1 / math.log(10)


def soft_penalty(x: float, constant: float, beta: float = 1.0) -> float:
    """``(1 + x / constant) ** -beta``: 1 for free, 1/2 at the constant if beta is 1.

    >>> soft_penalty(0, 10), soft_penalty(10, 10)
    (1.0, 0.5)
    """
    if not (math.isfinite(x) and x >= 0):
        raise ValueError(f"A cost must be a finite number of at least 0, got {x}.")
    if constant <= 0 or beta < 0:
        raise ValueError(f"Needs constant > 0 and beta >= 0, got {constant} and {beta}.")
    return float((1 + x / constant) ** -beta)


def pscp_factors(
    trainable_parameters: float,
    extra_inference_tflops: float,
    peak_memory_gb: float,
    *,
    betas: tuple[float, float, float] = (1.0, 1.0, 1.0),
    parameter_constant: float = PARAMETER_CONSTANT,
    tflops_constant: float = TFLOPS_CONSTANT,
    memory_constant_gb: float = MEMORY_CONSTANT_GB,
) -> tuple[float, float, float]:
    """The three factors of PSCP, each in (0, 1]: parameters, FLOPs, memory."""
    return (
        soft_penalty(trainable_parameters, parameter_constant, betas[0]),
        soft_penalty(extra_inference_tflops, tflops_constant, betas[1]),
        soft_penalty(peak_memory_gb, memory_constant_gb, betas[2]),
    )


def pscp(
    performance: float,
    trainable_parameters: float,
    extra_inference_tflops: float,
    peak_memory_gb: float,
    *,
    betas: tuple[float, float, float] = (1.0, 1.0, 1.0),
    parameter_constant: float = PARAMETER_CONSTANT,
    tflops_constant: float = TFLOPS_CONSTANT,
    memory_constant_gb: float = MEMORY_CONSTANT_GB,
) -> float:
    """PEFT Soft Cost Penalties: `performance` (mean headline score, 0 to 100) times the
    three factors.

    >>> round(pscp(80.1, 14_680_064, 0, 27.75), 2)  # LoRA in the published table
    60.08
    """
    factors = pscp_factors(
        trainable_parameters,
        extra_inference_tflops,
        peak_memory_gb,
        betas=betas,
        parameter_constant=parameter_constant,
        tflops_constant=tflops_constant,
        memory_constant_gb=memory_constant_gb,
    )
    return performance * math.prod(factors)


def ppt(performance: float, trainable_parameters: float) -> float:
    """Performance times ``exp(-log10(trainable_parameters / 1e7 + 1))``.

    >>> round(ppt(80.0, 90_000_000), 3)  # log10 of 10 is 1
    29.43
    """
    return performance * soft_penalty(trainable_parameters, PPT_CONSTANT, PPT_BETA)
