"""WaveFT: the update is the wavelet transform of a few coefficients."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._coefficients import CoefficientsMethod


@dataclass(frozen=True, kw_only=True)
class Waveft(CoefficientsMethod):
    """Sparse wavelet coefficients (Bilican et al., 2025, arXiv:2505.12532).

    Computes ``W x + scaling * D^-1(S) x`` with W: (d_out, d_in), frozen, D^-1 the inverse
    discrete wavelet transform (Haar), and S: (d_out, d_in), zero but for num_frequencies
    entries at random places, which start at zero.
    Trains ``num_frequencies`` parameters per layer, at most as many as its weight has.
    """

    num_frequencies: int = 2592
    scaling: float = 25.0

    title = "WaveFT"
    tuner = "WaveFTConfig"
    paper = "Bilican et al., 2025, arXiv:2505.12532"
    defaults_from = "peft: 2592 coefficients, scaling 25, Haar wavelets"
    identity_at_start = True
    zeros_will_do = True
    #: huggingface/peft, method_comparison/MetaMathQA, waveft on Llama-3.2-3B.
    training = {"learning_rate": 1e-4}


METHOD = Waveft
