"""Measurements that servers send with an answer, in the form of each kind of server.

llama.cpp: `timings` (https://github.com/ggml-org/llama.cpp/tree/master/tools/server). Ollama: the
last object of `/api/chat` (https://github.com/ollama/ollama/blob/main/docs/api.md). LM Studio:
`stats` (https://lmstudio.ai/docs/developer/rest/endpoints). vLLM: `metrics`, if it is started with
`--enable-per-request-metrics` and asked for `include_metrics`. Groq: times in `usage`. Cerebras:
`time_info`. Anything odd is None: a server may send what it likes.
"""

from collections.abc import Callable, Mapping
from typing import Any

from llmbench.completions import ServerTimings, TimingSource
from llmbench.models.usage import at_most, get_count, get_number

MAX_SPEED = 1e6
"""A higher speed in tokens per second is a fault: the time of too few tokens, or of none."""

MIN_TOKENS = 2
"""Fewer tokens than this have no speed."""

CACHED_SHARE = 0.5
"""A prompt is mostly cached from this share on. The rest of it has no speed worth to be told."""

NANOSECOND = 1e-9
OLLAMA_FIELD = "ollama"
"""Field of a chunk that holds the last object of an answer in Ollama's own protocol."""


def parse_server_timings(fields: Mapping[str, Any]) -> ServerTimings | None:
    """Return the measurements in the fields of a chunk, None if it has none."""
    for name, parse in _FORMS.items():
        value = fields.get(name)
        if isinstance(value, Mapping):
            timings = parse(value, fields)
            if timings is not None and any(_values(timings)):
                return timings
    return None


def _values(timings: ServerTimings) -> list[bool]:
    measured = (timings.cached_tokens, timings.drafted_tokens, timings.accepted_tokens)
    return [timings.has_speed, *(value is not None for value in measured)]


def _speed(tokens: int | None, seconds: float | None) -> float | None:
    """Return tokens per second; None for too few tokens and impossible times."""
    if tokens is None or seconds is None or tokens < MIN_TOKENS or seconds <= 0:
        return None
    return _possible(tokens / seconds)


def _possible(speed: float | None) -> float | None:
    return speed if speed is not None and 0 < speed <= MAX_SPEED else None


def _llamacpp(timings: Mapping[str, Any], _: Mapping[str, Any]) -> ServerTimings | None:
    if "predicted_n" not in timings:
        return None
    prompt, cached = get_count(timings, "prompt_n"), get_count(timings, "cache_n")
    predicted = get_count(timings, "predicted_n") or 0
    drafted = get_count(timings, "draft_n")
    decode = _possible(get_number(timings, "predicted_per_second"))
    read = _possible(get_number(timings, "prompt_per_second"))
    is_read = (prompt or 0) >= max(MIN_TOKENS, CACHED_SHARE * ((prompt or 0) + (cached or 0)))
    return ServerTimings(
        TimingSource.LLAMACPP,
        prompt_tokens_per_second=read if is_read else None,
        decode_tokens_per_second=decode if predicted >= MIN_TOKENS else None,
        cached_tokens=cached,
        drafted_tokens=drafted,
        accepted_tokens=at_most(get_count(timings, "draft_n_accepted"), drafted),
    )


def _ollama(last: Mapping[str, Any], _: Mapping[str, Any]) -> ServerTimings:
    def speed(name: str) -> float | None:
        nanoseconds = get_number(last, f"{name}_duration")
        seconds = None if nanoseconds is None else nanoseconds * NANOSECOND
        return _speed(get_count(last, f"{name}_count"), seconds)

    return ServerTimings(TimingSource.OLLAMA, speed("prompt_eval"), speed("eval"))


def _lmstudio(stats: Mapping[str, Any], fields: Mapping[str, Any]) -> ServerTimings | None:
    if "tokens_per_second" not in stats:
        return None
    places = (stats, fields.get("usage"))
    drafted, accepted = (
        next((count for count in (get_count(p, name) for p in places) if count is not None), None)
        for name in ("total_draft_tokens_count", "accepted_draft_tokens_count")
    )
    return ServerTimings(
        TimingSource.LMSTUDIO,
        decode_tokens_per_second=_possible(get_number(stats, "tokens_per_second")),
        drafted_tokens=drafted,
        accepted_tokens=at_most(accepted, drafted),
    )


def _vllm(metrics: Mapping[str, Any], _: Mapping[str, Any]) -> ServerTimings | None:
    if "generation_time_ms" not in metrics:
        return None
    decode = _possible(get_number(metrics, "tokens_per_second"))
    return ServerTimings(TimingSource.VLLM, decode_tokens_per_second=decode)


def _timed_parts(source: TimingSource) -> Callable[..., ServerTimings | None]:
    """Return the parser of a form with the seconds of prompt and completion."""

    def parse(times: Mapping[str, Any], fields: Mapping[str, Any]) -> ServerTimings | None:
        if "completion_time" not in times or "prompt_time" not in times:
            return None
        usage = fields.get("usage")
        prompt = _speed(get_count(usage, "prompt_tokens"), get_number(times, "prompt_time"))
        decode = _speed(get_count(usage, "completion_tokens"), get_number(times, "completion_time"))
        return ServerTimings(source, prompt, decode)

    return parse


_FORMS: Mapping[str, Callable[..., ServerTimings | None]] = {
    "timings": _llamacpp,
    OLLAMA_FIELD: _ollama,
    "stats": _lmstudio,
    "metrics": _vllm,
    "time_info": _timed_parts(TimingSource.CEREBRAS),
    "usage": _timed_parts(TimingSource.GROQ),
}

TIMING_FIELDS = tuple(name for name in _FORMS if name != "usage")
"""Fields of a chunk that may hold measurements, beside its `usage`."""
