"""Choose the tasks of the suite `peft-bench-small` from PEFT-Bench's published table.

Of all sets of a size that hold a task of every family and whose training rows hold at most
a share of all words, the one is chosen that tells the methods apart as all 27 tasks do:
with the same order by mean score and by average rank, and the least error of the
differences between two methods. Two checks follow. Every method is left out of the choice
in turn, and then compared with the others by the set that was chosen without it. And the
chosen set is compared with all sets that it was chosen from.

    python recipes/small-suite/choose.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau, rankdata

from peftbench import tasks
from peftbench.published import read
from peftbench.spec import read_benchmark

Table = npt.NDArray[np.float64]  # (methods, tasks), points
Sets = npt.NDArray[np.int64]  # (sets, size), columns of the table

#: Words of prompt and answer in the mean training row.
WORDS = {
    "mnli": 62, "qqp": 40, "qnli": 51, "sst2": 23, "stsb": 48, "mrpc": 62, "rte": 70,
    "cola": 21, "multirc": 305, "record": 223, "boolq": 116, "wic": 36, "wsc": 37, "cb": 94,
    "copa": 36, "mmlu": 89, "piqa": 62, "siqa": 44, "hellaswag": 164, "winogrande": 37,
    "openbookqa": 36, "math_qa": 67, "gsm8k": 114, "svamp": 41, "conala": 14,
    "codealpacapy": 47, "apps": 508,
}  # fmt: skip

FAMILIES = ("glue", "superglue", "commonsense", "maths", "code")


def main() -> None:
    """Print the best set of every size, and the checks of the best of the size asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=7)
    parser.add_argument(
        "--share", type=float, default=0.05, help="of the words of all training rows"
    )
    asked = parser.parse_args()
    problem = Problem.load()
    print(f"{len(problem.methods)} methods, {len(problem.names)} tasks")
    print("size  sets      error  tau of means  tau of ranks  words  tasks")
    for size in range(5, 10):
        sets = problem.sets(size, asked.share)
        print(problem.line(best(problem.scores, sets), sets))
    print(
        f"\nLeft out of the choice, size {asked.size}: error of its differences to others"
    )
    sets = problem.sets(asked.size, asked.share)
    for i, method in enumerate(problem.methods):
        rest = np.delete(problem.scores, i, axis=0)
        chosen = best(rest, sets)
        error, pairs = held_out(problem.scores, chosen, i)
        print(
            f"{method:14} {error:5.2f} points, {pairs} of {len(rest)} others on its right side"
        )
    chosen = best(problem.scores, sets)
    errors = difference_errors(problem.scores, sets)
    mine = difference_errors(problem.scores, chosen[None])[0]
    print(f"\nChosen: {', '.join(problem.names[i] for i in chosen)}")
    print(f"error {mine:.2f} points; of all {len(sets):,} sets the median has "
          f"{np.median(errors):.2f}, the worst {errors.max():.2f}")  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """The published table, and what each task costs."""

    methods: list[str]
    names: list[str]
    scores: Table
    words: npt.NDArray[np.float64]  # of all training rows
    families: list[frozenset[int]]

    @classmethod
    def load(cls) -> Problem:
        """From the publication and the suites of the package."""
        published = read("peft-bench-v1")
        names, methods = list(published.tasks), list(published.columns)
        scores = [published.tasks[name].scores for name in names]
        families = [frozenset(map(names.index, read_benchmark(f).tasks)) for f in FAMILIES]
        return cls(
            methods,
            names,
            np.array(scores).T,
            np.array([_training_rows(name) * WORDS[name] for name in names], dtype=float),
            families,
        )

    def sets(self, size: int, share: float) -> Sets:
        """Sets with a task of every family and at most a share of all words of training."""
        allowed = [
            i for i, words in enumerate(self.words) if words <= share * self.words.sum()
        ]
        return np.array(list(self._sets(size, allowed, share * self.words.sum())))

    def _sets(
        self, size: int, allowed: list[int], most: float
    ) -> Iterator[tuple[int, ...]]:
        for chosen in combinations(allowed, size):
            if sum(self.words[i] for i in chosen) <= most and all(
                not family.isdisjoint(chosen) for family in self.families
            ):
                yield chosen

    def line(self, chosen: npt.NDArray[np.int64], sets: Sets) -> str:
        """One set in numbers."""
        ranked = task_ranks(self.scores)
        error = difference_errors(self.scores, chosen[None])[0]
        means = kendalltau(self.scores[:, chosen].mean(1), self.scores.mean(1)).statistic
        ranks = kendalltau(ranked[:, chosen].mean(1), ranked.mean(1)).statistic
        share = self.words[chosen].sum() / self.words.sum()
        names = " ".join(self.names[i] for i in chosen)
        return (f"{len(chosen):4}  {len(sets):<8,} {error:6.2f}  {means:12.2f}  {ranks:12.2f}  "
                f"{share:5.1%}  {names}")  # fmt: skip


def _training_rows(name: str) -> int:
    task = tasks.get(name)
    return task.sizes[task.splits["train"].partition("[")[0]]


def best(scores: Table, sets: Sets) -> npt.NDArray[np.int64]:
    """The set that orders all methods as the whole does, by mean and by average rank, with
    the least error; of sets that do not, that with the fewest pairs out of order."""
    wrong = pairs_out_of_order(scores, sets) + pairs_out_of_order(task_ranks(scores), sets)
    return sets[np.lexsort((difference_errors(scores, sets), wrong))[0]]


def pairs_out_of_order(values: Table, sets: Sets) -> npt.NDArray[np.int64]:
    """Of every set: the pairs of methods that its means order otherwise than the whole."""
    whole, means = values.mean(1), values[:, sets].mean(2)  # (methods,), (methods, sets)
    pairs = combinations(range(len(values)), 2)
    return sum(
        np.sign(means[i] - means[j]) != np.sign(whole[i] - whole[j]) for i, j in pairs
    ) + np.zeros(len(sets), dtype=np.int64)


def difference_errors(scores: Table, sets: Sets) -> Table:
    """Of every set: how far the difference between two methods is from the whole's, in
    points, as the root of the mean square over all pairs of methods."""
    off = scores[:, sets].mean(2) - scores.mean(1)[:, None]
    pairs = [off[i] - off[j] for i, j in combinations(range(len(scores)), 2)]
    return np.sqrt(np.mean(np.square(pairs), axis=0))


def held_out(
    scores: Table, chosen: npt.NDArray[np.int64], method: int
) -> tuple[float, int]:
    """A method's error against the others, and how many of them it is rightly placed to."""
    small = scores[:, chosen].mean(1)
    others = [i for i in range(len(scores)) if i != method]
    whole = scores.mean(1)
    found = small[method] - small[others]
    true = whole[method] - whole[others]
    right = int((np.sign(found) == np.sign(true)).sum())
    return float(np.sqrt(np.mean((found - true) ** 2))), right


def task_ranks(scores: Table) -> Table:
    """(methods, tasks): the rank of every method on every task; 1 is the best."""
    return np.array([rankdata(-column) for column in scores.T]).T


if __name__ == "__main__":
    main()
