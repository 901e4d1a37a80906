"""MultiRC, answers to questions about a paragraph, several of which may be right (Khashabi
et al., 2018, aclanthology.org/N18-1023).

row         {"paragraph": "Ann fed the cat. Then she fed the dog.", "question": "Whom did
             Ann feed?", "answer": "The dog", "idx": {"paragraph": 0, "question": 0,
             "answer": 1}, "label": 1}
prompt      "Passage: Ann fed the cat. Then she fed the dog.\\n
             Question: Whom did Ann feed?\\nProposed answer: The dog\\n
             Is the proposed answer right, going by the passage? Answer yes or no.\\nAnswer:"
completion  "yes"
target      "yes"

The SuperGLUE version (Wang et al., 2019, arXiv:1905.00537): one row for every proposed
answer. Its test labels are hidden, so its validation split is our test. Scored as there,
over all answers (F1a, that of yes) and by question, which is right if all its answers are.
The rows of a paragraph form a group, also for the standard error.
"""

from __future__ import annotations

from peftbench.tasks._answers import label_reader
from peftbench.tasks._fields import label_of, text_of
from peftbench.tasks._task import Example, Row, Task

LABELS = ("no", "yes")


def to_example(row: Row) -> Example:
    """Paragraph, question and one proposed answer; the answer is whether that is right."""
    paragraph, question = text_of(row, "paragraph"), text_of(row, "question")
    answer = label_of(row, "label", {0: "no", 1: "yes"})
    return Example(
        prompt=(
            f"Passage: {paragraph}\n"
            f"Question: {question}\n"
            f"Proposed answer: {text_of(row, 'answer')}\n"
            "Is the proposed answer right, going by the passage? Answer yes or no.\n"
            "Answer:"
        ),
        completion=answer,
        target=answer,
        group=paragraph,
        extra={"question": question},
    )


TASK = Task(
    description="MultiRC: whether a proposed answer to a question about a paragraph is right",
    hub_id="aps/super_glue",
    subset="multirc",
    revision="3de24cf8022e94f4ee4b9d55a6f539891524d646",
    splits={"train": "train", "test": "validation"},
    sizes={"train": 27_243, "validation": 4_848},
    license="other (MultiRC's research terms; the hub's SuperGLUE card)",
    fields=("paragraph", "question", "answer", "label"),
    to_example=to_example,
    grouped_by="paragraph",
    read_answer=label_reader(LABELS),
    metrics=("f1a", "question_exact_match", "accuracy"),
    labels=LABELS,
    max_new_tokens=8,
    example_row={
        "paragraph": "Ann fed the cat. Then she fed the dog.",
        "question": "Whom did Ann feed?",
        "answer": "The dog",
        "label": 1,
    },
)
