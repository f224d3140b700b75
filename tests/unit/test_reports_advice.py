"""Sentences at the end of a summary: oddities of answers, and advice."""

from typing import Any

import pytest
from helpers.factories import row

from llmbench.reports.advice import advice
from llmbench.store import tables


def sentences(*rows: dict[str, Any]) -> list[str]:
    """The advice about rows with these changes."""
    table = tables.to_frame(row(run=run, **changes) for run, changes in enumerate(rows, 1))
    return [text.plain for text in advice(table)]


def test_usual_answers_need_no_advice() -> None:
    assert sentences({}, {"reasoning_effort": "high", "has_reasoning": True}) == []
    assert sentences({"reasoning_effort": "none", "has_reasoning": False}) == []
    assert sentences({"reasoning_effort": "high", "has_reasoning": None}) == []


def test_reasoning_that_was_asked_for_and_did_not_come_is_reported_with_its_share() -> None:
    asked = {"params": '{"think": true}'}
    (text,) = sentences({**asked, "has_reasoning": False}, {**asked, "has_reasoning": True})
    assert text == (
        "lmstudio/m: reasoning was asked for (think true), and 1 of 2 answers (50%) have none that "
        "the server shows."
    )


def test_reasoning_that_came_although_it_was_turned_off_is_reported() -> None:
    (text,) = sentences({"reasoning_effort": "none", "has_reasoning": True})
    assert text == (
        "lmstudio/m: no reasoning was asked for (reasoning_effort none), and 1 of 1 answer (100%) "
        "have some: the parameter did not take effect."
    )


def test_answers_cut_at_the_limit_ask_for_a_larger_one() -> None:
    cut = {"outcome": "truncated", "score": 0.0, "passed": False, "finish_reason": "length"}
    (text,) = sentences({**cut, "completion_tokens": 4096, "usage_source": "server"})
    assert text == "1 answer was cut at the token limit: try a larger --max-tokens."
    assert sentences(cut | {"completion_tokens": 3000, "usage_source": "estimated"}) == [text]


def test_answers_cut_below_the_limit_were_cut_by_the_server() -> None:
    cut = {
        "outcome": "truncated",
        "score": 0.0,
        "passed": False,
        "finish_reason": "length",
        "usage_source": "server",
        "context_length": 4096,
    }
    (text,) = sentences(cut | {"completion_tokens": 3100}, cut | {"completion_tokens": 3500})
    assert text == (
        "lmstudio/m: 2 answers ended for reasons of length after 3100 to 3500 tokens, below "
        "--max-tokens 4096: the server cut them, probably at the end of its context of 4096 "
        "tokens. Load the model with a larger context."
    )


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("provider_reported", "came from several providers"),
        ("model_reported", "came from several models or versions"),
        ("quantization", "came from several quantizations"),
    ],
)
def test_a_target_of_several_sources_is_named_with_their_shares(column: str, words: str) -> None:
    (text,) = sentences({column: "a"}, {column: "b"}, {column: "a"}, {column: None})
    assert text == f"lmstudio/m: answers {words}: a (2), b (1)."


def test_replayed_answers_need_no_advice_about_servers() -> None:
    assert sentences({"model_reported": "a", "replayed": True}, {"replayed": True}) == []
