"""The protocols that models are reached by, as one table."""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from llmbench.models.base import Model

if TYPE_CHECKING:
    from llmbench.models.pricing import Price
    from llmbench.models.retry import RetryPolicy
    from llmbench.models.server import Server
    from llmbench.records import Target

PROTOCOLS: Mapping[str, str] = {"chat": "llmbench.models.chat:ChatModel"}
"""Import path of the model class of each protocol; the table itself loads no HTTP library."""


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
    model_class = resolve_name(PROTOCOLS[server.provider.protocol])
    model: Model = model_class(target, server, retry, price, warm_up=warm_up)
    return model
