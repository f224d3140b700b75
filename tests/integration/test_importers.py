"""Importers turn small samples of each collection into problems that are valid in a sandbox."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from helpers.cli import LANGUAGES, run
from helpers.sandboxes import opened

from llmbench import importers, problems
from llmbench.plan import bundled_dir
from llmbench.records import Problem
from llmbench.runners import load_runners

pytestmark = pytest.mark.anyio


def write(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def config(solution: str, test: str, example: str, *editor: str) -> str:
    files = {"solution": [solution], "test": [test], "example": [example]}
    return json.dumps({"authors": [], "files": {**files, "editor": list(editor)}, "blurb": ""})


PYTHON = {
    ".docs/instructions.md": "# Instructions\n\nDouble a number.\n",
    ".docs/instructions.append.md": "# Appended\n\nNegative numbers raise a ValueError.\n",
    ".meta/config.json": config("twice_as.py", "twice_as_test.py", ".meta/example.py"),
    ".meta/example.py": (
        "def twice(x):\n    if x < 0:\n        raise ValueError('negative')\n    return 2 * x\n"
    ),
    "twice_as.py": "def twice(x):\n    pass\n",
    "twice_as_test.py": (
        "# Canonical data\nimport unittest\nimport pytest\n\n"
        "from twice_as import (\n    twice,\n)\nimport twice_as\n\n\n"
        "class TwiceTest(unittest.TestCase):\n"
        "    @pytest.mark.task(taskno=1)\n"
        "    def test_of_two(self):\n        self.assertEqual(twice(2), 4)\n\n"
        "    def test_negative(self):\n"
        "        with self.assertRaises(ValueError):\n            twice_as.twice(-1)\n"
    ),
}
TYPESCRIPT = {
    ".docs/instructions.md": "Double a number.\n",
    ".meta/config.json": config("twice-as.ts", "twice-as.test.ts", ".meta/proof.ci.ts"),
    ".meta/proof.ci.ts": "export const twice = (x: number): number => 2 * x\n",
    "twice-as.ts": "export const twice = (x: number): number => {\n  throw new Error('x')\n}\n",
    "twice-as.test.ts": (
        "import { describe, it, expect, xit, jest } from '@jest/globals'\n"
        "import { twice } from './twice-as.ts'\n\n"
        "describe('twice', () => {\n"
        "  it('of two', () => {\n    expect(twice(2)).toEqual(4)\n  })\n\n"
        "  xit('calls', () => {\n    const spy = jest.fn(twice)\n    spy(3)\n"
        "    expect(spy).toHaveBeenCalledTimes(1)\n    expect(twice(3)).toBe(6)\n  })\n\n"
        "  it.skip('impossible', () => {\n    expect(twice(1)).toBe(7)\n  })\n})\n"
    ),
}
GO = {
    ".docs/instructions.md": "Double a number.\n",
    ".meta/config.json": config("twice.go", "twice_test.go", ".meta/example.go", "cases_test.go"),
    ".meta/example.go": "package twice\n\nfunc Twice(x int) int { return 2 * x }\n",
    "go.mod": "module twice\n\ngo 1.18\n",
    "twice.go": 'package twice\n\nfunc Twice(x int) int {\n\tpanic("implement Twice")\n}\n',
    "twice_test.go": (
        'package twice\n\nimport "testing"\n\nfunc TestTwice(t *testing.T) {\n'
        "\tfor _, c := range cases {\n\t\tif got := Twice(c.in); got != c.out {\n"
        '\t\t\tt.Errorf("%d: %d", c.in, got)\n\t\t}\n\t}\n}\n'
    ),
    "cases_test.go": "package twice\n\nvar cases = []struct{ in, out int }{{2, 4}, {0, 0}}\n",
    "outside_test.go": (
        'package twice_test\n\nimport (\n\t"testing"\n\n\t"twice"\n)\n\n'
        "func TestOutside(t *testing.T) {\n\tif twice.Twice(3) != 6 {\n\t\tt.Fail()\n\t}\n}\n"
    ),
}
EXERCISES = {"python": PYTHON, "typescript": TYPESCRIPT, "go": GO}


HUMANEVAL: dict[str, Any] = {
    "task_id": "HumanEval/900",
    "prompt": 'def half(x):\n    return x / 2\n\n\ndef twice(x: int) -> int:\n    """Double."""\n',
    "entry_point": "twice",
    "canonical_solution": "    return 2 * x\n",
    "test": "\n\nMETADATA = {}\n\n\ndef check(candidate):\n    assert candidate(half(8)) == 8\n",
}
PLUS = {
    **{name: value for name, value in HUMANEVAL.items() if name != "test"},
    "base_input": [[2], [0]],
    "plus_input": [[-3], [1.5]],
    "atol": 1e-6,
}
HUMANEVAL_X = [
    {**HUMANEVAL, "task_id": "Python/900", "declaration": HUMANEVAL["prompt"].split('"""')[0]},
    {
        "task_id": "Go/900",
        "prompt": 'import (\n    "math"\n)\n\n// Double.\nfunc Twice(x float64) float64 {\n',
        "import": 'import (\n    "math"\n)',
        "declaration": "\nfunc Twice(x float64) float64 {\n    ",
        "canonical_solution": "    return math.Trunc(2 * x)\n}\n\n",
        "test_setup": (
            'package main\n\nimport (\n    "testing"\n    "github.com/stretchr/testify/assert"\n)\n'
        ),
        "test": (
            "func TestTwice(t *testing.T) {\n    assert := assert.New(t)\n"
            "    assert.Equal(4.0, Twice(2.0))\n    assert.InDelta(6, Twice(3.0), 0.1)\n}\n"
        ),
    },
    {"task_id": "Java/900", "prompt": "class Solution {", "test": ""},
]
MBPP = [
    {
        "task_id": 900,
        "text": "Write a function to double a number.",
        "code": "def twice(x):\r\n  return 2 * x",
        "test_list": ["assert twice(2) == 4", "assert twice(0) == 0"],
        "test_setup_code": "",
        "challenge_test_list": ["assert twice(-1) == -2"],
    },
    {
        "task_id": 901,
        "prompt": "Write a function to double a number.",
        "code": "def twice(x):\n    return 2 * x",
        "test_imports": ["import math"],
        "test_list": ["assert math.isclose(twice(2), 4)"],
    },
    {
        "task_id": 902,
        "prompt": "Write a function to double a number.",
        "code": "def twice(x):\n    return 2 * x",
        "test_imports": [],
        "test_list": ["assert twice(2) == 4"],
        "test": (
            "inputs = [[2], [3]]\nresults = [4, 6]\n\n"
            "for given, wanted in zip(inputs, results):\n    assert twice(*given) == wanted\n"
        ),
    },
    {"task_id": "Mbpp/903", "prompt": "…", "base_input": [], "plus_input": []},
]
MULTIPL_E = [
    {
        "name": "HumanEval_900_twice",
        "language": "ts",
        "prompt": "//Double.\nfunction twice(x: number): number {\n",
        "tests": (
            "declare var require: any;\nconst assert = require('node:assert');\n\n\n"
            "function test() {\n  let candidate = twice;\n"
            "  assert.deepEqual(candidate(2),4);\n}\n\ntest();"
        ),
    },
    {
        "name": "HumanEval_900_twice",
        "language": "go_test.go",
        "prompt": (
            'package twice_test\n\nimport (\n    "testing"\n    "fmt"\n)\n\n'
            "// Double.\nfunc twice(x int) int {\n"
        ),
        "tests": (
            "func TestTwice(t *testing.T) {\n  candidate := twice\n\ttype test struct {\n"
            "\t\tactual   interface{}\n\t\texpected interface{}\n\t}\n"
            "   tests := []test{\n     { actual: candidate(2), expected: 4 },\n   }\n\n"
            '\tfor i, tc := range tests {\n\t\tt.Run(fmt.Sprintf("test num % d", i), '
            'func(t *testing.T) {\n\t\t\tif fmt.Sprintf("%v", tc.actual) != '
            'fmt.Sprintf("%v", tc.expected) {\n'
            "\t\t\t\tt.Errorf(\"expected '%s', got '%s'\", tc.expected, tc.actual)\n"
            "\t\t\t}\n\t\t})\n\t}\n}\n"
        ),
    },
    {
        "name": "HumanEval_900_twice",
        "language": "py",
        "prompt": 'def twice(x: int) -> int:\n    """Double."""\n',
        "tests": (
            "def check(candidate):\n    assert candidate(2) == 4\n\n"
            "def test_check():\n    check(twice)\n\ntest_check()\n"
        ),
    },
    {"name": "HumanEval_900_twice", "language": "rs", "prompt": "fn", "tests": "}"},
]
RIGHT = {
    "typescript": "export function twice(x: number): number {\n  return 2 * x;\n}\n",
    "go": "package solution\n\nfunc twice(x int) int { return 2 * x }\n",
    "python": "def twice(x):\n    return 2 * x\n",
}


def jsonl(path: Path, *rows: dict[str, Any]) -> None:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def test_each_format_is_one_file_and_one_entry_of_the_table() -> None:
    folder = Path(importers.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "base"}
    assert {name.replace("-", "_") for name in importers.FORMATS} == modules


def test_a_new_format_needs_its_file_alone_to_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_format.py").write_text(
        "from llmbench.importers.base import convert_rows\n\n"
        "def read(source, languages):\n    return convert_rows(source, lambda row: row)\n"
    )
    monkeypatch.setattr(importers, "__path__", [*importers.__path__, str(tmp_path)])
    jsonl(tmp_path / "a.jsonl", {"id": "a"})
    result = importers.read("my-format", tmp_path / "a.jsonl", [])
    assert result.problems == [{"id": "a"}]


async def import_problems(folder: Path, format_: str, source: str) -> tuple[list[Problem], str]:
    """Import a source; return the problems of the file, and the output."""
    result = await run(folder, "problems", "import", format_, source, "-o", "p.yaml")
    assert result.code == 0, result.out + result.err
    return problems.load([folder / "p.yaml"], LANGUAGES), result.out


async def assert_valid(folder: Path, count: int) -> None:
    """All imported problems are valid in the sandbox."""
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    flags = "problems check --problems p.yaml --sandbox bubblewrap --repeat 1".split()
    result = await run(folder, *flags)
    assert result.code == 0, result.out + result.err
    assert f"{count} of {count} problems are valid" in result.out
    assert "no reference" in result.out or result.out.count("reference 1/1") == count


@pytest.mark.bubblewrap
@pytest.mark.parametrize("lang", EXERCISES)
async def test_an_exercism_track_becomes_valid_problems(tmp_path: Path, lang: str) -> None:
    write(tmp_path / "track" / "exercises" / "practice" / "twice", EXERCISES[lang])
    broken = EXERCISES[lang] | {".meta/config.json": config("a.zz", "b", "c")}
    write(tmp_path / "track" / "exercises" / "practice" / "odd", broken)
    (problem,), output = await import_problems(tmp_path, "exercism", "track")
    assert problem.id == f"exercism-{lang}-twice"
    assert "Double a number" in problem.prompt
    assert problem.license == "MIT (Exercism)"
    assert problem.origin == f"Exercism, {lang} track, twice"
    assert "skipped exercises/practice/odd: no language here has .zz files" in output
    await assert_valid(tmp_path, 1)


async def test_optional_tests_are_enabled_and_skipped_ones_stay_skipped(tmp_path: Path) -> None:
    write(tmp_path / "one", TYPESCRIPT)
    (problem,), _ = await import_problems(tmp_path, "exercism", "one")
    (text,) = problem.tests.values()
    assert "it('calls'" in text
    assert "it.skip('impossible'" in text
    assert "vi.fn(twice)" in text
    assert "jest" not in text


async def test_test_files_that_the_exercise_does_not_name_are_imported_too(tmp_path: Path) -> None:
    write(tmp_path / "one", GO)
    (problem,), _ = await import_problems(tmp_path, "exercism", "one")
    assert set(problem.tests) == {"twice_test.go", "cases_test.go", "outside_test.go"}


@pytest.mark.bubblewrap
async def test_polyglot_folders_become_valid_problems(tmp_path: Path) -> None:
    for lang, files in EXERCISES.items():
        write(tmp_path / "all" / lang / "exercises" / "practice" / "twice", files)
    rust = {".meta/config.json": config("src/lib.rs", "tests/twice.rs", ".meta/example.rs")}
    write(tmp_path / "all" / "rust" / "exercises" / "practice" / "twice", rust)
    converted, output = await import_problems(tmp_path, "polyglot", "all")
    assert {problem.id for problem in converted} == {f"polyglot-{lang}-twice" for lang in EXERCISES}
    assert "skipped rust/exercises/practice/twice: no language here has .rs files" in output
    await assert_valid(tmp_path, 3)


@pytest.mark.bubblewrap
async def test_humaneval_and_its_plus_become_valid_problems(tmp_path: Path) -> None:
    jsonl(tmp_path / "h.jsonl.gz", HUMANEVAL, PLUS, {"task_id": "HumanEval/901"})
    (plain, plus), output = await import_problems(tmp_path, "humaneval", "h.jsonl.gz")
    assert (plain.id, plus.id) == ("humaneval-900", "humaneval-plus-900")
    assert plain.license != plus.license
    assert "skipped HumanEval/901: is not of this format: KeyError('entry_point')" in output
    await assert_valid(tmp_path, 2)


@pytest.mark.bubblewrap
async def test_humaneval_x_becomes_valid_problems(tmp_path: Path) -> None:
    jsonl(tmp_path / "x.jsonl", *HUMANEVAL_X)
    converted, output = await import_problems(tmp_path, "humaneval-x", "x.jsonl")
    assert [problem.id for problem in converted] == ["humaneval-x-python-900", "humaneval-x-go-900"]
    assert "skipped Java/900: no language here is called 'Java'" in output
    await assert_valid(tmp_path, 2)


@pytest.mark.bubblewrap
async def test_mbpp_in_all_its_forms_becomes_valid_problems(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps(MBPP))
    converted, output = await import_problems(tmp_path, "mbpp", "m.json")
    assert [problem.id for problem in converted] == ["mbpp-900", "mbpp-901", "mbpp-plus-902"]
    assert "assert twice(2) == 4" in converted[0].prompt
    assert "twice(-1)" not in converted[0].prompt
    assert "skipped Mbpp/903: has inputs and no tests" in output
    await assert_valid(tmp_path, 3)


@pytest.mark.bubblewrap
async def test_multipl_e_becomes_problems_that_a_right_answer_solves(tmp_path: Path) -> None:
    jsonl(tmp_path / "m.jsonl", *MULTIPL_E)
    converted, output = await import_problems(tmp_path, "multipl-e", "m.jsonl")
    assert [problem.lang for problem in converted] == ["typescript", "go", "python"]
    assert output.count("skipped") == 2
    await assert_valid(tmp_path, 3)  # without references: all other answers must fail
    text = (tmp_path / "p.yaml").read_text()
    for problem in converted:
        body = "".join(f"    {line}\n" for line in RIGHT[problem.lang].splitlines())
        text = text.replace(
            f"- id: {problem.id}\n", f"- id: {problem.id}\n  reference: |\n{body}", 1
        )
    (tmp_path / "p.yaml").write_text(text)
    await assert_valid(tmp_path, 3)


@pytest.mark.parametrize(
    ("format_", "source", "message"),
    [
        ("humaneval", "none.jsonl", "none.jsonl: no such file or folder"),
        ("humaneval", "bad.jsonl", "bad.jsonl:2: not JSON"),
        ("mbpp", "list.json", "list.json:1: an entry is an object"),
        ("exercism", ".", "no exercise here, such as exercises/practice/NAME"),
        ("polyglot", ".", "no LANGUAGE/exercises/practice/NAME"),
        ("leetcode", ".", "invalid choice: 'leetcode'"),
    ],
)
async def test_a_source_that_is_not_of_its_format_is_refused_in_one_line(
    tmp_path: Path, format_: str, source: str, message: str
) -> None:
    (tmp_path / "bad.jsonl").write_text(json.dumps(HUMANEVAL) + "\n{")
    (tmp_path / "list.json").write_text("[1]")
    result = await run(tmp_path, "problems", "import", format_, source, "-o", "p.yaml")
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "p.yaml").exists()


async def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("mine")
    jsonl(tmp_path / "h.jsonl", HUMANEVAL)
    result = await run(tmp_path, "problems", "import", "humaneval", "h.jsonl", "-o", "p.yaml")
    assert (result.code, "p.yaml: exists: choose another name" in result.err) == (2, True)
    assert (tmp_path / "p.yaml").read_text() == "mine"
