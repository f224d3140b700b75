"""Replies to the same prompt in each protocol, in the form of the servers' documentation."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.scripted_server import EVENTS, Script, chunk, event

JSON = "application/json"
PIECES = ("He", "llo", " wo", "rld")
THOUGHT = "I think."
MODEL = "served-model"


@dataclass(frozen=True)
class Replies:
    """The replies of one protocol; `provider` is one that speaks it.

    `start`, `thought`, `pieces` and `end` make up a streamed answer of "Hello world" with 7 tokens,
    `cut` is the end of one at its token limit. `broken` is an error inside a stream. `whole` is the
    answer without streaming.
    """

    provider: str
    start: Sequence[bytes]
    thought: bytes
    pieces: Sequence[bytes]
    end: Sequence[bytes]
    cut: Sequence[bytes]
    broken: bytes
    whole: Mapping[str, Any]
    busy: Mapping[str, Any]
    wrong_key: Mapping[str, Any]
    unknown_model: Mapping[str, Any]
    path: str
    key_header: str = "authorization: bearer "
    content_type: str = EVENTS

    def hello(self, pause: float = 0.0) -> Script:
        """Return an answer whose first piece comes after 0.1 s, and others after pauses."""
        parts: list[bytes | float] = [0.1, *self.start, self.thought]
        for piece in self.pieces:
            parts += [piece, pause]
        return Script([*parts, *self.end], content_type=self.content_type)

    def script(self, *parts: bytes, **options: Any) -> Script:
        """Return an answer of these parts."""
        return Script(parts, content_type=self.content_type, **options)


def refusal(body: Mapping[str, Any], status: int, *headers: str) -> Script:
    """Return a response with an error."""
    return Script([json.dumps(body).encode()], status, JSON, headers)


def line(data: Mapping[str, Any]) -> bytes:
    """Return a line of JSON."""
    return json.dumps(data, ensure_ascii=False).encode() + b"\n"


def named(name: str, **data: Any) -> bytes:
    """Return an event of the Messages API."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), json.dumps({"type": name, **data}).encode())


def _openai_error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": code}}


_USAGE = {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19}
CHAT = Replies(
    provider="openrouter",
    start=[event(chunk("", role="assistant"))],
    thought=event(chunk(None, reasoning_content=THOUGHT)),
    pieces=[event(chunk(piece)) for piece in PIECES],
    end=[
        event(chunk(None, "stop")), event({"choices": [], "usage": _USAGE}), b"data: [DONE]\n\n",
    ],
    cut=[
        event(chunk(None, "length")), event({"choices": [], "usage": _USAGE}), b"data: [DONE]\n\n",
    ],
    broken=event({"error": {"message": "the model crashed", "code": 500}}),
    whole={
        "object": "chat.completion", "model": MODEL, "usage": _USAGE,
        "choices": [
            {
                "index": 0, "finish_reason": "stop",
                "message": {
                    "role": "assistant", "content": "".join(PIECES), "reasoning_content": THOUGHT,
                },
            }
        ],
    },
    busy=_openai_error("Rate limit reached", "rate_limit_exceeded"),
    wrong_key=_openai_error("Incorrect API key provided", "invalid_api_key"),
    unknown_model=_openai_error("The model `m` does not exist", "model_not_found"),
    path="/v1/chat/completions",
)  # fmt: skip

_TIMES = {
    "total_duration": 5_191_566_416, "load_duration": 2_154_458, "prompt_eval_count": 12,
    "prompt_eval_duration": 100_000_000, "eval_count": 7, "eval_duration": 350_000_000,
}  # fmt: skip


def _ollama(message: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    created = "2026-11-30T10:00:00.123456789Z"
    message = {"role": "assistant", "content": "", **message}
    return {"model": MODEL, "created_at": created, "message": message, "done": False, **fields}


OLLAMA = Replies(
    provider="ollama",
    start=[],
    thought=line(_ollama({"thinking": THOUGHT})),
    pieces=[line(_ollama({"content": piece})) for piece in PIECES],
    end=[line(_ollama({}, done=True, done_reason="stop", **_TIMES))],
    cut=[line(_ollama({}, done=True, done_reason="length", **_TIMES))],
    broken=line({"error": "an error was encountered while running the model: crashed"}),
    whole=_ollama(
        {"content": "".join(PIECES), "thinking": THOUGHT}, done=True, done_reason="stop", **_TIMES
    ),
    busy={"error": "server busy, please try again.  maximum pending requests exceeded"},
    wrong_key={"error": "unauthorized"},
    unknown_model={"error": 'model "m" not found, try pulling it first'},
    path="/api/chat",
    content_type="application/x-ndjson",
)

_START: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": MODEL,
    "stop_reason": None, "stop_sequence": None,
    "usage": {
        "input_tokens": 7, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3,
        "output_tokens": 1,
    },
}  # fmt: skip


def _block(index: int, block: Mapping[str, Any]) -> bytes:
    return named("content_block_start", index=index, content_block=block)


def _delta(index: int, **delta: Any) -> bytes:
    return named("content_block_delta", index=index, delta=delta)


def _message_end(reason: str) -> list[bytes]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [
        named("content_block_stop", index=1),
        named("message_delta", delta=delta, usage={"output_tokens": 7}),
        named("message_stop"),
    ]


def _anthropic_error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


MESSAGES = Replies(
    provider="anthropic",
    start=[
        named("message_start", message=_START),
        _block(0, {"type": "thinking", "thinking": "", "signature": ""}),
        named("ping"),
    ],
    thought=_delta(0, type="thinking_delta", thinking=THOUGHT)
    + _delta(0, type="signature_delta", signature="EqQBCgIYAhIM1gbcDa9GJwZA2b3h")
    + named("content_block_stop", index=0)
    + _block(1, {"type": "text", "text": ""}),
    pieces=[_delta(1, type="text_delta", text=piece) for piece in PIECES],
    end=_message_end("end_turn"),
    cut=_message_end("max_tokens"),
    broken=named("error", error={"type": "overloaded_error", "message": "Overloaded"}),
    whole=_START
    | {
        "content": [
            {"type": "thinking", "thinking": THOUGHT, "signature": "WaUjzkypQ2mUEVM36O2T"},
            {"type": "text", "text": "".join(PIECES)},
        ],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": 7, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3,
            "output_tokens": 7,
        },
    },
    busy=_anthropic_error("rate_limit_error", "This request would exceed the rate limit"),
    wrong_key=_anthropic_error("authentication_error", "invalid x-api-key"),
    unknown_model=_anthropic_error("not_found_error", "model: m"),
    path="/v1/messages",
    key_header="x-api-key: ",
)  # fmt: skip

REPLIES = {"chat": CHAT, "ollama": OLLAMA, "messages": MESSAGES}
"""The replies by protocol; a test demands that no protocol is missing."""
