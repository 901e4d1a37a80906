"""The generated tasks: the same rows everywhere, no leaks, and answers that are right."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from itertools import combinations

import pytest

from peftbench import tasks
from peftbench.tasks import SPLITS, Row, Split, Task
from peftbench.tasks._data import TaskData, load_task_data

NAMES = ("generated_mood", "generated_rating", "generated_sums")
SIZES = {"train": 2000, "validation": 200, "test": 400}

#: Digest of all rows of all splits. Another one is another task: raise its `version`.
DIGESTS = {
    "generated_mood": "6c4c6abeee4959f073d611471de4bf8df09b355c307c7a205fc24c504fa9eb07",
    "generated_rating": "c5b656b3b2350896090624d3bbe67060951863c4d7603a2bd6522b8b598d74c2",
    "generated_sums": "0ab852547a4077d0f6c3d5971c233e3c78aa96eb9b215db7098647efa4f1036a",
}

DIGEST = """
import hashlib, json, sys
from peftbench import tasks
for name in sys.argv[1:]:
    rows = [tasks.get(name).generate(split) for split in tasks.SPLITS]
    print(hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest())
"""


def rows_of(name: str, split: Split) -> list[Row]:
    task = tasks.get(name)
    assert task.generate is not None
    return list(task.generate(split))


@pytest.fixture(scope="module", params=NAMES)
def task(request: pytest.FixtureRequest) -> Task:
    return tasks.get(request.param)


@pytest.fixture(scope="module", params=NAMES)
def data(request: pytest.FixtureRequest) -> TaskData:
    return load_task_data(request.param, data_dir=None, limits={})


def test_these_are_the_generated_tasks() -> None:
    assert tuple(n for n in tasks.names() if tasks.get(n).is_generated) == NAMES


def test_they_are_called_generated(task: Task) -> None:
    assert task.description.startswith("generated:")
    assert task.hub_id is None
    assert task.is_generated


def test_another_process_makes_the_same_rows() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIGEST, *NAMES],
        env={"PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert dict(zip(NAMES, done.stdout.split(), strict=True)) == DIGESTS


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_made_anew_in_the_same_way(name: str) -> None:
    rows = [rows_of(name, split) for split in SPLITS]
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    assert digest == DIGESTS[name]


def test_splits_are_disjoint_and_as_large_as_said(data: TaskData) -> None:
    assert {split: len(rows) for split, rows in data.examples.items()} == SIZES
    prompts = {split: {row.prompt for row in rows} for split, rows in data.examples.items()}
    assert {split: len(found) for split, found in prompts.items()} == SIZES, "repeated"
    for first, second in combinations(SPLITS, 2):
        assert not prompts[first] & prompts[second]


def test_completions_are_read_as_their_targets(data: TaskData) -> None:
    for rows in data.examples.values():
        assert all(data.task.read_answer(row.completion) == row.target for row in rows)


def test_the_documented_row_is_one_that_could_be_made(task: Task) -> None:
    made = rows_of(NAMES[[tasks.get(n) for n in NAMES].index(task)], "train")[0]
    assert set(task.example_row) == set(made) == set(task.fields)
    document = str(sys.modules[task.to_example.__module__].__doc__)
    shown = " ".join(document.replace("\\n", " ").replace('"', "").split())
    example = task.to_example(task.example_row)
    for text in (example.prompt, f"completion {example.completion}"):
        assert " ".join(text.split()) in shown


class TestMood:
    """The rules, written down once more: what happened decides; what almost did, too."""

    MOOD: Mapping[str, str] = {
        **dict.fromkeys(
            ("found", "won", "got", "fixed", "was", "earned", "saved", "enjoyed"), "good"
        ),
        **dict.fromkeys(
            (
                "lost",
                "broke",
                "dropped",
                "cracked",
                "ruined",
                "burned",
                "missed",
                "wrecked",
            ),
            "bad",
        ),
        **dict.fromkeys(
            ("saw", "passed", "held", "drew", "moved", "looked", "touched", "described"),
            "neutral",
        ),
    }

    def told(self, row: Row) -> dict[str, tuple[str, str]]:
        """Person to event and mood, from the words of the story."""
        found = {}
        for sentence in row["story"].split(". "):
            name, *words = sentence.rstrip(".").split()
            almost = words[0] == "almost"
            mood = self.MOOD[words[almost]]
            if almost:
                mood = {"good": "bad", "bad": "good", "neutral": "neutral"}[mood]
            found[name] = (" ".join(words[almost:]), mood)
        return found

    @pytest.mark.parametrize("split", SPLITS)
    def test_targets_follow_from_the_stories(self, split: Split) -> None:
        for row in rows_of("generated_mood", split):
            told = self.told(row)
            moods = [mood for _, mood in told.values()]
            assert told[row["asked"]][1] == row["mood"]
            assert len(moods) == len(set(moods)) == 2, "the other person's mood differs"

    @pytest.mark.parametrize("split", SPLITS)
    def test_labels_are_balanced(self, split: Split) -> None:
        counts = Counter(row["mood"] for row in rows_of("generated_mood", split))
        assert set(counts) == set(tasks.get("generated_mood").labels)
        assert max(counts.values()) - min(counts.values()) <= 1

    def test_neither_place_nor_almost_gives_the_mood_away(self) -> None:
        rows = rows_of("generated_mood", "train")
        first = sum(row["story"].startswith(row["asked"]) for row in rows)
        assert 0.45 < first / len(rows) < 0.55
        almost = Counter(row["mood"] for row in rows if "almost" in row["story"])
        assert max(almost.values()) < 1.2 * min(almost.values())

    def test_no_event_with_its_thing_stands_in_two_splits(self) -> None:
        events = {
            split: {
                event
                for row in rows_of("generated_mood", split)
                for event, _ in self.told(row).values()
            }
            for split in SPLITS
        }
        for first, second in combinations(SPLITS, 2):
            assert not events[first] & events[second]


class TestRating:
    #: Points above or below the middle of 5, once more.
    WORTH: Mapping[str, float] = {
        "awful": -3.2, "terrible": -3.2, "dull": -1.6, "weak": -1.6,
        "nice": 1.6, "tasty": 1.6, "great": 3.2, "superb": 3.2,
    }  # fmt: skip

    def opinion(self, dish: str) -> str:
        return dish.rpartition(" ")[0]

    def points(self, dish: str) -> float:
        strength = 1.5 if dish.startswith("very ") else 0.5 if "a bit " in dish else 1.0
        return 5 + strength * self.WORTH[dish.split()[-2]]

    @pytest.mark.parametrize("split", SPLITS)
    def test_targets_follow_from_the_opinions(self, split: Split) -> None:
        for row in rows_of("generated_rating", split):
            expected = (self.points(row["first"]) + self.points(row["second"])) / 2
            assert row["score"] == pytest.approx(expected, abs=1e-9)
            assert tasks.get("generated_rating").to_example(row).target == f"{expected:.1f}"
            assert row["first"].split()[-1] != row["second"].split()[-1]

    @pytest.mark.parametrize("split", SPLITS)
    def test_scores_are_spread_out(self, split: Split) -> None:
        scores = [row["score"] for row in rows_of("generated_rating", split)]
        assert all(0.2 <= score <= 9.8 for score in scores)
        assert len(set(scores)) >= 15
        assert Counter(scores).most_common(1)[0][1] < 0.25 * len(scores)

    def test_no_pair_of_opinions_stands_in_two_splits(self) -> None:
        pairs = {
            split: {
                tuple(sorted(map(self.opinion, (row["first"], row["second"]))))
                for row in rows_of("generated_rating", split)
            }
            for split in SPLITS
        }
        for first, second in combinations(SPLITS, 2):
            assert not pairs[first] & pairs[second]


class TestSums:
    GAIN = re.compile(r"^(\w+) owns (\d+) (\w+) and (gets|finds|buys|makes) (\d+) more\.$")
    LOSS = re.compile(r"^(\w+) owns (\d+) (\w+) and (loses|sells|breaks|drops) (\d+)\.$")

    def read(self, row: Row) -> tuple[int, int]:
        """Before and after, from the words of the story."""
        gain, loss = self.GAIN.match(row["story"]), self.LOSS.match(row["story"])
        assert bool(gain) != bool(loss)
        found = gain or loss
        assert found is not None
        assert found[3] == row["things"]
        before, change = int(found[2]), int(found[5])
        return before, before + change if gain else before - change

    @pytest.mark.parametrize("split", SPLITS)
    def test_targets_follow_from_the_stories(self, split: Split) -> None:
        for row in rows_of("generated_sums", split):
            before, after = self.read(row)
            assert row["answer"] == after
            assert tasks.get("generated_sums").to_example(row).target == str(after)
            assert min(before, after, abs(after - before)) >= 2
            assert max(before, after) <= 30

    @pytest.mark.parametrize("split", SPLITS)
    def test_gains_and_losses_are_as_many_and_no_answer_is_frequent(
        self, split: Split
    ) -> None:
        rows = rows_of("generated_sums", split)
        gains = sum(bool(self.GAIN.match(row["story"])) for row in rows)
        assert gains == len(rows) / 2
        answers = Counter(row["answer"] for row in rows)
        assert answers.most_common(1)[0][1] < 0.15 * len(rows)

    def test_no_sum_stands_in_two_splits(self) -> None:
        sums = {
            split: {self.read(row) for row in rows_of("generated_sums", split)}
            for split in SPLITS
        }
        for first, second in combinations(SPLITS, 2):
            assert not sums[first] & sums[second]
