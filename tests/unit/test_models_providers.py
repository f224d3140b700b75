"""Providers that users add."""

from pathlib import Path

import pytest

from llmbench.errors import UsageError
from llmbench.models.presets import PROVIDERS
from llmbench.models.providers import get_provider, load_providers


def write(folder: Path, text: str) -> Path:
    path = folder / "llmbench.yaml"
    path.write_text(text)
    return path


def test_an_entry_adds_a_provider_or_changes_one(tmp_path: Path) -> None:
    presets = load_providers(
        write(
            tmp_path,
            "providers:\n"
            "  gpu-box: {base_url: 'http://gpu-box:8000/v1', local: true, concurrency: 8}\n"
            "  groq: {rpm: 30, tpm: 6000}\n"
            "  gpt-5-high: {like: openai, extra: {reasoning_effort: high}, "
            "refuses: [temperature]}\n",
        )
    )
    assert set(presets) == set(PROVIDERS) | {"gpu-box", "gpt-5-high"}
    box = presets["gpu-box"]
    assert (box.base_url, box.local, box.concurrency, box.key_required) == (
        "http://gpu-box:8000/v1",
        True,
        8,
        False,
    )
    assert (presets["groq"].rpm, presets["groq"].tpm) == (30, 6000)
    assert presets["groq"].key_env == PROVIDERS["groq"].key_env
    high = presets["gpt-5-high"]
    assert (high.base_url, high.key_env) == (PROVIDERS["openai"].base_url, "OPENAI_API_KEY")
    assert high.extra == {"reasoning_effort": "high"}
    assert high.refuses == ("temperature",)


def test_a_key_that_is_named_is_needed(tmp_path: Path) -> None:
    entry = "providers: {mine: {base_url: 'http://x/v1', key_env: MY_KEY}}\n"
    mine = load_providers(write(tmp_path, entry))["mine"]
    assert (mine.key_env, mine.key_required) == ("MY_KEY", True)


def test_without_a_file_there_are_those_that_llmbench_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_providers(None) == PROVIDERS
    write(tmp_path, "providers: {near: {base_url: 'http://localhost:1/v1'}}\n")
    assert "near" in load_providers(None)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("providers: {x: {bas_url: y}}", "providers.x.bas_url: Extra inputs are not permitted"),
        ("providers: {x: {concurrency: 0}}", "providers.x.concurrency: Input should be greater"),
        ("providers: {x: {like: nobody}}", "providers.x.like: there is no provider 'nobody'"),
        ("providers: {x: {refuses: [top_p]}}", "providers.x.refuses.0: Input should be"),
        ("providers: {x/y: {}}", "String should match pattern"),
        ("nothing: 1", "Field required"),
        ("[", "not YAML"),
    ],
)
def test_a_wrong_entry_is_told_with_its_place(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(UsageError) as raised:
        load_providers(write(tmp_path, text))
    assert fault in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "extra",
    [
        "{api_key: sesame}",
        "{apikey: sesame}",
        "{Authorization: sesame}",
        "{metadata: {tools: [{access_token: sesame}]}}",
        "{client-secret: sesame}",
        "{anything: 'Bearer sesame'}",
        "{anything: sk-sesame}",
    ],
)
def test_a_key_among_the_parameters_is_refused_and_not_repeated(tmp_path: Path, extra: str) -> None:
    with pytest.raises(UsageError, match="looks like a key; name its variable in key_env") as told:
        load_providers(write(tmp_path, f"providers: {{x: {{extra: {extra}}}}}"))
    assert "sesame" not in str(told.value)


def test_parameters_that_only_sound_like_keys_are_sent(tmp_path: Path) -> None:
    extra = "{prompt_cache_key: a, max_tokens: 1, stop_token_ids: [2], user: sketch, tokens: [x]}"
    box = load_providers(write(tmp_path, f"providers: {{x: {{extra: {extra}}}}}"))["x"]
    assert list(box.extra) == ["prompt_cache_key", "max_tokens", "stop_token_ids", "user", "tokens"]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_providers(tmp_path / "none.yaml")


def test_a_provider_that_nobody_knows_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no provider 'lmstduio'; known: lmstudio, ollama"):
        get_provider("lmstduio", PROVIDERS)
