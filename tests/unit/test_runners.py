from pathlib import Path

import pytest

from llmbench.errors import RunnerFileError
from llmbench.plan import bundled_dir
from llmbench.records import AttemptKey, Problem
from llmbench.runners import ResourceLimits, load_runners

GOOD = """
title: Brain
fences: [bf]
solution: solution.bf
image: llmbench-bf
report: junit
toolchain: {bf: null}
generated_files: {plan.txt: made}
options: {cells: {values: [small, large], default: small}}
limits: {memory_mb: 64, cpus: 0.5}
"""


def folder_with(tmp_path: Path, text: str, *, script: bool = True) -> Path:
    (tmp_path / "bf").mkdir()
    (tmp_path / "bf/runner.yaml").write_text(text)
    if script:
        (tmp_path / "bf/run.sh").write_text("exit 0\n")
    return tmp_path


def test_the_shipped_runners_load() -> None:
    runners = load_runners(bundled_dir("runners"))
    assert len(runners) == 3
    for lang, runner in runners.items():
        assert runner.lang == lang == runner.folder.name
        assert runner.config.fences
        assert runner.config.image.endswith(lang)


def test_a_folder_is_a_language(tmp_path: Path) -> None:
    runner = load_runners(folder_with(tmp_path, GOOD))["bf"]
    assert runner.limits == ResourceLimits(memory_mb=64, cpus=0.5)
    assert runner.option_values == {"cells": ("small", "large")}
    assert runner.environment({}) == {"LLMBENCH_CELLS": "small"}
    assert runner.environment({"cells": "large", "other": "x"}) == {"LLMBENCH_CELLS": "large"}


def test_an_option_has_limits_of_its_own(tmp_path: Path) -> None:
    text = GOOD.replace("default: small", "default: small, limits: {memory_mb: 128, cpus: 2}")
    runner = load_runners(folder_with(tmp_path, text))["bf"]
    for_large = runner.for_options({"cells": "large"})
    assert for_large.limits == ResourceLimits(memory_mb=128, cpus=2)
    assert runner.for_options({"cells": "small"}) == runner.for_options({}) == runner


def test_a_submission_lets_tests_win_over_the_code(tmp_path: Path) -> None:
    runner = load_runners(folder_with(tmp_path, GOOD))["bf"]
    problem = Problem(
        id="p",
        lang="bf",
        prompt="-",
        tests={"test.bf": "t", "plan.txt": "of the test"},
        files={"data.txt": "d", "solution.bf": "a skeleton"},
    )
    submission = runner.submission(AttemptKey("t", "p", 1), problem, "code", 5.0)
    assert submission.files == {
        "plan.txt": "of the test",
        "data.txt": "d",
        "solution.bf": "code",
        "test.bf": "t",
    }
    assert (submission.lang, submission.timeout) == ("bf", 5.0)


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ("title: Brain", "title", "is missing"),
        ("report: junit", "report", "is missing"),
    ],
)
def test_a_missing_field_is_named(tmp_path: Path, change: str, field: str, reason: str) -> None:
    with pytest.raises(RunnerFileError, match=rf"runner\.yaml: {field}: {reason}"):
        load_runners(folder_with(tmp_path, GOOD.replace(change, "")))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("report: junit", "report: ''", "report: .*at least 1 character"),
        ("title: Brain", "title: Brain\ncolour: red", "colour: unknown field"),
        ("memory_mb: 64", "memory_gb: 64", "limits: 'memory_gb' is not one of memory_mb"),
        ("memory_mb: 64", "memory_mb: 6.5", r"limits\.memory_mb: 6\.5 is not a whole number"),
        ("memory_mb: 64", "memory_mb: -1", r"limits\.memory_mb: .*greater than 0"),
        ("default: small", "default: huge", r"options\.cells: default 'huge' is not one of small"),
        (
            "default: small",
            "default: small, limits: {pid: 1}",
            r"limits: 'pid' is not one of memory_mb",
        ),
        ("cells:", "'my cells':", "options: 'my cells' is not"),
        (
            "fences: [bf]",
            "code_patterns: ['(']\nfences: [bf]",
            r"code_patterns: '\(' is not a regular expression",
        ),
        (
            "fences: [bf]",
            "definition_patterns: ['^fn']\nfences: [bf]",
            r"definition_patterns: '\^fn' has no group \(\?P<name>…\)",
        ),
        ("fences: [bf]", "fences: [", "not YAML"),
    ],
)
def test_a_wrong_field_is_named_with_its_reason(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in GOOD
    with pytest.raises(RunnerFileError, match=message):
        load_runners(folder_with(tmp_path, GOOD.replace(old, new)))


def test_a_runner_without_its_script_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunnerFileError, match=r"run\.sh is missing"):
        load_runners(folder_with(tmp_path, GOOD, script=False))


def test_a_folder_without_runners_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunnerFileError, match="no runner here"):
        load_runners(tmp_path)
