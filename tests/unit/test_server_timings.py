"""Measurements of servers, in the form of each, and hostile ones."""

from typing import Any

import pytest

from llmbench.completions import ServerTimings, TimingSource
from llmbench.models.server_timings import parse_server_timings

LLAMACPP = {
    "cache_n": 0, "prompt_n": 808, "prompt_ms": 1283.01, "prompt_per_token_ms": 1.58,
    "prompt_per_second": 629.77, "predicted_n": 665, "predicted_ms": 20629.211,
    "predicted_per_token_ms": 31.02, "predicted_per_second": 32.2357, "draft_n": 604,
    "draft_n_accepted": 515,
}  # fmt: skip
OLLAMA = {
    "total_duration": 5191566416, "load_duration": 2154458, "prompt_eval_count": 26,
    "prompt_eval_duration": 400000000, "eval_count": 298, "eval_duration": 4_000_000_000,
}  # fmt: skip
LMSTUDIO = {"tokens_per_second": 51.43, "time_to_first_token": 0.111, "generation_time": 0.954}
VLLM = {
    "time_to_first_token_ms": 85.2, "generation_time_ms": 1240.5, "queue_time_ms": 12.3,
    "mean_itl_ms": 9.1, "tokens_per_second": 103.2,
}  # fmt: skip
GROQ = {
    "queue_time": 0.0378, "prompt_tokens": 100, "prompt_time": 0.05, "completion_tokens": 556,
    "completion_time": 0.5, "total_tokens": 656, "total_time": 0.464,
}  # fmt: skip
CEREBRAS = {"queue_time": 1e-4, "prompt_time": 0.05, "completion_time": 0.5, "total_time": 0.6}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"timings": LLAMACPP}, (TimingSource.LLAMACPP, 629.77, 32.2357, 0, 604, 515)),
        ({"ollama": OLLAMA}, (TimingSource.OLLAMA, 65.0, 74.5, None, None, None)),
        (
            {"stats": LMSTUDIO, "usage": {"total_draft_tokens_count": 12,
                                          "accepted_draft_tokens_count": 10}},
            (TimingSource.LMSTUDIO, None, 51.43, None, 12, 10),
        ),
        ({"metrics": VLLM}, (TimingSource.VLLM, None, 103.2, None, None, None)),
        ({"usage": GROQ}, (TimingSource.GROQ, 2000.0, 1112.0, None, None, None)),
        (
            {"time_info": CEREBRAS, "usage": {"prompt_tokens": 100, "completion_tokens": 556}},
            (TimingSource.CEREBRAS, 2000.0, 1112.0, None, None, None),
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)  # fmt: skip
def test_each_form_is_read(fields: dict[str, Any], expected: tuple[Any, ...]) -> None:
    timings = parse_server_timings(fields)
    assert timings is not None
    source, prompt, decode, *counts = expected
    assert timings.source is source
    assert timings.prompt_tokens_per_second == (None if prompt is None else pytest.approx(prompt))
    assert timings.decode_tokens_per_second == pytest.approx(decode)
    assert [timings.cached_tokens, timings.drafted_tokens, timings.accepted_tokens] == counts


def test_the_rest_of_a_cached_prompt_and_a_single_token_have_no_speed() -> None:
    fields = LLAMACPP | {"cache_n": 804, "prompt_n": 4, "predicted_n": 1}
    timings = parse_server_timings({"timings": fields})
    assert timings == ServerTimings(TimingSource.LLAMACPP, None, None, 804, 604, 515)


ODD: list[Any] = [
    None,
    True,
    "12",
    -1,
    0,
    1e300,
    float("nan"),
    float("inf"),
    10**400,
    [],
    {},
    [1, 2],
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
@pytest.mark.parametrize(
    ("name", "form"),
    [("timings", LLAMACPP), ("ollama", OLLAMA), ("stats", LMSTUDIO), ("metrics", VLLM),
     ("usage", GROQ), ("time_info", CEREBRAS)],
)  # fmt: skip
def test_anything_odd_is_none_and_never_an_error(
    name: str, form: dict[str, Any], odd: object
) -> None:
    for field in form:
        timings = parse_server_timings({name: form | {field: odd}})
        speeds: tuple[float | None, ...] = ()
        if timings is not None:
            speeds = (timings.prompt_tokens_per_second, timings.decode_tokens_per_second)
        assert all(speed is None or 0 < speed <= 1e6 for speed in speeds)
    assert parse_server_timings({name: odd}) is None
    nothing = parse_server_timings({name: dict.fromkeys(form, odd)})
    assert nothing is None or not nothing.has_speed
