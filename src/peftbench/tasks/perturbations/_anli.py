"""The three rounds of Adversarial NLI, which differ in nothing but their rows."""

from __future__ import annotations

from typing import Literal

from peftbench.tasks.perturbations._inference import as_mnli
from peftbench.tasks.perturbations._perturbation import Perturbation, Reading


def round_of_anli(number: Literal[1, 2, 3]) -> Perturbation:
    """The development set of one round."""
    return Perturbation(
        description=f"ANLI, round {number}: inferences written to fool a model",
        paper="Nie et al., 2020, arXiv:1910.14599",
        license="CC BY-NC 4.0",
        upstream="github.com/facebookresearch/anli",
        hub_id="facebook/anli",
        revision="8e4813d81f46d313dac7892e1c28076917cfcdf9",
        fields=("premise", "hypothesis", "label"),
        readings={
            "mnli": Reading(to_row=as_mnli, subset="plain_text", split=f"dev_r{number}")
        },
        example_row={
            "premise": "Nora Vik (born 2 May 1950) is a Norwegian painter.",
            "hypothesis": "Nora Vik was born in Norway.",
            "label": 1,
        },
    )
