"""What an answer costs, where the server itself does not say."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmbench import yaml_files
from llmbench.errors import UsageError
from llmbench.models.usage import number
from llmbench.records import Target, Usage

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Prices in USD: per prompt, completion and cached prompt token, and per request.

    `cached` is None where cached tokens cost what others do. Reasoning tokens are completion
    tokens.
    """

    prompt: float
    completion: float
    cached: float | None = None
    request: float = 0.0

    def cost(self, usage: Usage) -> float | None:
        """The cost in USD of one request, or None where its tokens are not known."""
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
    """The sum of the costs that are known, or None where none is."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known else None


def offered_price(item: Mapping[str, Any]) -> Price | None:
    """The price in an entry of a server's `/models` answer, as OpenRouter gives it, or None.

    Its `pricing` holds decimal strings in USD per token. A negative price, which stands for one
    that varies, is none.
    """
    pricing = item.get("pricing")
    if not isinstance(pricing, Mapping):
        return None
    told = {name: _decimal(pricing.get(name)) for name in ("prompt", "completion")}
    prompt, completion = told["prompt"], told["completion"]
    if prompt is None or completion is None:
        return None
    request = _decimal(pricing.get("request")) or 0.0
    return Price(prompt, completion, _decimal(pricing.get("input_cache_read")), request)


def read_prices(path: Path) -> dict[str, Price]:
    """The prices in a YAML or JSON file: `provider/model` or `model`, and USD per million tokens.

    An entry reads `openai/gpt-4o: {prompt: 2.5, completion: 10, cached: 1.25}`; `cached` may be
    left out.

    Raises:
        UsageError: the file cannot be read, or an entry is no price.
    """
    data = yaml_files.load(path)
    if not isinstance(data, Mapping) or not data:
        raise UsageError(f"{path}: must map models to {{prompt: USD, completion: USD}}")
    return {str(model): _entry(path, str(model), entry) for model, entry in data.items()}


def find_price(
    target: Target, given: Mapping[str, Price], offered: Mapping[str, Price]
) -> Price | None:
    """A target's price: of the user's by label, then by model; else the server's; else None."""
    for prices, name in ((given, target.label), (given, target.model), (offered, target.model)):
        if name in prices:
            return prices[name]
    return None


def _entry(path: Path, model: str, entry: object) -> Price:
    where = f"{path}: {model}"
    if not isinstance(entry, Mapping):
        raise UsageError(f"{where}: must be {{prompt: USD, completion: USD}} per million tokens")
    unknown = sorted(map(str, entry.keys() - {"prompt", "completion", "cached"}))
    if unknown:
        raise UsageError(f"{where}: unknown {', '.join(unknown)}: use prompt, completion, cached")
    prompt, completion, cached = (
        _per_token(where, entry, name) for name in ("prompt", "completion", "cached")
    )
    if prompt is None or completion is None:
        raise UsageError(f"{where}: both prompt and completion are needed")
    return Price(prompt, completion, cached)


def _per_token(where: str, entry: Mapping[str, Any], name: str) -> float | None:
    if name not in entry:
        return None
    value = number(entry, name)
    if value is None or value < 0:
        raise UsageError(f"{where}: {name} {entry[name]!r} is not a number from 0 up")
    return value / MILLION


def _decimal(value: object) -> float | None:
    try:
        found = number({"": float(str(value))}, "")
    except ValueError:
        return None
    return None if found is None or found < 0 else found
