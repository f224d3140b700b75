"""Finish reasons are sorted by their meaning."""

import pytest

from llmbench.completions import Completion
from llmbench.finish_reasons import Ending, ending

REASONS: dict[Ending, list[str | None]] = {
    Ending.OPEN: [None, "", " ", "null", "None", "undefined"],
    Ending.COMPLETE: [
        "stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence", "tool_calls", "repetition",
        "function_call_filter: MALFORMED_FUNCTION_CALL", "OTHER", "unknown",
    ],
    Ending.CUT: [
        "length", "MAX_TOKENS", "max_new_tokens", "max_output_tokens", "model_length",
        "model_context_window_exceeded", "token_limit", "context_length_exceeded", "truncated",
    ],
    Ending.FILTERED: [
        "content_filter", "SAFETY", "content_filter: RECITATION", "PROHIBITED_CONTENT", "blocklist",
        "guardrail_intervened", "sensitive",
    ],
    Ending.BROKEN: [
        "error", "abort", "aborted", "cancelled", "canceled_by_user", "timeout", "timed_out",
        "deadline_exceeded", "network_error", "insufficient_system_resource", "disconnected",
        "server_shutdown", "rate_limit",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [(reason, meaning) for meaning, reasons in REASONS.items() for reason in reasons],
)
def test_a_finish_reason_has_the_meaning_of_its_words(reason: str | None, meaning: Ending) -> None:
    assert ending(reason) is meaning
    assert Completion("", finish_reason=reason).truncated == (meaning is Ending.CUT)
