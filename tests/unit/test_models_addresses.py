import subprocess
import sys

import pytest

from llmbench.errors import UsageError
from llmbench.models.presets import PROVIDERS, is_loopback, read_key, resolve_base_url


@pytest.mark.parametrize(
    ("given", "used"),
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
def test_an_address_is_taken_in_each_way_people_write_it(given: str, used: str) -> None:
    assert resolve_base_url(PROVIDERS["lmstudio"], given) == used


@pytest.mark.parametrize(
    "url",
    ["localhost:1234", "ftp://host/v1", "http://", "http://host:99999", "x"],
)
def test_what_is_no_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(UsageError, match="not an address like http://localhost:1234/v1"):
        resolve_base_url(PROVIDERS["lmstudio"], url)


@pytest.mark.parametrize(
    "url", ["http://me:sesame@host/v1", "me:sesame@host", "http://host/v1?key=sesame", "x#sesame"]
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="keys come from variables") as caught:
        resolve_base_url(PROVIDERS["lmstudio"], url)
    assert "sesame" not in str(caught.value)


def test_a_server_without_an_address_of_its_own_asks_for_one() -> None:
    with pytest.raises(UsageError, match="--base-url"):
        resolve_base_url(PROVIDERS["openai-compatible"])


def test_a_missing_key_is_asked_for_by_the_name_of_its_variable() -> None:
    with pytest.raises(UsageError, match="set OPENROUTER_API_KEY"):
        read_key(PROVIDERS["openrouter"], {})


def test_a_key_is_stripped_and_an_impossible_one_is_not_repeated() -> None:
    assert read_key(PROVIDERS["openai"], {"OPENAI_API_KEY": " sk-1\n"}) == "sk-1"
    with pytest.raises(UsageError) as caught:
        read_key(PROVIDERS["openai"], {"OPENAI_API_KEY": "sk-1\nsk-2"})
    assert "sk-" not in str(caught.value)


def test_local_servers_need_no_key() -> None:
    assert all(read_key(p, {}) is None for p in PROVIDERS.values() if p.local)
    assert read_key(PROVIDERS["openai-compatible"], {}) is None


def test_every_preset_but_the_users_own_has_an_address_and_each_cloud_one_a_key() -> None:
    for preset in PROVIDERS.values():
        if preset.name not in ("openai-compatible", "demo"):
            assert resolve_base_url(preset) == preset.base_url
            assert is_loopback(resolve_base_url(preset)) == preset.local
            assert preset.key_required != preset.local
        assert preset.concurrency >= 1
        assert preset.start_hint


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://localhost:1/v1", True),
        ("http://127.0.0.9/v1", True),
        ("http://[::1]:1/v1", True),
        ("http://192.168.1.4:1234/v1", False),
        ("https://localhost.example.com/v1", False),
    ],
)
def test_this_machines_own_addresses_are_known(url: str, own: bool) -> None:
    assert is_loopback(url) == own


def test_presets_load_no_http_library() -> None:
    code = "import sys, llmbench.models.presets; print({'httpx', 'aiohttp'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
