"""The protocols that models are reached by, as one table."""

from collections.abc import Mapping
from pkgutil import resolve_name
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from llmbench.models.base import Model

if TYPE_CHECKING:
    from llmbench.models.pricing import Price
    from llmbench.models.retry import RetryPolicy
    from llmbench.models.server import Server
    from llmbench.records import Target


class Protocol(NamedTuple):
    """A protocol.

    Attributes:
        model_class: The import path of its model; the table itself loads no HTTP library.
        key_header: The header that holds the key.
        key_scheme: The text before the key.
        headers: Further headers of each request.
        models_path: The address of the list of models, relative to that of the server.
        context_field: The field of each request, inside `options`, that sets the context.
    """

    model_class: str
    key_header: str = "Authorization"
    key_scheme: str = "Bearer "
    headers: Mapping[str, str] = MappingProxyType({})
    models_path: str = "models"
    context_field: str = ""


PROTOCOLS: Mapping[str, Protocol] = {
    "chat": Protocol("llmbench.models.chat:ChatModel"),
    "ollama": Protocol("llmbench.models.ollama:OllamaModel", context_field="num_ctx"),
    "messages": Protocol(
        "llmbench.models.messages:MessagesModel",
        key_header="x-api-key",
        key_scheme="",
        headers={"anthropic-version": "2023-06-01"},
        models_path="models?limit=1000",
    ),
}


def open_model(
    target: "Target",
    server: "Server",
    retry: "RetryPolicy | None" = None,
    price: "Price | None" = None,
    *,
    warm_up: bool = False,
) -> Model:
    """Return the model of a target, in the protocol of its provider.

    With `warm_up` it is loaded by an untimed request before the first one that counts.
    """
    model_class = resolve_name(PROTOCOLS[server.provider.protocol].model_class)
    model: Model = model_class(target, server, retry, price, warm_up=warm_up)
    return model
