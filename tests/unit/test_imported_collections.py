"""Importers read collections as they are published, faults included."""

import json
from pathlib import Path
from typing import Any

import pytest

from llmbench import importers
from llmbench.importers.base import ImportResult, Language, load_config
from llmbench.importers.exercism import lenient_json
from llmbench.plan import bundled_dir
from llmbench.runners import AUTHORING, load_runners

LANGUAGES = [
    Language(
        lang,
        runner.config.fences[0],
        runner.config.solution,
        load_config(runner.folder / AUTHORING),
        completes=True,
    )
    for lang, runner in load_runners(bundled_dir("runners")).items()
]


def exercise(folder: Path, solution: str, tests: dict[str, str], config: str = "") -> ImportResult:
    """Import one exercise with these test files."""
    names = {"solution": [solution], "test": list(tests), "example": [".meta/example"]}
    files = {
        ".meta/config.json": config or json.dumps({"files": names}),
        ".meta/example": "the reference",
        solution: "the stub",
        **tests,
    }
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return importers.read("exercism", folder, LANGUAGES)


def rows(path: Path, format_: str, *entries: dict[str, Any]) -> list[dict[str, Any]]:
    """Import rows of a JSONL file."""
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return importers.read(format_, path, LANGUAGES).problems


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"b": [1]}\n  "c": 2}',
        '{"a": {"b": [1,]}, "c": 2}',
        '{"a": {"b": [1], }, "c": 2,\n}',
        '{"a": {"b": [1],}\n"c": 2,}',
    ],
)
def test_commas_may_be_missing_or_trailing(text: str) -> None:
    assert lenient_json(text) == {"a": {"b": [1]}, "c": 2}


@pytest.mark.parametrize("text", ['{"a": ', '{"a" 1}', "", '{"a": [1 2]}'])
def test_other_faults_of_json_stay_faults(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        lenient_json(text)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from my_task import f", "from solution import f"),
        ("import my_task", "import solution as my_task"),
        ("import my_task as t", "import solution as t"),
        ("    import my_task as t", "    import solution as t"),
        ('@mock.patch("my_task.open", create=True)', '@mock.patch("solution.open", create=True)'),
        ("with patch.dict('my_task.TABLE'):", "with patch.dict('solution.TABLE'):"),
        ('import_module("my_task")', 'import_module("solution")'),
        ('if "my_task" in frame[1]:', 'if "solution" in frame[1]:'),
        ('read("my_task.txt")', 'read("my_task.txt")'),
        ("from my_task_helper import f", "from my_task_helper import f"),
    ],
)
def test_python_tests_find_the_solution_by_its_name_here(
    tmp_path: Path, before: str, after: str
) -> None:
    test = "{}\n\ndef test_f():\n    pass\n"
    (problem,) = exercise(tmp_path, "my_task.py", {"my_task_test.py": test.format(before)}).problems
    assert problem["tests"] == {"my_task_test.py": test.format(after)}


def test_typescript_exercises_check_no_types_and_leave_type_tests_out(tmp_path: Path) -> None:
    tests = {
        "__typetests__/my-task.tst.ts": "import './my-task.ts'",
        "my-task.test.ts": "import { f } from './my-task.ts'\nxit('works', () => { f() })\n",
    }
    (problem,) = exercise(tmp_path, "my-task.ts", tests).problems
    assert problem["typecheck"] == "off"
    assert list(problem["tests"]) == ["my-task.test.ts"]
    assert "files" not in problem
    assert "from './solution.ts'\nit('works'" in problem["tests"]["my-task.test.ts"]


@pytest.mark.parametrize(
    ("solution", "tests", "reason"),
    [
        ("a.go", {"a_test.go": "package a\n"}, "its test files hold no test: a_test.go"),
        ("a.py", {"a_test.py": "import a\n"}, "its test files hold no test: a_test.py"),
        (
            "a.go",
            {"a_test.go": 'func TestA(t *testing.T) { os.ReadFile("a.go") }\n'},
            "a_test.go opens a.go by this name, and answers have another file name here",
        ),
    ],
)
def test_exercises_that_no_answer_could_solve_are_refused_with_the_reason(
    tmp_path: Path, solution: str, tests: dict[str, str], reason: str
) -> None:
    result = exercise(tmp_path, solution, tests)
    assert not result.problems
    assert [reason for _, reason in result.skipped] == [reason]


ORIGIN_FORMAT = {
    "task_id": "HumanEval/900",
    "prompt": 'def half(x):\n    """Half."""\n',
    "entry_point": "half",
    "canonical_solution": "    return x / 2\n",
    "test": (
        "import numpy as np\n\n"
        "def assertion(out, exp, atol):\n"
        "    assert np.allclose(out, exp, rtol=1e-07, atol=atol)\n\n"
        "def check(candidate):\n"
        "    assert not isinstance([1.0], np.ndarray)\n"
        "    assertion(candidate(3), 1.5, 1e-6)\n    assertion([0.1 + 0.2, 1], [0.3, 1], 1e-6)\n"
    ),
}


def test_humaneval_plus_in_the_format_of_humaneval_needs_no_numpy(tmp_path: Path) -> None:
    (problem,) = rows(tmp_path / "p.jsonl", "humaneval", ORIGIN_FORMAT)
    assert problem["id"] == "humaneval-plus-900"
    assert problem["completion"] == "prepend"
    names: dict[str, Any] = {}
    exec(problem["tests"]["cases.py"], names)
    names["check"](lambda x: x / 2)
    with pytest.raises(AssertionError):
        names["check"](lambda x: x / 3)
    assert not names["np"].allclose([1.0], [1.0, 2.0])


HUMANEVAL_X = {
    "task_id": "Go/900",
    "prompt": (
        'import (\n    "math"\n)\n\n// Uses sort. in a comment.\n'
        "func Half(x float64) float64 {\n    return x / 2\n}\n"
        "func Twice(x float64) string {\n"
    ),
    "import": 'import (\n    "math"\n)',
    "declaration": "\nfunc Twice(x float64) string {\n",
    "canonical_solution": '    return strings.Repeat("fmt.", int(Half(x) * 4))\n}\n\n',
    "test_setup": (
        'package main\n\nimport (\n    "testing"\n    "math/rand"\n'
        '    "github.com/stretchr/testify/assert"\n)\n'
    ),
    "test": (
        "func TestTwice(t *testing.T) {\n    assert := assert.New(t)\n"
        "    assert.Equal(8, len(Twice(math.Abs(-1))))\n}\n"
    ),
}


def test_go_of_humaneval_x_imports_the_packages_that_it_uses(tmp_path: Path) -> None:
    (problem,) = rows(tmp_path / "x.jsonl", "humaneval-x", HUMANEVAL_X)
    reference, tests = problem["reference"], problem["tests"]["solution_test.go"]
    assert reference.startswith('package solution\n\nimport (\n\t"strings"\n)\n\n// Uses sort.')
    assert "func Half" in reference
    assert tests.strip().startswith(
        'package solution\n\nimport (\n\t"math"\n\t"testing"\n)\n\nfunc TestTwice'
    )
    assert "import" not in problem["prompt"]
