"""Classification of server errors, and the waits that servers request."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import pytest

from llmbench.errors import AttemptError, ModelError, TargetError, TransientError
from llmbench.models.chat import ChatModel
from llmbench.models.errors import ErrorMapper, parse_error
from llmbench.models.providers import PROVIDERS
from llmbench.models.rate_headers import reset_after, retry_after, server_wait
from llmbench.models.unsupported import unsupported_param

KEY = "sk-or-v1-secret"
ERRORS = ErrorMapper("openrouter/m", "https://openrouter.ai/api/v1", PROVIDERS["openrouter"], KEY)


def openai_error(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "x", "param": None, "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (408, openai_error("Timed out"), TransientError),
        (409, openai_error("Conflict"), TransientError),
        (425, openai_error("Too early"), TransientError),
        (429, openai_error("Rate limit reached for tokens per minute"), TransientError),
        (429, openai_error("You exceeded your current quota, check your plan"), TransientError),
        (429, openai_error("You exceeded your current quota", "insufficient_quota"), TargetError),
        (500, openai_error("The server had an error"), TransientError),
        (502, "<html><title>502 Bad Gateway</title></html>", TransientError),
        (503, {"error": "Loading model"}, TransientError),
        (529, openai_error("Overloaded"), TransientError),
        (500, openai_error("the request exceeds the available context size"), AttemptError),
        (400, openai_error("This model's maximum context length is 8192", "x"), AttemptError),
        (
            400,
            {"error": "Trying to keep the first 9 tokens when context the overflows"},
            AttemptError,
        ),
        (400, openai_error("x", "context_length_exceeded"), AttemptError),
        (400, openai_error("The input token count (9) exceeds the maximum (8)"), AttemptError),
        (413, openai_error("Request too large"), AttemptError),
        (400, openai_error("Response was filtered", "content_filter"), AttemptError),
        (403, openai_error("requires moderation and your input was flagged"), AttemptError),
        (400, openai_error("Something about this request"), AttemptError),
        (400, openai_error("Your credit balance is too low"), TargetError),
        (401, openai_error("No auth credentials found"), TargetError),
        (400, openai_error("API key not valid. Please pass a valid API key."), TargetError),
        (400, openai_error("Incorrect API key provided: xa***ey"), TargetError),
        (402, openai_error("Insufficient credits"), TargetError),
        (403, openai_error("Country not supported"), TargetError),
        (404, openai_error("The model `m` does not exist", "model_not_found"), TargetError),
        (404, "404 page not found", TargetError),
        (400, openai_error("m is not a valid model ID"), TargetError),
        (400, {"error": "No models loaded. Please load a model"}, TargetError),
        (405, "Method Not Allowed", TargetError),
        (307, "", TargetError),
    ],
)
def test_every_refusal_is_classified(status: int, body: Any, kind: type[ModelError]) -> None:
    raw = body if isinstance(body, str) else json.dumps(body)
    error = ERRORS.from_status(status, {}, raw.encode())
    assert type(error) is kind
    assert str(error).startswith(f"openrouter/m: HTTP {status}")
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "a"}}, "a"),
        ({"error": "a"}, "a"),
        ([{"error": {"message": "a", "status": "X"}}], "a"),
        ({"detail": "a"}, "a"),
        ({"object": "error", "message": "a"}, "a"),
        ({"error": {"message": "Provider returned error", "metadata": {"raw": "a"}}}, None),
        ({"detail": [{"loc": ["body", "n"], "msg": "a"}]}, None),
        ("a", "a"),
        ([], None),
        (None, None),
    ],
)
def test_the_message_is_found_in_every_form_of_error(body: Any, message: str | None) -> None:
    error = parse_error(json.dumps(body).encode())
    if message is None:
        assert "a" in error.message or not body
    else:
        assert error.message == message


def test_the_hint_for_a_missing_or_wrong_key_names_the_variable() -> None:
    for errors, verb in ((replace(ERRORS, key=None), "set"), (ERRORS, "check")):
        error = errors.from_status(401, {}, b'{"error": {"message": "No auth credentials found"}}')
        assert error.message.endswith("No auth credentials found")
        assert error.hint == f"{verb} OPENROUTER_API_KEY"


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("max_tokens is too large: 99999. This model supports at most 4096", "change --max-tokens"),
        ("Invalid max_completion_tokens value", "change --max-tokens"),
        ("temperature: range: 0..1", "change --temperature"),
        ("max_tokens and your prompt are more than I can", None),
    ],
)
def test_an_invalid_parameter_stops_the_target(message: str, hint: str | None) -> None:
    error = ERRORS.from_status(400, {}, json.dumps(openai_error(message)).encode())
    assert isinstance(error, TargetError) == (hint is not None)
    assert hint is None or error.hint == hint


def test_a_key_that_the_server_repeats_is_redacted() -> None:
    body = json.dumps(openai_error(f"Incorrect API key provided: {KEY}.")).encode()
    error = ERRORS.from_status(401, {}, body)
    assert KEY not in str(error) + repr(error) + repr(ERRORS)
    assert "***" in str(error)


def test_a_servers_text_is_quoted_on_one_short_line() -> None:
    error = ERRORS.from_status(500, {}, b"a\r\n\x1b[31mred\x00" + b"long " * 200)
    assert str(error).isprintable()
    assert len(str(error)) < 260


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "36.5s"}, 36.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(("ahead", "seconds"), [(30, 30), (-30, 0)])
def test_retry_after_is_read_as_a_date(ahead: float, seconds: float) -> None:
    date = formatdate(time.time() + ahead, usegmt=True)
    assert retry_after({"retry-after": date}) == pytest.approx(seconds, abs=2)


def test_an_error_inside_a_stream_is_classified_by_its_own_code() -> None:
    assert type(ERRORS.from_event(openai_error("Overloaded", "overloaded"))) is TransientError
    assert type(ERRORS.from_event({"error": {"code": 402, "message": "no credit"}})) is TargetError
    assert type(ERRORS.from_event({"error": {"code": "401", "message": "no key"}})) is TargetError
    assert type(ERRORS.from_event({"error": {"code": 502, "message": "down"}})) is TransientError
    assert type(ERRORS.from_event(openai_error("x", "context_length_exceeded"))) is AttemptError


@pytest.mark.parametrize(
    ("body", "overload"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, True),
        ({"code": "rate_limit_exceeded", "message": "x"}, True),
        ({"code": "429", "message": "x"}, True),
        ({"status": "RESOURCE_EXHAUSTED", "message": "x"}, True),
        ({"code": "500", "message": "x"}, False),
        ({"type": "server_error", "message": "x"}, False),
    ],
)
def test_an_overload_is_recognized_inside_a_stream(body: dict[str, Any], overload: bool) -> None:
    error = ERRORS.from_event({"error": body})
    assert isinstance(error, TransientError)
    assert error.overload == overload


REQUEST = {"stream_options": {}, "max_tokens": 9, "temperature": 0.2, "seed": 1}


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (openai_error("Unrecognized request argument supplied: stream_options"), "stream_options"),
        ({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "No"}]}, "seed"),
        (
            openai_error("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'."),
            "max_tokens",
        ),
        (openai_error("'temperature' does not support 0.2 with this model."), "temperature"),
        (openai_error("max_tokens is too large: 99999"), None),
        (openai_error("temperature must be at most 2"), None),
        (openai_error("Unsupported parameter: 'tools'"), None),
    ],
)
def test_only_an_unsupported_parameter_is_dropped(body: dict[str, Any], name: str | None) -> None:
    assert unsupported_param(REQUEST, parse_error(body), ChatModel.replacements) == name
    assert unsupported_param({}, parse_error(body), ChatModel.replacements) is None


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("1s", 1),
        ("20ms", 0.02),
        ("6m0s", 360),
        ("2m59.56s", 179.56),
        ("1h2m", 3720),
        ("12", 12),
        ("0.5", 0.5),
        ("soon", None),
        ("", None),
        ("-4s", None),
    ],
)
def test_the_reset_of_a_rate_limit_is_read_in_seconds(reset: str, seconds: float | None) -> None:
    assert reset_after({"x-ratelimit-reset-tokens": reset}) == pytest.approx(seconds)


@pytest.mark.parametrize("shape", ["{:.0f}", "{:.3f}", "ms", "iso"])
def test_the_reset_of_a_rate_limit_is_read_as_a_time(shape: str) -> None:
    then = time.time() + 30
    text = {
        "ms": str(int(then * 1000)),
        "iso": datetime.fromtimestamp(then, UTC).isoformat(),
    }.get(shape, shape.format(then))
    assert reset_after({"x-ratelimit-reset": text}) == pytest.approx(30, abs=2)


def test_of_several_limits_the_exhausted_one_counts() -> None:
    headers = {
        "x-ratelimit-reset-requests": "1h",
        "x-ratelimit-reset-tokens": "7s",
        "x-ratelimit-remaining-requests": "99",
        "x-ratelimit-remaining-tokens": "0",
    }
    assert reset_after(headers) == 7
    assert reset_after(headers | {"x-ratelimit-remaining-requests": "0"}) == 3600


def test_the_reset_headers_of_anthropic_are_read() -> None:
    then = datetime.fromtimestamp(time.time() + 20, UTC).isoformat().replace("+00:00", "Z")
    headers = {
        "anthropic-ratelimit-requests-reset": "2020-01-01T00:00:00Z",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-output-tokens-reset": then,
        "anthropic-ratelimit-output-tokens-remaining": "0",
    }
    assert server_wait(headers, limited=True) == pytest.approx(20, abs=2)


def test_a_reset_counts_only_for_a_rate_limit_and_after_retry_after() -> None:
    headers = {"x-ratelimit-reset": "40"}
    assert server_wait(headers, limited=True) == 40
    assert server_wait(headers, limited=False) is None
    assert server_wait(headers | {"retry-after": "3"}, limited=True) == 3
