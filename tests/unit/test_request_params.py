"""The parameters of requests: options, their values, and the labels of targets."""

import json
from pathlib import Path

import pytest

from llmbench.errors import UsageError
from llmbench.models.extra_fields import parse_params
from llmbench.prompts import SYSTEM, messages, sha256
from llmbench.reasoning_requests import reasoning_request
from llmbench.records import Problem, Target
from llmbench.runs.options import RunOptions


def test_params_are_json_or_plain_words_and_dots_lead_into_objects() -> None:
    assignments = (
        "mirostat=2",
        "mode=fast",
        'stop=["a", "b"]',
        "chat_template_kwargs.enable_thinking=false",
        "chat_template_kwargs.depth=3",
        "text=a=b",
        "mirostat=1",
    )
    assert parse_params(assignments) == {
        "mirostat": 1,
        "mode": "fast",
        "stop": ["a", "b"],
        "chat_template_kwargs": {"enable_thinking": False, "depth": 3},
        "text": "a=b",
    }


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        ("top_k", "'top_k' is not NAME=VALUE"),
        ("=3", "'=3' is not NAME=VALUE"),
        ("a b=3", "'a b=3' is not NAME=VALUE"),
        ("stop=[1,", r"stop: \[1, is not JSON"),
        ("n=1e999", "inf is not a number of JSON"),
        ("temperature=1", "temperature has an option of its own: --temperature"),
        ("messages=[]", "messages may not be replaced"),
        ("stream.x=1", "stream may not be replaced"),
        ("headers.api_key=x", "api_key looks like a key"),
    ],
)
def test_a_param_that_cannot_be_sent_is_refused_by_name(assignment: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"^param: {reason}"):
        RunOptions.from_values({"param": [assignment]})


def test_a_mapping_of_params_means_the_same_as_assignments() -> None:
    mapping = {"min_tokens": 3, "stop": ["x"], "template": {"thinking": False}, "word": "fast"}
    options = RunOptions.from_values({"param": mapping})
    assert json.loads(options.sampling(None).params) == mapping


def test_options_of_sampling_are_in_the_sampling() -> None:
    options = RunOptions.from_values(
        {"top_p": 0.9, "top_k": 40, "min_p": 0.05, "reasoning_effort": "low", "label": "low"}
    )
    sampling = options.sampling(7)
    assert (sampling.top_p, sampling.top_k, sampling.min_p) == (0.9, 40, 0.05)
    assert (sampling.reasoning_effort, sampling.seed) == ("low", 7)
    assert (sampling.system, sampling.system_sha256, sampling.params) == (None, None, "{}")


@pytest.mark.parametrize(
    "values",
    [
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"top_k": -2},
        {"reasoning_effort": "very high"},
        {"label": "a/b"},
        {"label": "a#b"},
    ],
)
def test_a_value_outside_its_range_is_refused(values: dict[str, object]) -> None:
    (name,) = values
    with pytest.raises(UsageError, match=f"^{name}: .* is not "):
        RunOptions.from_values(values)


def test_a_system_prompt_is_a_text_or_a_file_in_any_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "あなたは優秀なプログラマーです。コードは一つだけ返してください。"
    Path("システム.md").write_text(f"\ufeff{text}\n", encoding="utf-8")
    for value in (text, "システム.md"):
        sampling = RunOptions.from_values({"system": value}).sampling(None)
        assert (sampling.system, sampling.system_sha256) == (text, sha256(text))


def test_a_file_of_a_system_prompt_that_cannot_be_read_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"\xe9t\xe9")
    (tmp_path / "empty.txt").write_text(" \n")
    for name, reason in {
        "missing.txt": "no such file",
        "latin.txt": "is not UTF-8",
        "empty.txt": "is empty",
    }.items():
        with pytest.raises(UsageError, match=f"system: .*{name}: {reason}"):
            RunOptions.from_values({"system": str(tmp_path / name)})
    assert RunOptions.from_values({"system": "Be brief. " * 1000}).system_prompt == (
        "Be brief. " * 1000
    )


def test_a_system_prompt_takes_the_place_of_the_usual_one() -> None:
    problem = Problem("add", "python", "Write add.", {})
    assert messages(problem, "")[0].content == SYSTEM
    assert messages(problem, "", "簡潔に。")[0].content == "簡潔に。"


@pytest.mark.parametrize(
    ("target", "label"),
    [
        (Target("ollama", "qwen3:8b", ""), "ollama/qwen3:8b"),
        (Target("ollama", "qwen3:8b", "", variant="no-think"), "ollama/qwen3:8b#no-think"),
        (Target("x", "a/b#c", "", variant="d"), "x/a/b#c#d"),
    ],
)
def test_a_label_tells_variants_of_a_model_apart(target: Target, label: str) -> None:
    assert target.label == label
    assert Target.from_label(label) == target


@pytest.mark.parametrize(
    ("effort", "params", "request_"),
    [
        (None, None, None),
        (None, '{"stop": ["a"]}', None),
        ("high", None, ("reasoning_effort high", True)),
        ("none", None, ("reasoning_effort none", False)),
        (None, '{"think": false}', ("think false", False)),
        (None, '{"thinking": {"type": "disabled"}}', ("thinking.type disabled", False)),
        (None, '{"reasoning": {"effort": "low"}}', ("reasoning.effort low", True)),
        (
            None,
            '{"chat_template_kwargs": {"enable_thinking": true}}',
            ("chat_template_kwargs.enable_thinking true", True),
        ),
    ],
)
def test_a_request_for_reasoning_is_known_by_its_parameters(
    effort: str | None, params: str | None, request_: tuple[str, bool] | None
) -> None:
    assert reasoning_request(effort, params) == request_
