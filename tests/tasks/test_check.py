"""A check reads a broken file to its end, and says what invalidates scores."""

from __future__ import annotations

import gzip
import json
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peftbench import tasks
from peftbench.errors import DataError
from peftbench.tasks import Example
from peftbench.tasks._check import Checked, check_task
from peftbench.tasks._leaks import normalised
from peftbench.tasks._sources import FolderSource

SST2 = tasks.get("sst2")


def row(i: int, label: int | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "sentence": f"film number {i}",
        "label": i % 2 if label is None else label,
        **changes,
    }


def check(folder: Path, longest: int = 1000, **splits: Any) -> Checked:
    """Check SST-2 on these lines: rows, or text as it stands in the file."""
    content = {
        "train": [row(i) for i in range(20)],
        "validation": [row(i) for i in range(100, 106)],
        "test": [row(i) for i in range(200, 208)],
        **splits,
    }
    files: dict[Any, Path] = {}
    for split, lines in content.items():
        files[split] = folder / f"{split}.jsonl"
        files[split].write_text(
            "".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines)
        )
    return check_task(
        "sst2", SST2, FolderSource(files),
        count_tokens=lambda example: len(example.prompt.split()), longest=longest,
    )  # fmt: skip


def kinds(checked: Checked) -> dict[str, bool]:
    return {finding.kind: finding.invalidates for finding in checked.findings}


def test_good_rows_have_no_findings(tmp_path: Path) -> None:
    checked = check(tmp_path)
    assert checked.findings == []
    assert checked.is_valid
    assert len(checked.examples) == 3
    facts = checked.splits["test"]
    assert (facts.rows, facts.too_long, dict(facts.labels)) == (
        8, 0, {"negative": 4, "positive": 4}
    )  # fmt: skip
    assert facts.tokens_min <= facts.tokens_median <= facts.tokens_max


def test_broken_file_is_read_to_its_end(tmp_path: Path) -> None:
    bad = ["{", '["a"]', row(1, 7), row(2, sentence=None), {"label": 1}, row(3, -1)]
    checked = check(tmp_path, train=[*bad, *(row(i) for i in range(10, 30))])
    found = [f.message for f in checked.findings if f.kind == "unusable row"]
    assert len(found) == 6
    text = "\n".join(found)
    for line, words in enumerate(
        [
            "is not valid JSON",
            "expected an object",
            "'label' is 7",
            "",
            "no field",
            "unlabelled",
        ],
        start=1,
    ):
        assert any(f"train.jsonl:{line}" in m and words in m for m in found), (line, text)
    assert not checked.is_valid
    assert checked.splits["train"].rows == 20


def test_many_unusable_rows_are_counted_and_not_all_listed(tmp_path: Path) -> None:
    checked = check(tmp_path, train=["{"] * 50 + [row(1), row(2)])
    found = [f for f in checked.findings if f.kind == "unusable row"]
    assert len(found) == 21
    assert "30 more rows" in found[-1].message


def test_file_cut_short_is_a_finding(tmp_path: Path) -> None:
    whole = gzip.compress("".join(json.dumps(row(i)) + "\n" for i in range(900)).encode())
    path = tmp_path / "train.jsonl.gz"
    path.write_bytes(whole[:-200])
    source = FolderSource({"train": path, "test": path})
    checked = check_task("sst2", SST2, source, count_tokens=lambda _: 1, longest=9)
    assert "not a whole gzip file" in " ".join(f.message for f in checked.findings)
    assert not checked.is_valid


@pytest.mark.parametrize(
    ("test_row", "kind"),
    [
        (row(3), "duplicate prompts"),
        (row(0, 1, sentence="Film NUMBER  3 !"), "near-duplicate prompts"),
    ],
)
def test_training_rows_in_the_test_split_invalidate(
    tmp_path: Path, test_row: dict[str, Any], kind: str
) -> None:
    checked = check(tmp_path, test=[test_row, row(201), row(202)])
    assert kinds(checked)[kind]
    assert "shared groups" in kinds(checked)


def test_training_rows_in_the_validation_split_are_a_note(tmp_path: Path) -> None:
    checked = check(tmp_path, validation=[row(3), row(101), row(102)])
    assert kinds(checked) == {"duplicate prompts": False, "shared groups": False}
    assert checked.is_valid


def test_repeated_prompts_and_contradictions_are_noted(tmp_path: Path) -> None:
    checked = check(tmp_path, train=[row(1, 0), row(1, 1), row(2, 0), row(2, 0), row(3)])
    (finding,) = checked.findings
    assert finding.message == (
        "train: 2 prompts stand there more than once, 1 of them with different answers."
    )


@pytest.mark.parametrize(
    ("test_rows", "kind", "invalidates"),
    [
        ([row(i, 1) for i in range(200, 210)], "one label", True),
        ([row(i, int(i > 200)) for i in range(200, 230)], "one-sided labels", False),
    ],
)
def test_labels_out_of_balance(
    tmp_path: Path, test_rows: list[dict[str, Any]], kind: str, invalidates: bool
) -> None:
    assert kinds(check(tmp_path, test=test_rows)) == {kind: invalidates}


def test_rows_too_long_are_counted(tmp_path: Path) -> None:
    long = row(0, sentence="long " * 100)
    checked = check(tmp_path, longest=50, train=[long, row(1), row(2)])
    assert kinds(checked) == {"too long": False}
    assert checked.splits["train"].too_long == 1
    checked = check(tmp_path, longest=1)
    assert not checked.is_valid, "no row fits at all"


def test_special_tokens_and_rows_that_cannot_be_encoded_are_found(tmp_path: Path) -> None:
    def count(example: Example) -> int:
        if "film number 3" in example.prompt:
            raise DataError("it has no tokens")
        return 1

    check(tmp_path)
    files: Any = {s: tmp_path / f"{s}.jsonl" for s in ("train", "validation", "test")}
    checked = check_task(
        "sst2", SST2, FolderSource(files), count_tokens=count, longest=9,
        special_tokens=lambda text: ["<end>"] if "film number 1" in text else [],
    )  # fmt: skip
    first, *rest = checked.findings
    assert first.message == f"{tmp_path / 'train.jsonl'}:4: it has no tokens"
    assert first.invalidates
    assert [f.kind for f in rest] == ["special token", "special token"]
    assert f"in 11 rows, first in {tmp_path / 'train.jsonl'}:2" in rest[0].message
    assert not any(finding.invalidates for finding in rest)


def test_a_right_answer_that_its_own_task_reads_otherwise_is_found(tmp_path: Path) -> None:
    check(tmp_path)
    files: Any = {s: tmp_path / f"{s}.jsonl" for s in ("train", "validation", "test")}
    task = replace(SST2, read_answer=lambda raw: raw if raw == "negative" else None)
    checked = check_task(
        "sst2", task, FolderSource(files), count_tokens=lambda _: 1, longest=9
    )
    first = checked.findings[0]
    assert first.invalidates
    assert "train.jsonl:2: the answer 'positive' is read as None" in first.message
    assert checked.splits["train"].labels == {"negative": 10, "positive": 0}


def test_split_without_rows_is_a_finding(tmp_path: Path) -> None:
    checked = check(tmp_path, test=[])
    assert kinds(checked) == {"empty": True}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("A good film .", "a good  film", True),
        ("It's fine", "it s fine", True),
        ("3 - 4", "3 * 4", False),
        ("3-4", "3 4", False),
        ("1.5", "15", False),
        ("x = 1", "x > 1", False),
        ("Größe", "GRÖSSE", True),
        ("日本", "日 本", False),
        ("कि", "की", False),  # a vowel sign is a mark, and another word
        ("\N{THUMBS UP SIGN}", "\N{THUMBS DOWN SIGN}", False),
        ("3 \N{MULTIPLICATION SIGN} 4", "3 \N{DIVISION SIGN} 4", False),
        ("x \N{LESS-THAN OR EQUAL TO} 1", "x \N{GREATER-THAN OR EQUAL TO} 1", False),
        ("5 \N{DEGREE SIGN}C", "5 C", False),
        ("café", "cafe", False),
        ("café", "cafe\N{COMBINING ACUTE ACCENT}", True),
        ("cafe 7", "ｃａｆｅ ７", True),
        ("cafe", "c\N{CYRILLIC SMALL LETTER A}fe", True),
        ("Example", "ex\N{GREEK SMALL LETTER ALPHA}mple", True),
        ("\N{GREEK SMALL LETTER ALPHA} = 1", "a = 1", False),
        ("5 \N{GREEK SMALL LETTER MU}m", "5 mm", False),
        ("ВОДА", "вода", True),
        ("a film", "a\N{NO-BREAK SPACE}fi\N{SOFT HYPHEN}lm\N{ZERO WIDTH SPACE}", True),
        ("\N{BLACK HEART SUIT}", "\N{BLACK HEART SUIT}\N{VARIATION SELECTOR-16}", True),
        ("it \N{EM DASH} “fine”", 'it - "fine"', True),
        ("3 \N{MINUS SIGN} 4", "3 - 4", True),
        ("?!", "...", False),
    ],
)
def test_what_counts_as_the_same_text(first: str, second: str, same: bool) -> None:
    assert (normalised(first) == normalised(second)) is same


@given(st.text())
def test_what_counts_as_the_same_text_does_so_in_any_form(text: str) -> None:
    once = normalised(f"word {text}")
    assert normalised(once) == once
    assert normalised(unicodedata.normalize("NFD", f"word {text}")) == once
    assert normalised(f"  word {text}\N{ZERO WIDTH SPACE} ") == once
