"""Costs of answers, and prices from a server or a file."""

from pathlib import Path

import pytest

from llmbench.completions import Usage
from llmbench.errors import UsageError
from llmbench.models.pricing import Price, find_price, offered_price, read_prices
from llmbench.records import Target

TARGET = Target("openrouter", "a/m", "https://openrouter.ai/api/v1")


def test_an_answer_costs_its_tokens_times_their_prices() -> None:
    price = Price(prompt=2e-6, completion=8e-6, cached=0.5e-6, request=0.001)
    assert price.cost(Usage(1000, 500, 400, 100)) == pytest.approx(
        0.001 + 900 * 2e-6 + 100 * 0.5e-6 + 500 * 8e-6
    )


def test_cached_tokens_without_a_price_cost_as_much_as_others() -> None:
    assert Price(2e-6, 8e-6).cost(Usage(1000, 0, 0, 100)) == pytest.approx(0.002)


def test_an_answer_with_unknown_tokens_has_no_cost() -> None:
    assert Price(2e-6, 8e-6).cost(Usage(10, None)) is None


@pytest.mark.parametrize(
    ("pricing", "price"),
    [
        (
            {"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003"},
            Price(3e-6, 15e-6, 3e-7),
        ),
        ({"prompt": "0", "completion": "0", "request": "0.01"}, Price(0, 0, None, 0.01)),
        ({"prompt": "-1", "completion": "-1"}, None),
        ({"prompt": "much", "completion": "0"}, None),
        ({"prompt": "nan", "completion": "0"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_price_that_a_server_offers_is_read(pricing: object, price: Price | None) -> None:
    assert offered_price({"id": "m", "pricing": pricing}) == price


def test_prices_in_a_file_are_per_million_tokens(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("a/m: {prompt: 2, completion: 8.5, cached: 0.5}\nb: {prompt: 0, completion: 0}")
    assert read_prices(path) == {"a/m": Price(2e-6, 8.5e-6, 0.5e-6), "b": Price(0, 0)}
    path.write_text('{"m": {"prompt": 1, "completion": 2}}')
    assert read_prices(path) == {"m": Price(1e-6, 2e-6)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m: {prompt: 1}", "m: both prompt and completion are needed"),
        ("m: {prompt: -1, completion: 1}", "m: prompt -1 is not a number from 0 to 1000000"),
        ("m: {prompt: x, completion: 1}", "m: prompt 'x' is not a number"),
        ("m: {input: 1, completion: 1}", "m: unknown input"),
        ("m: 3", "m: must be {prompt: USD"),
        ("- m", "must map models"),
        ("", "must map models"),
        ("a: [", "not YAML"),
    ],
)
def test_an_error_in_a_price_file_is_reported_in_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_prices(path)
    assert str(caught.value).startswith(f"{path}:")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_price_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml: cannot be read"):
        read_prices(tmp_path / "none.yaml")


def test_the_users_price_comes_before_the_servers() -> None:
    label, model, server = Price(1, 1), Price(2, 2), Price(3, 3)
    offered = {"a/m": server}
    assert find_price(TARGET, {"openrouter/a/m": label, "a/m": model}, offered) == label
    assert find_price(TARGET, {"a/m": model}, offered) == model
    assert find_price(TARGET, {"b": model}, offered) == server
    assert find_price(TARGET, {}, {}) is None
