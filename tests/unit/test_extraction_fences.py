"""Fenced blocks: their tags, their ends, and fences inside their code."""

import pytest
from helpers.answers import CODE, TS, TYPESCRIPT, extract_code, fenced

from llmbench.extraction import Extraction, ExtractionMethod


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(fenced(CODE), id="a block of the language"),
        pytest.param(f"Sure!\n\n{fenced(CODE)}\nIt adds one.", id="prose around it"),
        pytest.param(fenced(CODE, "Python"), id="a tag in other case"),
        pytest.param(fenced(CODE, "py"), id="a short tag"),
        pytest.param(fenced(CODE, " python"), id="a blank before the tag"),
        pytest.param(fenced(CODE, 'python title="solution.py"'), id="attributes"),
        pytest.param(fenced(CODE, "{.python .numberLines}"), id="a tag in braces"),
        pytest.param(fenced(CODE, "{python}"), id="a tag in braces without a dot"),
        pytest.param(fenced(CODE, "python:solution.py"), id="a path after the tag"),
        pytest.param(fenced(CODE, "python,editable"), id="a comma after the tag"),
        pytest.param(fenced(CODE, "solution.py"), id="a file name as the tag"),
        pytest.param(fenced(CODE, mark="~~~"), id="tildes"),
        pytest.param(fenced(CODE, mark="````"), id="a longer fence"),
        pytest.param("```python\n" + CODE, id="a fence that is never closed"),
        pytest.param("```python\n" + CODE + "```   ", id="blanks after the end"),
        pytest.param(f"\u00a0```\u00a0python\u00a0\n{CODE}```\u00a0", id="non-breaking spaces"),
        pytest.param(f"```python\u200b\n{CODE}```\u200b\n2 + 2", id="zero-width spaces"),
        pytest.param(f"Here it is:```python\n{CODE}```", id="a fence glued to prose"),
        pytest.param(f"Here it is: ```python\n{CODE}```\nDone.", id="a fence behind prose"),
        pytest.param(f"Use `f`: ```python\n{CODE}```", id="a fence behind inline code"),
        pytest.param(
            "```python\ndef f(x):\n    return x + 1```\nIt adds one.", id="an end glued to code"
        ),
        pytest.param(f"```python\n{CODE}```<|im_end|>\n", id="a stop token behind the end"),
        pytest.param(
            "1. The file:\n   ```python\n   def f(x):\n       return x + 1\n   ```\n",
            id="a block indented in a list",
        ),
        pytest.param(
            f"1. The file:\n   ```python\n{CODE}   ```\n2. Run it.",
            id="a fence indented in a list, its code not",
        ),
        pytest.param(
            "- ```python\n  def f(x):\n      return x + 1\n  ```\n",
            id="a block that opens a list item",
        ),
        pytest.param("\t```python\n\tdef f(x):\n\t    return x + 1\n\t```\n", id="tabs before all"),
        pytest.param(fenced("pip install x\n", "bash") + fenced(CODE), id="a shell block first"),
        pytest.param(
            fenced("import x\n", "") + fenced(CODE), id="an untagged block that fits first"
        ),
        pytest.param(
            fenced(CODE) + "Usage:\n" + fenced("print(f(1))\n"), id="the first of two blocks"
        ),
        pytest.param(fenced("\n \n") + fenced(CODE), id="an empty block first"),
        pytest.param(fenced("\n\n" + CODE + "\n \n"), id="blank lines within the block"),
        pytest.param(fenced(CODE).replace("\n", "\r\n"), id="Windows lines"),
        pytest.param("\ufeff" + fenced(CODE), id="a byte order mark"),
    ],
)
def test_a_block_of_the_language_is_found(text: str) -> None:
    assert extract_code(text) == Extraction(CODE, ExtractionMethod.FENCE)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(
            'def f():\n    """Example:\n\n    ```\n    f()\n    ```\n    """\n    return 1\n',
            id="indented in a docstring",
        ),
        pytest.param(
            '"""Module.\n\n```\nf()\n```\n"""\n\ndef f():\n    return 1\n',
            id="bare in a module docstring",
        ),
        pytest.param(
            '"""Module.\n\n```python\nf()\n```\n"""\n\ndef f():\n    return 1\n',
            id="tagged in a module docstring",
        ),
        pytest.param(
            'TEXT = """\n```json\n{}\n```\n"""\n\ndef f():\n    return TEXT\n', id="in a string"
        ),
        pytest.param("# ```\n# f()\n# ```\n\ndef f():\n    return 1\n", id="in a comment"),
        pytest.param(
            "TEXT = <<END\n  ```\n  f()\n  ```\nEND\n", id="indented in a string of another kind"
        ),
        pytest.param(
            "TEXT = <<END\n```json\n{}\n```\nEND\n", id="tagged in a string of another kind"
        ),
        pytest.param("MARK = '```'\n\ndef f():\n    return MARK\n", id="within a line"),
        pytest.param(
            'def f(s):\n    return s.replace("<think>", "").replace("</think>", "")\n',
            id="a reasoning tag in a string",
        ),
        pytest.param(
            'def f(s):\n    """Drops all up to\n    </think>\n    """\n    return s\n',
            id="a reasoning tag in a docstring",
        ),
        pytest.param(
            'def f(s):\n    """\n</think>\n<think>\n    """\n    return s\n',
            id="reasoning tags on lines of their own",
        ),
        pytest.param(
            "def f(a):\n    return a &lt; 1 and '&amp;' and a < 1\n", id="character references"
        ),
    ],
)
def test_fences_and_reasoning_tags_inside_the_code_stay(code: str) -> None:
    text = f"Here:\n\n{fenced(code)}\nUsage:\n{fenced('f()', 'python')}\n{fenced('1', '')}"
    assert extract_code(text) == Extraction(code, ExtractionMethod.FENCE)


def test_quoted_triple_quotes_open_no_docstring() -> None:
    code = 'Q = \'"""\'\n'
    text = f"{fenced(code)}Usage:\n{fenced(code + 'f(Q)' + chr(10))}\nOutput:\n{fenced('1', '')}"
    assert extract_code(text) == Extraction(code, ExtractionMethod.FENCE)


def test_a_fence_in_a_list_item_does_not_end_a_block() -> None:
    code = "'''\n* ```\n* f()\n* ```\n"
    assert extract_code(f"{fenced(code)}Done.") == Extraction(code, ExtractionMethod.FENCE)


def test_a_shorter_fence_does_not_end_a_longer_one() -> None:
    code = "T = 1\n```json\n{}\n```\n```\n"
    text = fenced(code, mark="````") + "Output:\n" + fenced("1", "", mark="````")
    assert extract_code(text) == Extraction(code, ExtractionMethod.FENCE)


def test_tildes_do_not_close_backticks() -> None:
    code = "T = 1\n~~~\nU = 2\n"
    assert extract_code(fenced(code) + "Text.\n~~~\n") == Extraction(code, ExtractionMethod.FENCE)


def test_an_end_indented_deeper_than_its_opening_ends_a_block_without_another_end() -> None:
    assert extract_code("```python\ndef f():\n    return 1\n  ```\nIt returns 1.").code == (
        "def f():\n    return 1\n"
    )


@pytest.mark.parametrize(
    "comment",
    [
        pytest.param("/**\n * @example\n * ```ts\n * f(1)\n * ```\n */\n", id="with stars"),
        pytest.param("/*\n```\nf(1)\n```\n*/\n", id="without stars"),
        pytest.param("/*\n```ts\nf(1)\n```\n*/\n", id="tagged, without stars"),
        pytest.param("// ```ts\n// f(1)\n// ```\n", id="in line comments"),
    ],
)
def test_an_example_in_a_comment_does_not_end_the_block(comment: str) -> None:
    text = f"{fenced(comment + TS, 'ts')}Output:\n{fenced('2', '')}Run:\n{fenced('npx', 'sh')}"
    assert extract_code(text, TYPESCRIPT) == Extraction(comment + TS, ExtractionMethod.FENCE)
