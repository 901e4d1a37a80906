"""What a model wrote on examples of a task, scored, and as rows to be stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from peftbench.encoding.encode import Encoder
from peftbench.evaluation import metrics
from peftbench.evaluation.metrics import Answers
from peftbench.evaluation.predict import Output, Predictor
from peftbench.evaluation.programs import Execution, Verdicts, run_programs
from peftbench.evaluation.score import Grade, grade, likelihood_scores
from peftbench.evaluation.scores import TEST, Score
from peftbench.spec import Cell
from peftbench.spec.frozen import canonical_json
from peftbench.store import Prediction
from peftbench.tasks import Example, Task

#: Prompts of so many rows are kept with the predictions, to look at.
_PROMPTS_KEPT = 8


@dataclass(frozen=True)
class Scored:
    """Outputs on some examples, row by row.

    `merge` maps labels of the task to others of it, for a set that tells fewer apart; the
    targets of `examples` are merged already. `test_set` is what scores call the examples.
    """

    task: Task
    examples: Sequence[Example]
    outputs: Sequence[Output]
    merge: Mapping[str, str] = field(default_factory=dict)
    execution: Execution | None = None  # None: no metric here needs programs run
    test_set: str = TEST

    @cached_property
    def verdicts(self) -> Verdicts | None:
        """What came of running the outputs, and what was sampled beside them, as programs;
        None where no metric asks for it, or nothing can be run."""
        kinds = [metrics.get(name) for name in self.task.metrics]
        if self.execution is None or not any(kind.runs_programs for kind in kinds):
            return None
        return run_programs(
            [
                [output.answer, *map(self.task.read_answer, output.samples)]
                for output in self.outputs
            ],
            [example.extra for example in self.examples],
            self.execution,
        )

    @cached_property
    def answers(self) -> Answers:
        """The answers as metrics take them."""
        return Answers(
            predicted=[self._merged(output.answer) for output in self.outputs],
            targets=[example.target for example in self.examples],
            labels=tuple(label for label in self.task.labels if label not in self.merge),
            groups=[example.group for example in self.examples],
            references=[example.references for example in self.examples],
            extras=[example.extra for example in self.examples],
            verdicts=self.verdicts.first if self.verdicts else (),
            sampled_verdicts=self.verdicts.others if self.verdicts else (),
        )

    @cached_property
    def grade(self) -> Grade:
        """The metrics that can be told here, and what every row adds to the headline."""
        return grade(
            self.task,
            self.answers,
            test_set=self.test_set,
            samples=min(len(output.samples) for output in self.outputs),
            reason=self.execution.reason if self.execution else "No program was run.",
        )

    def scores(self) -> tuple[Score, ...]:
        """All of the task's metrics, the headline first, and how well answers were read."""
        likely = [self._merged(output.likelihood_answer) for output in self.outputs]
        return (
            *self.grade.scores,
            *likelihood_scores(self.answers, likely, self.test_set),
        )

    def predictions(self, encoder: Encoder) -> list[Prediction]:
        """The rows as they are stored."""
        return [
            Prediction(
                row=i,
                prompt_sha256=encoder.prompt_sha256(example.prompt),
                prompt=encoder.render(example.prompt) if i < _PROMPTS_KEPT else None,
                output=output.text,
                answer=self.answers.predicted[i],
                target=example.target,
                score=self.grade.rows[i],
                likelihood_answer=self._merged(output.likelihood_answer),
                label_log_likelihoods=output.label_log_likelihoods,
                group=example.group,
                references=example.references,
                extra=canonical_json(dict(example.extra)),
                samples=output.samples,
                verdict=self.verdicts.first[i] if self.verdicts else None,
                sampled_verdicts=self.verdicts.others[i] if self.verdicts else (),
            )
            for i, (output, example) in enumerate(
                zip(self.outputs, self.examples, strict=True)
            )
        ]

    def _merged(self, answer: str | None) -> str | None:
        return None if answer is None else self.merge.get(answer, answer)


def predict(predictor: Predictor, task: Task, examples: Sequence[Example]) -> list[Output]:
    """What the model writes, in the order of the examples."""
    prompts = [example.prompt for example in examples]
    return predictor.predict(task, prompts, [example.extra for example in examples])


def sample(
    predictor: Predictor,
    task: Task,
    examples: Sequence[Example],
    outputs: Sequence[Output],
    cell: Cell,
) -> list[Output]:
    """The outputs, each with further ones, drawn as the cell asks for."""
    assert cell.sampling is not None
    prompts = [example.prompt for example in examples]
    drawn = predictor.sample(
        prompts, task.max_new_tokens, cell.sampling, seed=cell.seed or 0
    )
    return [
        replace(output, samples=samples)
        for output, samples in zip(outputs, drawn, strict=True)
    ]
