"""What becomes of training examples that are too long."""

from __future__ import annotations

from peftbench.encoding.bounded import bounded
from peftbench.encoding.encode import Encoded


def row(prompt: int, completion: int = 2) -> Encoded:
    return Encoded(tuple(range(prompt)), tuple(range(100, 100 + completion)))


def test_what_is_too_long_is_left_out_whole_while_something_fits() -> None:
    short, edge, long = row(3), row(8), row(9)
    found = bounded([short, long, edge], 10)
    assert (list(found.rows), found.left_out, found.cut) == ([short, edge], 1, 0)


def test_where_nothing_fits_prompts_lose_their_start_and_never_the_answer() -> None:
    found = bounded([row(20), row(30, 4)], 10)
    assert [len(kept) for kept in found.rows] == [10, 10]
    assert found.rows[0].prompt == tuple(range(12, 20))
    assert found.rows[1].prompt == tuple(range(24, 30))
    assert found.rows[1].completion == (100, 101, 102, 103)
    assert (found.left_out, found.cut) == (0, 2)


def test_an_answer_without_room_for_a_prompt_is_left_out() -> None:
    found = bounded([row(20), row(5, 10), row(5, 30)], 10)
    assert (len(found.rows), found.left_out, found.cut) == (1, 2, 1)
    assert bounded([row(5, 10)], 10).rows == []
