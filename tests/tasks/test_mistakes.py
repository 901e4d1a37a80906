"""What published conversions of these tasks got wrong, one fact a test.

Some stand in `test_real_tasks.py`, beside the tests of the task: COPA's question, STS-B's
numbers, SVAMP's gold answer.
"""

from __future__ import annotations

import pytest

from peftbench import tasks
from peftbench.errors import DataError
from peftbench.evaluation import metrics
from peftbench.evaluation.metrics import Answers
from peftbench.tasks import Example, Row, Split
from peftbench.tasks._data import task_data
from peftbench.tasks._sources import SplitRows


def example_of(name: str, **changed: object) -> Example:
    task = tasks.get(name)
    return task.to_example({**task.example_row, **changed})


def test_winogrande_names_its_two_options_apart_and_in_every_split() -> None:
    """Both were called Option1, and training had no instruction."""
    example = example_of("winogrande", answer="2")
    assert "\nA: cup\nB: shelf\nAnswer with A or B.\n" in example.prompt
    assert example.completion == "B"


def test_winogrande_twins_are_of_one_group() -> None:
    twin = "The cup did not fit on the shelf because the _ was too low."
    assert example_of("winogrande").group == example_of("winogrande", sentence=twin).group


def test_wsc_marks_the_noun_with_stars_and_the_pronoun_with_hashes() -> None:
    """The roles were swapped between the instruction and the text."""
    prompt = example_of("wsc").prompt
    assert "Mia thanked *Ada* because #she# had helped." in prompt
    assert "Does the pronoun #she# refer to *Ada*?" in prompt


def test_wsc_spans_with_the_signs_of_a_regular_expression_are_marked() -> None:
    row = {
        "text": "The head (of C++) met Jo. He was late.",
        "span1_text": "(of C++)", "span1_index": 2, "span2_text": "He", "span2_index": 6,
    }  # fmt: skip
    assert "The head *(of C++)* met Jo. #He# was late." in example_of("wsc", **row).prompt


@pytest.mark.parametrize(
    ("index", "marked"),
    [
        (2, "She saw *her* cat, he said, and #her# dog."),
    ],
)
def test_wsc_marks_the_place_of_its_index_where_a_word_stands_twice(
    index: int, marked: str
) -> None:
    row = {
        "text": "She saw her cat, he said, and her dog.",
        "span1_text": "her", "span1_index": index, "span2_text": "her", "span2_index": 7,
    }  # fmt: skip
    assert marked in example_of("wsc", **row).prompt


def test_wsc_span_is_a_word_and_no_part_of_one() -> None:
    """The "he" of "The", "there" and "when" is no pronoun."""
    row = {
        "text": "The man was there when he called.",
        "span1_text": "The man", "span1_index": 0, "span2_text": "he", "span2_index": 5,
    }  # fmt: skip
    assert "*The man* was there when #he# called." in example_of("wsc", **row).prompt


def test_wsc_span_that_is_not_in_the_text_is_refused_and_not_left_unmarked() -> None:
    with pytest.raises(DataError, match="does not stand in 'text'"):
        example_of("wsc", span2_text="they")


def test_hellaswag_keeps_capitals_and_adds_no_comma() -> None:
    """`ctx_b.capitalize()` made "Nasa" of "NASA"; a comma followed even an empty part."""
    prompt = example_of(
        "hellaswag", ctx_a="A man looks up.", ctx_b="he sees NASA's rocket"
    ).prompt
    assert "\nText: A man looks up. he sees NASA's rocket\n" in prompt
    assert (
        "\nText: A man looks up.\n"
        in example_of("hellaswag", ctx_a="A man looks up.", ctx_b="").prompt
    )


@pytest.mark.parametrize(
    ("name", "field"), [("hellaswag", "label"), ("winogrande", "answer")]
)
def test_an_empty_label_of_a_hidden_test_split_is_refused(name: str, field: str) -> None:
    with pytest.raises(DataError, match=f"'{field}' is ''; allowed"):
        example_of(name, **{field: ""})


def test_siqa_labels_count_from_one() -> None:
    assert [example_of("siqa", label=label).target for label in "123"] == ["A", "B", "C"]
    with pytest.raises(DataError, match="'label' is '0'"):
        example_of("siqa", label="0")


def test_piqa_label_may_be_a_number_or_text() -> None:
    assert example_of("piqa", label=0).target == example_of("piqa", label="0").target == "A"


def test_cb_has_another_order_of_labels_than_mnli() -> None:
    words = [example_of("cb", label=i).target for i in range(3)]
    assert words == ["yes", "no", "maybe"]
    assert [example_of("mnli", label=i).target for i in range(3)] == ["yes", "maybe", "no"]


def test_qnli_entailment_is_yes_and_the_positive_class() -> None:
    """It is label 0: F1 of label 1 would be that of "not_entailment"."""
    assert example_of("qnli", label=0).target == tasks.get("qnli").labels[1] == "yes"


def test_cola_is_scored_by_matthews_and_not_by_the_f1_of_its_majority() -> None:
    task = tasks.get("cola")
    assert task.headline == "matthews"
    always = Answers(
        predicted=["yes"] * 10, targets=["yes"] * 7 + ["no"] * 3, labels=task.labels
    )
    assert metrics.get("f1").score(always) > 0.8
    assert metrics.get(task.headline).score(always) == 0


def test_mnli_is_scored_on_both_validation_sets_by_their_names() -> None:
    task = tasks.get("mnli")
    assert task.splits["test"] == "validation_matched"
    assert task.further_tests == {"mismatched": "validation_mismatched"}


def test_mmlu_is_tested_on_the_split_that_everyone_reports() -> None:
    task = tasks.get("mmlu")
    assert task.splits == {
        "train": "auxiliary_train", "validation": "validation", "test": "test",
    }  # fmt: skip
    assert task.sizes["test"] == 14_042


class Rows:
    """Rows of one task alone, without a validation split."""

    description = identity = "rows"
    splits: tuple[Split, ...] = ("train", "test")

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    def read(self, split: Split) -> SplitRows:
        return SplitRows(rows=self.rows, origin=split)

    def read_further(self, test: str) -> None:
        return None


def record_rows() -> list[Row]:
    row = tasks.get("record").example_row
    return [
        {**row, "passage": f"Passage {i // 2}.", "query": f"{i} is @placeholder."}
        for i in range(60)
    ]


def test_record_rows_become_several_only_in_training_and_after_the_cut() -> None:
    """Expanded before, equal prompts stood in training and validation."""
    data = task_data("record", tasks.get("record"), Rows(record_rows()), {})
    assert len(data.examples["test"]) == 60
    assert len(data.examples["validation"]) == 6
    train = data.examples["train"]
    assert len(train) == 2 * 54
    assert {example.completion for example in train} == {"Lena Falk", "Falk"}
    assert data.duplicate_prompts["train/validation"] == 0
    assert data.shared_groups["train/validation"] == 0


def test_record_is_scored_once_a_query_over_all_its_answers() -> None:
    """A query with many answers weighed more, and was right only for some of its rows."""
    example = example_of("record")
    assert example.references == ("Lena Falk", "Falk")
    answers = Answers(
        predicted=["Falk", "Rome"],
        targets=["Lena Falk", "Oslo"],
        references=[("Lena Falk", "Falk", "the Falk"), ("Oslo",)],
    )
    for name in tasks.get("record").metrics:
        assert metrics.get(name).score(answers) == 0.5


def test_record_answers_travel_with_their_rows() -> None:
    """They were fetched again from another place and paired by position."""
    rows = record_rows()
    for row in rows:
        example = tasks.get("record").to_example(row)
        assert str(row["query"]) in example.prompt
        assert example.references == tuple(row["answers"])


def test_record_shows_highlights_as_lines_of_their_own() -> None:
    assert "\n- Falk is 21\n" in example_of("record").prompt


def test_record_row_without_answers_is_refused() -> None:
    with pytest.raises(DataError, match="hidden test split"):
        example_of("record", answers=[])


def multirc_rows(paragraphs: int = 20) -> list[Row]:
    return [
        {"paragraph": f"Text {p}.", "question": f"{q}?", "answer": f"{a}", "label": a % 2}
        for p in range(paragraphs)
        for q in range(3)
        for a in range(4)
    ]


def test_multirc_paragraphs_stand_in_one_split() -> None:
    data = task_data("multirc", tasks.get("multirc"), Rows(multirc_rows()), {})
    assert data.shared_groups["train/validation"] == 0
    assert len(data.examples["validation"]) == 24


def test_multirc_is_scored_by_question_as_well() -> None:
    """A question is right if all its answers are: one slip in twelve rows costs a third."""
    task = tasks.get("multirc")
    examples = [task.to_example(row) for row in multirc_rows(1)]
    targets = [example.target for example in examples]
    slip = [*targets[:5], "yes" if targets[5] == "no" else "no", *targets[6:]]
    answers = Answers(
        predicted=slip,
        targets=targets,
        labels=task.labels,
        groups=[example.group for example in examples],
        extras=[example.extra for example in examples],
    )
    assert metrics.get("question_exact_match").score(answers) == pytest.approx(2 / 3)
    assert metrics.get("accuracy").score(answers) == pytest.approx(11 / 12)
    assert {"f1a", "question_exact_match"} <= set(task.metrics)


@pytest.mark.parametrize(
    "options",
    [
        "a ) 1,200 , b ) 2 , c ) 3 / 4 , d ) 4 , e ) none of these",
        "['a ) 1,200', 'b ) 2', 'c ) 3 / 4', 'd ) 4', 'e ) none of these']",
        "['a ) a ) 1,200', 'b ) b ) 2', 'c ) c ) 3 / 4', 'd ) d ) 4', 'e ) e ) none of these']",
        "a ) 1,200 , b ) 2 , c ) 3 / 4 , d ) 4 , e ) none of these ",
    ],
)
def test_math_qa_options_are_taken_apart_at_their_letters(options: str) -> None:
    """Not at commas, which stand in choices too; some rows are lists written as text."""
    choices = example_of("math_qa", options=options).extra["choices"]
    assert choices == ["1,200", "2", "3 / 4", "4", "none of these"]


def test_math_qa_row_without_five_choices_is_refused() -> None:
    with pytest.raises(DataError, match="five choices"):
        example_of("math_qa", options="a ) 1 , b ) 2")


@pytest.mark.parametrize(("name", "count"), [("mmlu", 4), ("hellaswag", 4)])
def test_a_row_with_another_number_of_choices_is_refused(name: str, count: int) -> None:
    field = "choices" if name == "mmlu" else "endings"
    with pytest.raises(DataError, match=f"'{field}' must be four texts"):
        example_of(name, **{field: ["one"] * (count - 1)})


@pytest.mark.parametrize(
    "name",
    ["copa", "mmlu", "piqa", "siqa", "hellaswag", "winogrande", "openbookqa", "math_qa"],
)
def test_the_letter_of_an_example_stands_beside_the_right_choice(name: str) -> None:
    example = example_of(name)
    right = example.extra["choices"][tasks.get(name).labels.index(example.target)]
    assert f"\n{example.completion}: {right}\n" in example.prompt
