"""Prices of commercial models whose server tells none, from the list of `genai-prices`.

The list is part of an installed package, so looking a price up sends nothing over the network.
"""

import logging
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from llmbench.models.pricing import MAX_PRICE_USD, MILLION, Price

logger = logging.getLogger(__name__)

PACKAGE = "genai-prices"


def listed_price(base_url: str, model: str) -> Price | None:
    """Return the price of a model at the address of a server, or None if the list has none.

    A price that grows with the length of the prompt is that of short prompts.
    """
    # Imported here because the list is large, and few runs need it.
    from genai_prices import data_snapshot

    try:
        snapshot = data_snapshot.get_snapshot()
        _, listed = snapshot.find_provider_model(model, None, None, base_url)
        prices = listed.get_prices(datetime.now(UTC))
    except LookupError:
        return None
    prompt, completion = _per_token(prices.input_mtok), _per_token(prices.output_mtok)
    if prompt is None or completion is None:
        return None
    source = f"{PACKAGE} {version(PACKAGE)}"
    price = Price(prompt, completion, _per_token(prices.cache_read_mtok), source=source)
    logger.info("the price of %s at %s is that of %s", model, base_url, source)
    return price


def _per_token(price: Any) -> float | None:
    """Return a price per token from one per million, whose tiers begin at a base."""
    if price is None:
        return None
    usd = float(getattr(price, "base", price)) / MILLION
    return usd if 0 <= usd <= MAX_PRICE_USD else None
