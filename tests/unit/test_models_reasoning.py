"""The start of the answer after reasoning, in pieces as they stream."""

from itertools import pairwise

import pytest
from helpers.reasoning import FORMS, QUOTATION
from hypothesis import given
from hypothesis import strategies as st

from llmbench.models.reasoning import AnswerStartDetector
from llmbench.models.usage import estimate


def start_piece(*pieces: str) -> float | None:
    """The number of the piece with which the answer begins, from 1."""
    detector = AnswerStartDetector()
    for number, piece in enumerate(pieces, 1):
        detector.feed(piece, float(number))
    return detector.started_at


@pytest.mark.parametrize(
    ("pieces", "begins"),
    [
        (["def f():", " ..."], 1),
        ([" ", "\n", "x"], 3),
        (["<think>", "Hm.", "</think>", "\n\n", "x", "y"], 5),
        (["\n<Thinking>Hm.</thinking>x"], 1),
        (["<", "think", ">a", "</", "thi", "nk>", "x"], 7),
        (["<", "ol>", "x"], 1),
        (["<div>", "x"], 1),
        (["Hm.", "So", "</think>", "x"], 4),
        (["Hm.</think>", "x"], 2),
        (["<think>", "never closed"], None),
        (["<think>a</think>"], None),
        (["<think>a</think>", "\n", "<think>b</think>", "x"], 4),
        (["Hm.", "[/", "THINK", "]", "x"], 5),
        (["analysis", " of it", "."], 1),
        (["<"], 1),
        ([], None),
    ],
)
def test_the_answer_begins_after_the_reasoning(pieces: list[str], begins: float | None) -> None:
    assert start_piece(*pieces) == begins


@given(st.data())
def test_the_answer_begins_at_the_same_character_wherever_the_text_is_split(
    data: st.DataObject,
) -> None:
    text = "<think>if a < b: </thin> no</think>\nX = 1"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1))))
    bounds = [0, *cuts, len(text)]
    pieces = [text[a:b] for a, b in pairwise(bounds)]
    begins = start_piece(*pieces)
    assert begins is not None
    assert "X" in pieces[int(begins) - 1]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(("opening", "closing"), FORMS.values(), ids=FORMS)
def test_the_answer_begins_after_reasoning_in_every_known_form(
    opening: str, closing: str, size: int
) -> None:
    text = f"{opening}First. If a < b:\n```python\nx\n```\nNo.\n{closing}"
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    begins = start_piece(*pieces, "\n", "Answer")
    assert begins == len(pieces) + 2


def test_the_answer_begins_after_a_quotation() -> None:
    assert start_piece(*QUOTATION, "Answer") == len(QUOTATION) + 1


def test_tokens_are_estimated_from_bytes_and_rounded_up() -> None:
    assert estimate() == estimate("") == 0
    assert estimate("a") == 1
    assert estimate("abcd", "e") == 2
    assert estimate("日本") == 2
    assert estimate("\ud83c") == 1
