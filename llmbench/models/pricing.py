"""Prices, and the cost of an answer if the server does not report it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmbench import yaml_files
from llmbench.completions import Usage
from llmbench.errors import UsageError
from llmbench.models.usage import get_number
from llmbench.records import Target

MILLION = 1_000_000

MAX_PRICE_USD = 1.0
"""A higher price of one token, or of a request, is a fault."""

SERVER_PRICES, USER_PRICES = "prices of the server", "--prices"
REPORTED = "server"
"""Sources of costs: token prices, or the cost that the server reported with an answer."""


@dataclass(frozen=True, slots=True)
class Price:
    """Prices in USD: per prompt, completion and cached prompt token, and per request.

    If `cached` is None, cached tokens have the price of all prompt tokens. Reasoning tokens are
    completion tokens. `source` says where the price comes from.
    """

    prompt: float
    completion: float
    cached: float | None = None
    request: float = 0.0
    source: str = field(default=SERVER_PRICES, compare=False)

    def cost(self, usage: Usage) -> float | None:
        """Return the cost in USD of one request, or None if its tokens are unknown."""
        if usage.prompt_tokens is None or usage.completion_tokens is None:
            return None
        cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
        cached_price = self.prompt if self.cached is None else self.cached
        return (
            self.request
            + (usage.prompt_tokens - cached) * self.prompt
            + cached * cached_price
            + usage.completion_tokens * self.completion
        )


def total(*costs: float | None) -> float | None:
    """Return the sum of the known costs, or None if none is known."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known else None


def offered_price(item: Mapping[str, Any]) -> Price | None:
    """Return the price in an entry of a server's `/models` answer, or None.

    OpenRouter gives `pricing` as decimal strings in USD per token. A negative price stands for a
    variable one and counts as unknown.
    """
    pricing = item.get("pricing")
    if not isinstance(pricing, Mapping):
        return None
    prompt, completion = _decimal(pricing.get("prompt")), _decimal(pricing.get("completion"))
    if prompt is None or completion is None:
        return None
    request = _decimal(pricing.get("request")) or 0.0
    return Price(prompt, completion, _decimal(pricing.get("input_cache_read")), request)


def read_prices(path: Path) -> dict[str, Price]:
    """Read prices by `provider/model` or `model` from a YAML or JSON file, USD per million tokens.

    An entry reads `openai/gpt-4o: {prompt: 2.5, completion: 10, cached: 1.25}`; `cached` is
    optional.

    Raises:
        UsageError: The file cannot be read, or an entry is no price.
    """
    data = yaml_files.load(path)
    if not isinstance(data, Mapping) or not data:
        raise UsageError(f"{path}: must map models to {{prompt: USD, completion: USD}}")
    return {str(model): _parse_entry(path, str(model), entry) for model, entry in data.items()}


def find_price(
    target: Target, user_prices: Mapping[str, Price], server_prices: Mapping[str, Price]
) -> Price | None:
    """Return a target's price, or None.

    The user's price by label comes first, then the user's by model, then the server's by model.
    """
    for prices, name in (
        (user_prices, target.label),
        (user_prices, target.model),
        (server_prices, target.model),
    ):
        if name in prices:
            return prices[name]
    return None


def _parse_entry(path: Path, model: str, entry: object) -> Price:
    where = f"{path}: {model}"
    if not isinstance(entry, Mapping):
        raise UsageError(f"{where}: must be {{prompt: USD, completion: USD}} per million tokens")
    unknown = sorted(map(str, entry.keys() - {"prompt", "completion", "cached"}))
    if unknown:
        hint = "use prompt, completion, cached"
        raise UsageError(f"{where}: unknown {', '.join(unknown)}", hint=hint)
    prompt, completion, cached = (
        _per_token(where, entry, name) for name in ("prompt", "completion", "cached")
    )
    if prompt is None or completion is None:
        raise UsageError(f"{where}: both prompt and completion are needed")
    return Price(prompt, completion, cached, source=USER_PRICES)


def _per_token(where: str, entry: Mapping[str, Any], name: str) -> float | None:
    if name not in entry:
        return None
    value = get_number(entry, name)
    if value is None or not 0 <= value <= MAX_PRICE_USD * MILLION:
        raise UsageError(f"{where}: {name} {entry[name]!r} is not a number from 0 to 1000000")
    return value / MILLION


def _decimal(value: object) -> float | None:
    try:
        number = get_number({"": float(str(value))}, "")
    except ValueError:
        return None
    return number if number is not None and 0 <= number <= MAX_PRICE_USD else None
