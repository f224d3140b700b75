"""The OpenAI chat completions protocol, as servers implement it."""

from typing import Any, ClassVar

from llmbench.models.http_model import HttpModel, ModelRequest


class ChatModel(HttpModel):
    """One target at an OpenAI-compatible server."""

    path = "chat/completions"
    replacements: ClassVar = {
        "stream_options": None,
        "stream": None,
        "max_tokens": "max_completion_tokens",
        "temperature": None,
        "seed": None,
        "top_p": None,
        "top_k": None,
        "min_p": None,
        "reasoning_effort": None,
    }

    def make_body(self, request: ModelRequest) -> dict[str, Any]:
        """See `HttpModel.make_body`."""
        body: dict[str, Any] = {
            "model": self.target.model,
            "messages": [message._asdict() for message in request.messages],
            "stream": request.streamed,
        }
        if request.streamed and self.sent_name("stream_options"):
            body["stream_options"] = {"include_usage": True}
        for param, value in request.params.items():
            body[self.sent_name(param) or param] = value
        return body
