"""The choice among several blocks, and code in unusual places of an answer."""

import pytest
from helpers.answers import CODE, GO, GO_CODE, PYTHON, TS, TYPESCRIPT, extract_code, fenced

from llmbench import problems
from llmbench.extraction import ExtractionMethod, Syntax
from llmbench.plan import bundled_dir
from llmbench.records import Problem
from llmbench.runners import load_runners

RUNNERS = load_runners(bundled_dir("runners"))
PROBLEMS = problems.load(
    [bundled_dir("problems")], {lang: runner.option_values for lang, runner in RUNNERS.items()}
)
TESTS = "from solution import f\n\ndef test_f():\n    assert f(1) == 2\n"
HELPER = "def helper(x):\n    return x\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(fenced("data = [1, 2]\n") + fenced(CODE), id="example input first"),
        pytest.param(fenced("print(f(1))\n") + fenced(CODE), id="usage first"),
        pytest.param(fenced("x = f(1)\nimport os\n") + fenced(CODE), id="usage that fits first"),
        pytest.param(fenced(TESTS) + fenced(CODE), id="its tests first"),
        pytest.param(
            fenced("import solution\n\ndef f(x):\n    return solution.f(x)\n") + fenced(CODE),
            id="a block that imports the solution",
        ),
        pytest.param(
            fenced("def g():\n    pass\n", "python title=other.py") + fenced(CODE),
            id="another file in the fence",
        ),
        pytest.param(
            "**`tests/test_g.py`**\n\n" + fenced(HELPER) + fenced(CODE), id="another file above"
        ),
        pytest.param(
            fenced("# helper.py\n" + HELPER) + fenced(CODE), id="another file in a comment"
        ),
    ],
)
def test_the_first_block_that_defines_something_in_the_solution_is_chosen(text: str) -> None:
    assert extract_code(text).code == CODE
    assert extract_code(text, names=["f"]).code == CODE


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(fenced(HELPER) + fenced(CODE), id="a helper first"),
        pytest.param(fenced(HELPER) + fenced(CODE, ""), id="a helper first, no tag"),
        pytest.param(fenced(CODE) + fenced(CODE.replace("1", "2")), id="two solutions"),
        pytest.param(
            fenced("class G:\n    pass\n") + fenced(CODE, "python title=adder.py"),
            id="under a name of the model's own",
        ),
    ],
)
def test_the_first_block_that_defines_the_wanted_names_is_chosen(text: str) -> None:
    assert extract_code(text, names=["f"]).code == CODE


def test_a_block_with_all_wanted_names_comes_before_one_with_some() -> None:
    both = f"{HELPER}\n\n{CODE}"
    assert extract_code(fenced(CODE) + fenced(both), names=["f", "helper"]).code == both


@pytest.mark.parametrize(
    ("syntax", "usage", "code", "tag"),
    [
        (TYPESCRIPT, "const data = [1, 2];\n", TS, "typescript"),
        (TYPESCRIPT, "const data = [1];\n", "export const f = (x: number) =>\n  x + 1;\n", "ts"),
        (TYPESCRIPT, 'import { f } from "./solution";\nfunction main() {\n}\n', TS, "ts"),
        (GO, "x := []int{1, 2}\n", GO_CODE, "go"),
        (GO, 'package main\n\nimport "solution"\n\nfunc main() {\n}\n', GO_CODE, "go"),
    ],
)
def test_other_languages_choose_a_definition_too(
    syntax: Syntax, usage: str, code: str, tag: str
) -> None:
    assert extract_code(fenced(usage, tag) + fenced(code, tag), syntax).code == code


def test_the_blocks_that_are_left_out_are_counted() -> None:
    text = fenced("import os\n") + fenced(CODE) + fenced("pip install x\n", "sh") + fenced("1", "")
    assert extract_code(text).left_out == 1
    assert extract_code(fenced(CODE)).left_out == 0
    assert extract_code(CODE).left_out == 0


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(" " + CODE, id="a blank before the whole text"),
        pytest.param("\n " + CODE, id="a blank before the first line alone"),
        pytest.param("  def f(x):\n      return x + 1\n", id="an indent of all lines"),
        pytest.param("\tdef f(x):\n\t    return x + 1\n", id="a tab before all lines"),
        pytest.param("python\n" + CODE, id="a tag before the whole text"),
        pytest.param("[PYTHON]\n" + CODE + "[/PYTHON]\n", id="tags in brackets"),
        pytest.param(f"Sure.\n[PYTHON]{CODE}[/PYTHON]\n[TESTS]\nx\n[/TESTS]", id="glued tags"),
        pytest.param(f"[PYTHON]\n{fenced(CODE)}[/PYTHON]", id="a block between tags in brackets"),
        pytest.param(CODE + "[/PYTHON]\nIt adds one.", id="a tag that the prompt opened"),
        pytest.param(fenced("python\n" + CODE, ""), id="a tag in the first line"),
        pytest.param(fenced("python\n" + CODE), id="a tag twice"),
        pytest.param("```python\n def f(x):\n     return x + 1\n```", id="deeper than its fence"),
        pytest.param(f"```python\n {CODE}```", id="a blank before the first line of a block"),
        pytest.param(f"```python\n{CODE}```<step>", id="a tag behind the end"),
        pytest.param(f"```python\n{CODE}```</answer>", id="the end of an answer behind the end"),
        pytest.param(f"```python\n{CODE}``` This adds one to x.\n", id="prose behind the end"),
        pytest.param(f"```python\n{CODE}```. It adds one.\n", id="a sentence behind the end"),
        pytest.param(f"````python\n{CODE}```. \nIt adds one.", id="a shorter end with text"),
        pytest.param(f"```python\n{CODE}``` Run it:\n```sh\nls", id="prose, then an open block"),
        pytest.param(f"```python\n{CODE}```sh\nls\n```sh\nls", id="another block at the end"),
        pytest.param(fenced(f"# Title\n\n{fenced(CODE)}", "markdown"), id="all in Markdown"),
        pytest.param(
            fenced(f"Hi.\n{fenced(CODE)}Bye.\n", "md", mark="````"), id="all in a longer block"
        ),
        pytest.param(f"<answer>\n{CODE}</answer>", id="the tags of an answer"),
        pytest.param(f"<answer>```\n{CODE}```</answer>", id="the tags of an answer at fences"),
        pytest.param(CODE + "<|im_end|>\n", id="a stop token behind the whole text"),
        pytest.param(f"Let's begin.```py\n{CODE}```", id="a block glued to a sentence"),
    ],
)
def test_code_is_found_in_unusual_places(text: str) -> None:
    assert extract_code(text).code == CODE
    assert extract_code(text, names=["f"]).code == CODE


def test_code_may_begin_with_an_assignment() -> None:
    code = "ONE = 1\n\n" + CODE
    assert extract_code(code).method is ExtractionMethod.WHOLE_TEXT
    assert extract_code(code).code == code
    assert extract_code("Note that x = 1\n\n" + CODE).code is None


@pytest.mark.parametrize(
    ("syntax", "text", "names"),
    [
        (PYTHON, "from solution import f, g as h  # both\n", {"f", "g"}),
        (PYTHON, "from solution import (\n    A,\n    b,  # c\n)\n", {"A", "b"}),
        (PYTHON, "import solution\n\nassert solution.f(1)\nopen('solution.py')\n", {"f"}),
        (PYTHON, "f = getattr(solution, 'f')\n", {"f"}),
        (PYTHON, "from other import f\n", set()),
        (TYPESCRIPT, "import { f, type A, g as h } from './solution.ts';\n", {"f", "A", "g"}),
        (TYPESCRIPT, 'import type {\n  A,\n} from "./solution";\n', {"A"}),
        (GO, 'import "solution"\n\nvar x = solution.New[int]()\n', {"New"}),
    ],
)
def test_tests_name_what_they_take_from_the_solution(
    syntax: Syntax, text: str, names: set[str]
) -> None:
    assert syntax.imported_names(text) == names


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.id)
def test_references_define_the_names_that_their_tests_want(problem: Problem) -> None:
    runner = RUNNERS[problem.lang]
    names = runner.wanted_names(problem)
    assert names
    assert names <= runner.syntax.defined_names(problem.reference or "")


def test_without_imports_the_stub_of_the_prompt_names_what_is_wanted() -> None:
    problem = Problem("p", "go", f"Complete it:\n\n{fenced(GO_CODE, 'go')}", {"a_test.go": "x"})
    assert RUNNERS["go"].wanted_names(problem) == {"F"}
