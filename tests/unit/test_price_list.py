"""Prices of the price list, for models whose server tells none."""

import pytest

from llmbench.models.price_list import listed_price


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        ("https://api.openai.com/v1", "gpt-4o"),
        ("https://api.anthropic.com/v1", "claude-sonnet-4-5"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "gemini-2.5-pro"),
        ("https://api.groq.com/openai/v1", "llama-3.3-70b-versatile"),
        ("https://api.mistral.ai/v1", "mistral-large-latest"),
    ],
)
def test_a_commercial_model_has_a_price_by_the_address_of_its_server(
    base_url: str, model: str
) -> None:
    price = listed_price(base_url, model)
    assert price is not None
    assert 0 < price.prompt < price.completion < 1e-3
    assert price.source.startswith("genai-prices ")


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        ("http://localhost:8000/v1", "gpt-4o"),
        ("https://api.openai.com/v1", "no-such-model"),
        ("https://example.com/v1", "claude-sonnet-4-5"),
    ],
)
def test_a_model_of_another_server_or_an_unknown_one_has_no_price(
    base_url: str, model: str
) -> None:
    assert listed_price(base_url, model) is None


def test_a_price_with_tiers_is_that_of_short_prompts() -> None:
    price = listed_price("https://api.anthropic.com/v1", "claude-sonnet-4-5")
    assert price is not None
    assert (price.prompt, price.completion) == (3e-6, 15e-6)
