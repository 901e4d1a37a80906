"""What is recommended fits the budget, and is never dearer than what it is tied with."""

from __future__ import annotations

from builder import build, cost

from peftbench.report.advice import sentences
from peftbench.scoring.recommend import judge, recommend
from peftbench.scoring.summary import Interval, Standing, Summary

SCORES = {name: {"t": [score, score]} for name, score in
          (("full", 0.80), ("lora", 0.79), ("ia3", 0.60))}  # fmt: skip
TRAINED = {"full": 2_000_000, "lora": 100_000, "ia3": 4_000}


def summary(tied: tuple[str, ...] = (), *, tested: bool = True) -> Summary:
    made = build(SCORES, costs=TRAINED)
    interval = Interval(mean=79, low=78, high=80, seeds=2, over="seeds and rows")
    return made.model_copy(
        update={
            "standings": tuple(
                s.model_copy(
                    update={
                        "is_mean_tied": s.method in tied,
                        "mean_interval": interval if tested else None,
                    }
                )
                for s in made.standings
            )
        }
    )


def test_the_best_is_chosen_where_nothing_is_tied_with_it() -> None:
    found = recommend(summary(), "tiny")
    assert found is not None
    assert (found.chosen.method, found.leader.method, found.tied) == ("full", "full", ())


def test_of_tied_methods_the_cheapest_is_chosen() -> None:
    found = recommend(summary(tied=("full", "lora")), "tiny")
    assert found is not None
    assert (found.chosen.method, found.leader.method) == ("lora", "full")
    assert [s.method for s in found.tied] == ["lora"]


def test_a_method_without_a_cost_is_not_taken_for_free() -> None:
    made = summary(tied=("full", "lora"))
    unmeasured = tuple(
        s.model_copy(update={"cost": None}) if s.method == "lora" else s
        for s in made.standings
    )
    found = recommend(made.model_copy(update={"standings": unmeasured}), "tiny")
    assert found is not None
    assert found.chosen.method == "full"


def test_budgets_leave_out_what_is_over_and_what_is_unknown() -> None:
    standings = [
        Standing(
            model="m", method="fits", average_rank=1, mean_score=9.0, cost=cost("a", 5)
        ),
        Standing(
            model="m", method="over", average_rank=1, mean_score=9.0, cost=cost("b", 50)
        ),
        Standing(model="m", method="unmeasured", average_rank=1, mean_score=9.0),
        Standing(
            model="m", method="failed", average_rank=1, mean_score=None, cost=cost("c", 5)
        ),
    ]
    found = {v.method: v for v in judge(standings, {"trainable_parameters": 10})}
    assert found["fits"].is_feasible
    assert found["over"].over == ("trainable_parameters",)
    assert found["unmeasured"].unknown == ("trainable_parameters",)
    assert found["failed"].unknown == ("mean_score",)


def test_sentences_say_how_sure_it_is() -> None:
    def said(tied: tuple[str, ...], *, tested: bool = True) -> str:
        made = summary(tied, tested=tested)
        found = recommend(made, "tiny")
        budgets = {"trainable_parameters": 1e7}
        verdicts = judge(made.standings, budgets)
        return " ".join(sentences(found, verdicts, budgets, "trainable_parameters"))

    assert "Use full on tiny" in said(())
    assert "beyond chance" in said(())
    both = said(("full", "lora"))
    assert "Use lora on tiny" in both
    assert "does not tell which of full (80.0) and lora (79.0) is the best" in both
    assert "cannot be said" in said((), tested=False)


def test_nothing_that_fits_is_said_with_the_reasons() -> None:
    made = summary()
    budgets = {"trainable_parameters": 1.0}
    text = " ".join(
        sentences(None, judge(made.standings, budgets), budgets, "trainable_parameters")
    )
    assert "No method of this store fits trainable parameters ≤ 1" in text
    assert "Over budget: full (trainable parameters)" in text
