"""FourierFT: the update is the Fourier transform of a few coefficients."""

from __future__ import annotations

from dataclasses import dataclass

from peftbench.methods._coefficients import CoefficientsMethod


@dataclass(frozen=True, kw_only=True)
class Fourierft(CoefficientsMethod):
    """Sparse spectra (Gao et al., 2024, arXiv:2405.03003).

    Computes ``W x + scaling * Re(F^-1(S)) x`` with W: (d_out, d_in), frozen, and S: (d_out,
    d_in), zero but for num_frequencies entries at random places, the same in layers of one
    shape; they start normally distributed.
    Trains ``num_frequencies`` parameters per layer, at most as many as its weight has.
    """

    num_frequencies: int = 1000
    scaling: float = 150.0

    title = "FourierFT"
    tuner = "FourierFTConfig"
    paper = "Gao et al., 2024, arXiv:2405.03003"
    defaults_from = "Gao et al.: 1000 coefficients; scaling 150: peft"
    identity_at_start = False  # the coefficients start at random
    #: Ours: the lower end of what Gao et al. use (3e-3 to 1e-1, by model and task).
    training = {"learning_rate": 3e-3}


METHOD = Fourierft
