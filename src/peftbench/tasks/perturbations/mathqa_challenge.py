"""The challenge test set of MathQA: questions with a changed number or wording (Amini et
al., 2019, arXiv:1905.13319).

row     {"Problem": "a pen costs 2 . what do 4 pens cost ?",
         "options": "a ) 4 , b ) 6 , c ) 8 , d ) 10 , e ) 12", "correct": "c"}
asked   as `math_qa`, whose fields it has
"""

from __future__ import annotations

from peftbench.tasks.perturbations._perturbation import Perturbation, Reading

PERTURBATION = Perturbation(
    description="MathQA challenge: problems with changed numbers and wordings",
    paper="Amini et al., 2019, arXiv:1905.13319",
    license="not stated",
    upstream="challenge_test.json in the archive of math-qa.github.io",
    fields=("Problem", "options", "correct"),
    readings={"math_qa": Reading(to_row=lambda row: row)},
    example_row={
        "Problem": "a pen costs 2 . what do 4 pens cost ?",
        "Rationale": "4 pens cost 4 * 2 = 8 . answer : c",
        "options": "a ) 4 , b ) 6 , c ) 8 , d ) 10 , e ) 12",
        "correct": "c",
        "annotated_formula": "multiply(4, 2)",
        "linear_formula": "multiply(n1,n0)|",
        "category": "general",
    },
)
