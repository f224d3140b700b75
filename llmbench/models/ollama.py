"""Ollama's own protocol, `/api/chat`: a line of JSON for each piece of the answer.

https://github.com/ollama/ollama/blob/main/docs/api.md. Unlike Ollama's OpenAI-compatible addresses
it tells the server's own times, and takes the context (`options: {num_ctx: 16384}`), `think` and
`keep_alive`, which a provider's `extra` may name.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from llmbench.models.http_model import HttpModel, ModelRequest
from llmbench.models.server_timings import OLLAMA_FIELD
from llmbench.models.stream import CompletionReader

OPTION_NAMES: Mapping[str, str] = {"max_tokens": "num_predict"}
"""Ollama's names of sampling parameters, where they are others than ours."""


class LineDecoder:
    """Collects the lines of a stream; `events` counts them."""

    def __init__(self) -> None:
        self.events = 0
        self._tail = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return each line that this chunk completes."""
        *lines, self._tail = (self._tail + chunk).split(b"\n")
        lines = [line for line in map(bytes.strip, lines) if line]
        self.events += len(lines)
        return lines

    def close(self) -> list[bytes]:
        """Return a last line without its end."""
        return self.feed(b"\n")


class OllamaReader(CompletionReader):
    """Reads the lines of an answer as chunks of a chat completion."""

    decoder_class: ClassVar = LineDecoder
    content_type = "json"

    def _read_chunk(self, chunk: dict[str, Any]) -> None:
        super()._read_chunk(self._translate(chunk))

    def _translate(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Return a line as a chunk."""
        if line.get("error") or "message" not in line:
            return dict(line)
        message = line["message"]
        delta = {"content": message.get("content"), "reasoning_content": message.get("thinking")}
        if message.get("tool_calls"):
            delta["tool_calls"] = message["tool_calls"]
        choice: dict[str, Any] = {"delta" if self.is_streamed else "message": delta}
        if not line.get("done"):
            return {"model": line.get("model"), "choices": [choice]}
        # Versions before 0.1.36 give no reason.
        choice["finish_reason"] = line.get("done_reason") or "stop"
        usage = {
            "prompt_tokens": line.get("prompt_eval_count"),
            "completion_tokens": line.get("eval_count"),
        }
        return {
            "model": line.get("model"), "choices": [choice], "usage": usage, OLLAMA_FIELD: line
        }  # fmt: skip


class OllamaModel(HttpModel):
    """One target at an Ollama server."""

    path = "../api/chat"
    replacements: ClassVar = {"stream": None}
    reader_class: ClassVar = OllamaReader

    def make_body(self, request: ModelRequest) -> dict[str, Any]:
        """See `HttpModel.make_body`."""
        params = dict(request.params)
        effort = params.pop("reasoning_effort", None)
        body: dict[str, Any] = {
            "model": self.target.model,
            "messages": [message._asdict() for message in request.messages],
            "stream": request.streamed,
            "options": {OPTION_NAMES.get(name, name): value for name, value in params.items()},
        }
        return body if effort is None else body | {"think": effort != "none" and effort}
