"""Adversarial NLI, round 2: written by people to fool a trained model (Nie et al., 2020,
arXiv:1910.14599).

row     {"premise": "Nora Vik (born 2 May 1950) is a Norwegian painter.",
         "hypothesis": "Nora Vik was born in Norway.", "label": 1}
asked   as `mnli`

The development set of the round: its test set is left for those who tune on this one.
"""

from __future__ import annotations

from peftbench.tasks.perturbations._anli import round_of_anli

PERTURBATION = round_of_anli(2)
