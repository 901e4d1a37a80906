"""BEFT: only the biases of the value projections are trained."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods.bitfit import Bitfit


@dataclass(frozen=True, kw_only=True)
class Beft(Bitfit):
    """Trained biases of the value projections (Huang et al., 2025, arXiv:2509.15974).

    Computes ``W x + b0 + b`` there, with W: (d_out, d_in) and b0: (d_out,), the base's own bias
    or absent, both frozen; b: (d_out,), trained, zero at the start. BitFit trains those of all
    layers; the paper finds that the values' do best for their number.
    Trains ``d_out`` parameters per layer.
    """

    target_modules: str | tuple[str, ...] = ("v_proj",)

    placement = "value projections"
    paper = "Huang et al., 2025, arXiv:2509.15974"
    defaults_from = (
        "Huang et al.: the value projections; the name is that of Llama and its relatives"
    )
    unsupported = {
        "gpt2": "queries, keys and values are one layer, c_attn",
        "gpt_neox": "queries, keys and values are one layer, query_key_value",
    }


METHOD = Beft
