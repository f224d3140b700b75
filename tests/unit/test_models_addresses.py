"""Addresses and keys of providers."""

import subprocess
import sys

import pytest

from llmbench.errors import UsageError
from llmbench.models.providers import PROVIDERS, is_loopback, read_key, resolve_base_url


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("http://localhost:1234/v1", "http://localhost:1234/v1"),
        ("http://localhost:1234/v1/", "http://localhost:1234/v1"),
        ("http://localhost:1234", "http://localhost:1234/v1"),
        ("http://localhost:1234/", "http://localhost:1234/v1"),
        ("https://host/api/openai/", "https://host/api/openai"),
        ("https://host/v1/chat/completions", "https://host/v1"),
        ("http://[::1]:8080", "http://[::1]:8080/v1"),
    ],
)
def test_an_address_is_accepted_in_every_form_that_people_write(url: str, resolved: str) -> None:
    assert resolve_base_url(PROVIDERS["lmstudio"], url) == resolved


@pytest.mark.parametrize(
    "url",
    ["localhost:1234", "ftp://host/v1", "http://", "http://host:99999", "x"],
)
def test_an_invalid_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(UsageError, match="not an address like http://localhost:1234/v1"):
        resolve_base_url(PROVIDERS["lmstudio"], url)


@pytest.mark.parametrize(
    "url", ["http://me:sesame@host/v1", "me:sesame@host", "http://host/v1?key=sesame", "x#sesame"]
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="keys come from variables") as caught:
        resolve_base_url(PROVIDERS["lmstudio"], url)
    assert "sesame" not in str(caught.value)


def test_a_provider_without_an_address_requires_base_url() -> None:
    with pytest.raises(UsageError, match="--base-url"):
        resolve_base_url(PROVIDERS["openai-compatible"])


def test_the_error_of_a_missing_key_names_its_variable() -> None:
    with pytest.raises(UsageError, match="set OPENROUTER_API_KEY"):
        read_key(PROVIDERS["openrouter"], {})


def test_a_key_is_stripped_and_an_invalid_one_is_not_repeated() -> None:
    assert read_key(PROVIDERS["openai"], {"OPENAI_API_KEY": " sk-1\n"}) == "sk-1"
    with pytest.raises(UsageError) as caught:
        read_key(PROVIDERS["openai"], {"OPENAI_API_KEY": "sk-1\nsk-2"})
    assert "sk-" not in str(caught.value)


def test_local_servers_need_no_key() -> None:
    assert all(read_key(p, {}) is None for p in PROVIDERS.values() if p.local)
    assert read_key(PROVIDERS["openai-compatible"], {}) is None


def test_every_provider_but_a_users_own_has_an_address_and_each_cloud_provider_a_key() -> None:
    for provider in PROVIDERS.values():
        if provider.name != "openai-compatible" and not provider.replays:
            assert resolve_base_url(provider) == provider.base_url
            assert is_loopback(resolve_base_url(provider)) == provider.local
            assert provider.key_required != provider.local
        assert provider.concurrency >= 1
        assert provider.start_hint


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:1/v1", True),
        ("http://127.0.0.9/v1", True),
        ("http://[::1]:1/v1", True),
        ("http://192.168.1.4:1234/v1", False),
        ("https://localhost.example.com/v1", False),
    ],
)
def test_loopback_addresses_are_recognized(url: str, loopback: bool) -> None:
    assert is_loopback(url) == loopback


def test_the_table_of_providers_loads_no_slow_library() -> None:
    slow = "{'httpx', 'aiohttp', 'pydantic'}"
    code = f"import sys, llmbench.models.providers; print({slow} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
