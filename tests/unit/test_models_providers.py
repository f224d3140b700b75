"""The table of providers, and the file in which users extend it."""

from pathlib import Path
from pkgutil import resolve_name

import pytest

from llmbench.errors import UsageError
from llmbench.models.protocols import PROTOCOLS
from llmbench.models.providers import (
    PROVIDERS,
    get_provider,
    is_replayed,
    load_providers,
    load_runner_paths,
)
from llmbench.runs.options import RunnerOptions


def write(folder: Path, text: str) -> Path:
    path = folder / "llmbench.yaml"
    path.write_text(text)
    return path


def test_an_entry_adds_a_provider_or_changes_one(tmp_path: Path) -> None:
    providers = load_providers(
        write(
            tmp_path,
            "providers:\n"
            "  gpu-box: {base_url: 'http://gpu-box:8000/v1', local: true, concurrency: 8}\n"
            "  groq: {rpm: 30, tpm: 6000}\n"
            "  gpt-5-high: {like: openai, extra: {reasoning_effort: high}, "
            "refuses: [temperature]}\n",
        )
    )
    assert set(providers) == set(PROVIDERS) | {"gpu-box", "gpt-5-high"}
    box = providers["gpu-box"]
    assert (box.base_url, box.local, box.concurrency, box.key_required) == (
        "http://gpu-box:8000/v1",
        True,
        8,
        False,
    )
    assert (providers["groq"].rpm, providers["groq"].tpm) == (30, 6000)
    assert providers["groq"].key_env == PROVIDERS["groq"].key_env
    high = providers["gpt-5-high"]
    assert (high.base_url, high.key_env) == (PROVIDERS["openai"].base_url, "OPENAI_API_KEY")
    assert high.extra == {"reasoning_effort": "high"}
    assert high.refuses == ("temperature",)


def test_a_provider_with_a_key_variable_requires_the_key(tmp_path: Path) -> None:
    entry = "providers: {mine: {base_url: 'http://x/v1', key_env: MY_KEY}}\n"
    mine = load_providers(write(tmp_path, entry))["mine"]
    assert (mine.key_env, mine.key_required) == ("MY_KEY", True)


def test_without_a_file_the_built_in_providers_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_providers(None) == PROVIDERS
    write(tmp_path, "providers: {near: {base_url: 'http://localhost:1/v1'}}\n")
    assert "near" in load_providers(None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("providers: {x: {bas_url: y}}", "providers.x.bas_url: Extra inputs are not permitted"),
        ("providers: {x: {concurrency: 0}}", "providers.x.concurrency: Input should be greater"),
        ("providers: {x: {like: nobody}}", "providers.x.like: there is no provider 'nobody'"),
        ("providers: {x: {refuses: [best_of]}}", "providers.x.refuses.0: Input should be"),
        (
            "providers: {x: {protocol: smoke}}",
            "providers.x.protocol: there is no protocol 'smoke'; known: chat",
        ),
        ("providers: {x/y: {}}", "String should match pattern"),
        ("nothing: 1", "nothing: Extra inputs are not permitted"),
        ("[", "not YAML"),
    ],
)
def test_the_error_of_an_entry_has_its_position(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_providers(write(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


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
    with pytest.raises(
        UsageError, match="looks like a key; name its variable in key_env"
    ) as caught:
        load_providers(write(tmp_path, f"providers: {{x: {{extra: {extra}}}}}"))
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "hint"),
    [
        ("{model: other}", "--model"),
        ("{messages: []}", "the prompt of each problem"),
        ("{stream: false}", r"refuses: \[stream\]"),
    ],
)
def test_parameters_cannot_replace_model_messages_or_stream(
    tmp_path: Path, extra: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=rf"may not be replaced: .*{hint}") as caught:
        load_providers(write(tmp_path, f"providers: {{x: {{extra: {extra}}}}}"))
    assert "\n" not in str(caught.value)


def test_parameters_that_only_sound_like_keys_are_sent(tmp_path: Path) -> None:
    extra = "{prompt_cache_key: a, max_tokens: 1, stop_token_ids: [2], user: sketch, tokens: [x]}"
    box = load_providers(write(tmp_path, f"providers: {{x: {{extra: {extra}}}}}"))["x"]
    assert list(box.extra) == ["prompt_cache_key", "max_tokens", "stop_token_ids", "user", "tokens"]


def test_a_missing_provider_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_providers(tmp_path / "none.yaml")


def test_the_error_of_an_unknown_provider_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no provider 'lmstduio'; known: lmstudio, ollama"):
        get_provider("lmstduio", PROVIDERS)


def test_the_demo_alone_replays_answers_and_needs_no_key_and_no_warm_up() -> None:
    (replaying,) = (provider for provider in PROVIDERS.values() if provider.replays)
    assert replaying.name == "demo"
    assert (replaying.key_env, replaying.local, replaying.base_url) == (None, False, None)
    assert [is_replayed(name) for name in ("demo", "openai", "unknown")] == [True, False, False]


def test_an_entry_with_an_address_does_not_replay(tmp_path: Path) -> None:
    entries = "providers: {a: {like: demo}, b: {like: demo, base_url: 'http://localhost:1/v1'}}"
    providers = load_providers(write(tmp_path, entries))
    assert (providers["a"].replays, providers["b"].replays) == (True, False)


def test_every_provider_has_a_protocol_with_a_model(tmp_path: Path) -> None:
    assert {provider.protocol for provider in PROVIDERS.values()} <= set(PROTOCOLS)
    for protocol in PROTOCOLS.values():
        assert callable(resolve_name(protocol.model_class).complete)
    entry = "providers: {x: {base_url: 'http://localhost:1/v1', protocol: chat}}"
    assert load_providers(write(tmp_path, entry))["x"].protocol == "chat"


@pytest.mark.parametrize(
    "value", ["2026-01-01", "{a: .nan}", "[.inf]", "!!set {a}", "!!binary aGk=", "{1: a}"]
)
def test_extra_parameters_that_json_cannot_express_are_refused(tmp_path: Path, value: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"providers: {{box: {{base_url: http://h/v1, extra: {{x: {value}}}}}}}")
    with pytest.raises(UsageError, match=r"p\.yaml: providers\.box\.extra: ") as caught:
        load_providers(path)
    assert "\n" not in str(caught.value)


def test_the_file_names_languages_from_its_own_folder(tmp_path: Path) -> None:
    path = write(tmp_path, "runners: [languages/own, /elsewhere]\n")
    paths = (tmp_path / "languages/own", Path("/elsewhere"))
    assert load_runner_paths(path) == paths
    assert RunnerOptions(config=path).runner_paths == paths
    flag = RunnerOptions(config=path, runners=(Path("other"),))
    assert flag.runner_paths == (Path("other"),)


def test_a_file_without_languages_names_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_runner_paths(write(tmp_path, "providers: {}\n")) == ()
    monkeypatch.chdir(tmp_path)
    assert RunnerOptions().runner_paths == ()


@pytest.mark.parametrize("text", ["runners: own", "runners: [1]", "runners: ['']"])
def test_wrong_languages_of_the_file_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="runners"):
        load_runner_paths(write(tmp_path, text))
