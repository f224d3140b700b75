"""Anthropic's Messages API, which other servers offer, too.

https://docs.anthropic.com/en/api/messages and https://docs.anthropic.com/en/api/messages-streaming.
A provider's `extra` may name `thinking` and other fields of the request.
"""

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from llmbench.models.http_model import HttpModel, ModelRequest
from llmbench.models.stream import CompletionReader
from llmbench.models.usage import get_count

MAX_TOKENS = 4096
"""Sent if the target has no limit of its own: the protocol demands one."""


class MessagesReader(CompletionReader):
    """Reads the events of a message as chunks of a chat completion."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._counts: dict[str, int] = {}

    def _read_chunk(self, chunk: dict[str, Any]) -> None:
        if chunk.get("type") == "message_stop":
            self._ended = time.perf_counter()
        elif translated := self._translate(chunk):
            super()._read_chunk(translated)

    def _translate(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return an event, or a whole message, as a chunk; empty if it tells nothing."""
        match event.get("type"):
            case "message_start":
                message = event["message"]
                # Its count of output tokens is no more than a placeholder.
                usage = self._all_counts({**message["usage"], "output_tokens": None})
                return {"model": message.get("model"), "usage": usage}
            case "content_block_start":
                return _chunk(_delta_of_block(event["content_block"]))
            case "content_block_delta":
                return _chunk(_delta(event["delta"]))
            case "message_delta":
                chunk = _chunk({}, event["delta"].get("stop_reason"))
                return chunk | {"usage": self._all_counts(event.get("usage") or {})}
            case "message":
                choice = {"message": {"content": event["content"]}}
                return {
                    "model": event.get("model"),
                    "choices": [choice | {"finish_reason": event.get("stop_reason")}],
                    "usage": self._all_counts(event.get("usage") or {}),
                }
            case "ping" | "content_block_stop":
                return {}
        return dict(event)

    def _all_counts(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        """Return all counts so far, in the form of a chat completion; the latest count holds."""
        details = usage.get("output_tokens_details")
        places: Mapping[str, object] = {**dict.fromkeys(usage, usage), "thinking_tokens": details}
        for name, place in places.items():
            count = get_count(place, name)
            if count is not None:
                self._counts[name] = count
        written, cached = (
            self._counts.get(f"cache_{name}_input_tokens", 0) for name in ("creation", "read")
        )
        uncached = self._counts.get("input_tokens")
        return {
            "prompt_tokens": None if uncached is None else uncached + written + cached,
            "completion_tokens": self._counts.get("output_tokens"),
            "completion_tokens_details": {"reasoning_tokens": self._counts.get("thinking_tokens")},
            "prompt_tokens_details": {"cached_tokens": cached},
        }


def _chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"delta": delta, "finish_reason": finish_reason}]}


def _delta(delta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the text or thinking of a delta; other content shows that the model is at work."""
    match delta.get("type"):
        case "text_delta":
            return {"content": delta["text"]}
        case "thinking_delta":
            return {"reasoning_content": delta["thinking"]}
    return {"other": delta}


def _delta_of_block(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return the text or thinking with which a block of content begins."""
    match block.get("type"):
        case "text":
            return {"content": block.get("text")}
        case "thinking":
            return {"reasoning_content": block.get("thinking")}
    return {"other": block}


class MessagesModel(HttpModel):
    """One target at a server with the Messages API."""

    path = "messages"
    replacements: ClassVar = {"stream": None, "temperature": None}
    unknown_params = ("seed", "min_p")
    reader_class: ClassVar = MessagesReader

    def make_body(self, request: ModelRequest) -> dict[str, Any]:
        """See `HttpModel.make_body`."""
        system = [message.content for message in request.messages if message.role == "system"]
        body: dict[str, Any] = {
            "model": self.target.model,
            "max_tokens": MAX_TOKENS,
            "messages": [
                message._asdict() for message in request.messages if message.role != "system"
            ],
            "stream": request.streamed,
        }
        if system:
            body["system"] = "\n\n".join(system)
        params = dict(request.params)
        effort = params.pop("reasoning_effort", None)
        if effort == "none":
            body["thinking"] = {"type": "disabled"}
        elif effort is not None:
            body["output_config"] = {"effort": effort}
        return body | params
