"""Answers that hold only the body of a function complete the stub of the prompt."""

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.answers import fenced

from llmbench.errors import ProblemFileError
from llmbench.extraction import ExtractionMethod
from llmbench.plan import bundled_dir
from llmbench.records import Problem
from llmbench.runners import check_completions, load_runners

RUNNERS = load_runners(bundled_dir("runners"))
HEAD = 'from math import ceil\n\n\ndef f(x):\n    """Adds one."""\n'
BODY = "    if x:\n        y = x\n    return x + 1\n"
TS_HEAD = "//Adds one.\nexport function f(x: number): number {\n"
TS_PLACEHOLDER = '  throw new Error("not implemented");\n}\n'
TS_BODY = "  if (x) {\n    x = x;\n  }\n  return x + 1;\n}\n"
GO_HEAD = "package solution\n\n// Adds one.\nfunc F(x int) int {\n"
GO_BODY = "\tif x > 0 {\n\t\tx += 0\n\t}\n\treturn x + 1\n}\n"
PYTHON = Problem(
    "p",
    "python",
    f"Complete this code.\n\n{fenced(HEAD + '    raise NotImplementedError' + chr(10))}",
    {"test_p.py": "from solution import f\n"},
    completion="prepend",
)
TYPESCRIPT = Problem(
    "t",
    "typescript",
    f"Complete this code.\n\n{fenced(TS_HEAD + TS_PLACEHOLDER, 'ts')}",
    {"t.test.ts": 'import { f } from "./solution.ts";\n'},
    completion="prepend",
)
GO = Problem(
    "g",
    "go",
    f"Complete it.\n\n{fenced(GO_HEAD + chr(9) + 'panic(1)' + chr(10) + '}' + chr(10), 'go')}",
    {"g_test.go": "package solution\n"},
    completion="prepend",
)
DEDENTED = "if x:\n    y = x\nreturn x + 1\n"


def code_of(problem: Problem, answer: str) -> str | None:
    return RUNNERS[problem.lang].extract(problem, answer).code


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(BODY, id="the body"),
        pytest.param("\n" + BODY + "\n\n", id="blank lines around it"),
        pytest.param(fenced(BODY), id="in a block"),
        pytest.param(fenced(DEDENTED), id="in a block, without its indent"),
        pytest.param(f"Sure:\n\n{fenced(DEDENTED, '')}It adds one.", id="in a block among prose"),
        pytest.param(BODY.lstrip(" "), id="the first line without its indent"),
        pytest.param(" " + BODY.lstrip(" "), id="the first line with one blank"),
        pytest.param(
            BODY + "\n\ndef test():\n    assert f(1) == 2\n", id="another function behind"
        ),
        pytest.param(BODY + "\nprint(f(1))\n", id="a call behind it"),
        pytest.param(BODY + "# Test\nassert f(1) == 3\n", id="a test behind it"),
        pytest.param(f"{BODY}\n\n{HEAD}    pass\n", id="the function again behind it"),
        pytest.param(BODY + "```\nIt adds one.\n", id="in a block that the prompt opened"),
        pytest.param(f"<think>Hm.</think>\n{BODY}", id="behind reasoning"),
    ],
)
def test_a_body_in_python_completes_the_stub(answer: str) -> None:
    assert code_of(PYTHON, answer) == HEAD + BODY


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(TS_BODY, id="the body"),
        pytest.param(TS_BODY.removesuffix("}\n"), id="without the closing brace"),
        pytest.param(fenced(TS_BODY, "typescript"), id="in a block"),
        pytest.param(TS_BODY + "\n\nfunction g() {\n}\n", id="another function behind it"),
        pytest.param(TS_BODY + "\n// Test\nf(1);\n", id="a comment behind it"),
        pytest.param(f"{TS_BODY}\n{TS_HEAD}  return", id="the function again behind it"),
    ],
)
def test_a_body_in_typescript_completes_the_stub(answer: str) -> None:
    code = code_of(TYPESCRIPT, answer) or ""
    assert [line.strip() for line in code.splitlines()] == [
        line.strip() for line in (TS_HEAD + TS_BODY).splitlines()
    ]


@pytest.mark.parametrize("answer", [GO_BODY, GO_BODY + "\nfunc main() {}\n", GO_BODY[:-2]])
def test_a_body_in_go_completes_the_stub(answer: str) -> None:
    code = code_of(GO, answer) or ""
    assert [line.strip() for line in code.splitlines()] == [
        line.strip() for line in (GO_HEAD + GO_BODY).splitlines()
    ]


def test_a_whole_function_stays_and_gets_the_imports_and_helpers_of_the_stub() -> None:
    whole = "def f(x):\n    return ceil(x) + 1\n"
    assert code_of(PYTHON, fenced(whole)) == f"from math import ceil\n\n\n{whole}"
    assert code_of(PYTHON, fenced(HEAD + BODY)) == HEAD + BODY


def test_a_whole_function_that_is_not_exported_is_exported() -> None:
    whole = "function f(x: number): number {\n  return x + 1;\n}\n"
    assert code_of(TYPESCRIPT, fenced(whole, "ts")) == whole + "export { f };\n"
    assert code_of(TYPESCRIPT, fenced("export " + whole, "ts")) == "export " + whole


@pytest.mark.parametrize("answer", ["I cannot help with that.", "", fenced("ls\n", "sh")])
def test_prose_is_no_body(answer: str) -> None:
    assert RUNNERS["python"].extract(PYTHON, answer).method is ExtractionMethod.NONE


def test_without_the_field_a_body_is_not_completed() -> None:
    assert code_of(replace(PYTHON, completion=None), fenced(DEDENTED)) == DEDENTED


def test_a_problem_that_cannot_be_completed_is_refused(tmp_path: Path) -> None:
    check_completions([PYTHON, TYPESCRIPT, GO], RUNNERS)
    with pytest.raises(ProblemFileError, match="problem p: completion: the prompt has no python"):
        check_completions([replace(PYTHON, prompt="Write f.")], RUNNERS)


def test_the_field_decides_the_hash_only_where_it_is_set() -> None:
    assert PYTHON.sha256 != replace(PYTHON, completion=None).sha256
