"""What a model wrote on examples of a task, scored, and as rows to be stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from peftbench.encoding.encode import Encoder
from peftbench.engine.grade import score_of
from peftbench.evaluation import metrics
from peftbench.evaluation.metrics import Answers
from peftbench.evaluation.metrics._jackknife import pseudo_values
from peftbench.evaluation.predict import Output, Predictor
from peftbench.evaluation.programs import Execution, Verdicts, run_programs
from peftbench.evaluation.scores import Score, Unavailable
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
    targets of `examples` are merged already.
    """

    task: Task
    examples: Sequence[Example]
    outputs: Sequence[Output]
    merge: Mapping[str, str] = field(default_factory=dict)
    execution: Execution | None = None  # None: no metric here needs programs run

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
    def row_scores(self) -> list[float | None]:
        """What every row adds to the headline (jackknife); None where that cannot be told."""
        if self.unavailable and self.unavailable[0].is_headline:
            return [None] * len(self.outputs)
        return pseudo_values(metrics.get(self.task.headline), self.answers)

    @cached_property
    def unavailable(self) -> tuple[Unavailable, ...]:
        """Metrics that were asked for and cannot be told here, the headline first."""
        if self.verdicts is not None:
            return ()
        reason = self.execution.reason if self.execution else "no program was run"
        return tuple(
            Unavailable(name=name, reason=reason, is_headline=name == self.task.headline)
            for name in self._metrics
            if metrics.get(name).runs_programs
        )

    @property
    def _metrics(self) -> list[str]:
        """The task's metrics, but for those that take more samples than there are."""
        samples = min(len(output.samples) for output in self.outputs)
        return [name for name in self.task.metrics if metrics.get(name).samples <= samples]

    def scores(self) -> tuple[Score, ...]:
        """All of the task's metrics, the headline first, and how well answers were read."""
        missing = {one.name for one in self.unavailable}
        names = dict.fromkeys([*self._metrics, "format_error_rate"])
        scores = [
            score_of(
                name, self.answers, self.row_scores if name == self.task.headline else None
            )
            for name in names
            if name not in missing
        ]
        if self.task.labels:
            likely = [self._merged(output.likelihood_answer) for output in self.outputs]
            score = score_of("accuracy", replace(self.answers, predicted=likely))
            scores.append(score.model_copy(update={"name": "likelihood_accuracy"}))
        return tuple(scores)

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
                score=self.row_scores[i],
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


def renamed(scores: Sequence[Score], name: Callable[[str], str]) -> list[Score]:
    """The same scores under other names."""
    return [score.model_copy(update={"name": name(score.name)}) for score in scores]
