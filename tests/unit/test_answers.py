"""Answers as models write them, and the code that is meant."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbench.answers import Extraction, Found, extract

FENCES = ("python", "python3", "py")
SIGNS = (
    r"^(async )?def \w+\(",
    r"^class \w+.*:\s*$",
    r"^from [\w.]+ import ",
    r"^import [\w.]+\s*$",
)
CODE = "def f(x):\n    return x + 1\n"


def of(text: str) -> Extraction:
    return extract(text, fences=FENCES, signs=SIGNS)


def fenced(code: str, tag: str = "python", mark: str = "```") -> str:
    return f"{mark}{tag}\n{code}{mark}\n"


@pytest.mark.parametrize(
    ("text", "how"),
    [
        pytest.param(fenced(CODE), Found.FENCE, id="a block of the language"),
        pytest.param(f"Sure!\n\n{fenced(CODE)}\nIt adds one.", Found.FENCE, id="prose around it"),
        pytest.param(fenced(CODE, "Python"), Found.FENCE, id="a tag in other case"),
        pytest.param(fenced(CODE, "py"), Found.FENCE, id="a short tag"),
        pytest.param(fenced(CODE, " python"), Found.FENCE, id="a blank before the tag"),
        pytest.param(fenced(CODE, 'python title="solution.py"'), Found.FENCE, id="attributes"),
        pytest.param(fenced(CODE, "{.python}"), Found.FENCE, id="a tag in braces"),
        pytest.param(fenced(CODE, "python:solution.py"), Found.FENCE, id="a path after the tag"),
        pytest.param(fenced(CODE, mark="~~~"), Found.FENCE, id="tildes"),
        pytest.param(fenced(CODE, mark="````"), Found.FENCE, id="a longer fence"),
        pytest.param("```python\n" + CODE, Found.FENCE, id="a fence that is never closed"),
        pytest.param("```python\n" + CODE + "```   ", Found.FENCE, id="blanks after the end"),
        pytest.param(f"Here it is:```python\n{CODE}```", Found.FENCE, id="a fence behind prose"),
        pytest.param(
            "1. The file:\n   ```python\n   def f(x):\n       return x + 1\n   ```\n",
            Found.FENCE,
            id="a block indented in a list",
        ),
        pytest.param(
            "- ```python\n  def f(x):\n      return x + 1\n  ```\n",
            Found.FENCE,
            id="a block that opens a list item",
        ),
        pytest.param(
            fenced("pip install x\n", "bash") + fenced(CODE), Found.FENCE, id="a shell block first"
        ),
        pytest.param(
            fenced(CODE) + "Usage:\n" + fenced("print(f(1))\n"), Found.FENCE, id="the first of two"
        ),
        pytest.param(fenced("\n") + fenced(CODE), Found.FENCE, id="an empty block first"),
        pytest.param(fenced(CODE, ""), Found.FENCE_FITTING, id="no tag, but the text fits"),
        pytest.param(fenced(CODE, "text"), Found.FENCE_FITTING, id="a wrong tag, but it fits"),
        pytest.param(
            fenced("pip install x\n", "") + fenced(CODE, ""),
            Found.FENCE_FITTING,
            id="the first untagged block that fits",
        ),
        pytest.param(CODE, Found.WHOLE_TEXT, id="bare code"),
        pytest.param("\n\n" + CODE + "\n\n", Found.WHOLE_TEXT, id="bare code among blank lines"),
        pytest.param("\ufeff" + CODE, Found.WHOLE_TEXT, id="a byte order mark"),
        pytest.param(CODE.replace("\n", "\r\n"), Found.WHOLE_TEXT, id="Windows lines"),
        pytest.param(fenced(CODE).replace("\n", "\r\n"), Found.FENCE, id="Windows lines, fenced"),
        pytest.param(
            f"<think>First ```python\nwrong()\n```</think>\n{fenced(CODE)}",
            Found.FENCE,
            id="code in a reasoning section",
        ),
        pytest.param(
            f"Maybe ```python\nwrong()\n``` no.\n</think>\n\n{fenced(CODE)}",
            Found.FENCE,
            id="reasoning whose opening tag was in the template",
        ),
        pytest.param(
            f"<thinking>a</thinking>\n<think>b</think>\n{fenced(CODE)}",
            Found.FENCE,
            id="two reasoning sections",
        ),
        pytest.param(
            f"<think>\nshort\n</think>{fenced(CODE)}", Found.FENCE, id="no line after the reasoning"
        ),
    ],
)
def test_the_code_is_found(text: str, how: Found) -> None:
    assert of(text) == Extraction(CODE, how)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("I cannot help with that.", id="a refusal"),
        pytest.param("import the module and return the value of f(x).", id="prose like code"),
        pytest.param("Here is the code:\n\n" + CODE, id="bare code behind prose"),
        pytest.param("<think>\n" + fenced(CODE), id="reasoning that never ends"),
        pytest.param(fenced("npm install\n", "bash"), id="another language alone"),
        pytest.param("```python\n```", id="an empty block alone"),
    ],
)
def test_where_there_is_no_code_none_is_made_up(text: str) -> None:
    assert of(text) == Extraction(None, Found.NONE)


def test_an_untagged_block_that_does_not_fit_is_still_better_than_nothing() -> None:
    assert of("```\nx = 1\n```") == Extraction("x = 1\n", Found.FENCE_UNTAGGED)


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
        pytest.param(
            'def f(s):\n    return s.replace("<think>", "").replace("</think>", "")\n',
            id="a reasoning tag in a string",
        ),
        pytest.param("MARK = '```'\n\ndef f():\n    return MARK\n", id="within a line"),
    ],
)
def test_fences_and_tags_inside_the_code_stay(code: str) -> None:
    assert of(f"Here:\n\n{fenced(code)}\nDone.") == Extraction(code, Found.FENCE)


def test_an_end_indented_deeper_than_its_opening_still_ends_a_block_with_no_other_end() -> None:
    assert of("```python\ndef f():\n    return 1\n  ```\nIt returns 1.").code == (
        "def f():\n    return 1\n"
    )


@given(st.text(alphabet=st.sampled_from("`~<>/thinkpyo \n\"'#x."), max_size=400))
def test_no_text_makes_it_fail(text: str) -> None:
    found = of(text)
    assert (found.code is None) == (found.how is Found.NONE)


@given(
    st.lists(st.text(alphabet="abcdef (){}[]=+:,.#", min_size=1), min_size=1, max_size=20).map(
        lambda lines: "\n".join(lines).strip("\n").rstrip() + "\n"
    )
)
def test_code_without_fences_comes_back_from_a_fence_unchanged(code: str) -> None:
    if code.strip():
        assert of(f"Text.\n\n{fenced(code)}\nMore.").code == code


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("```python\n ```\n" * 60_000, id="many badly indented blocks"),
        pytest.param("<think>" * 150_000, id="many openings"),
        pytest.param("</think>x" * 110_000, id="many closings"),
        pytest.param("`" * 1_000_000, id="one long fence"),
        pytest.param("```a" * 250_000, id="fences in one line"),
        pytest.param("a" * 1_000_000, id="one long word"),
        pytest.param(("x" * 50 + "\n") * 20_000, id="many lines"),
        pytest.param("```\n" * 250_000, id="many bare fences"),
    ],
)
def test_a_hostile_megabyte_takes_linear_time(text: str) -> None:
    began = time.process_time()
    of(text)
    assert time.process_time() - began < 5  # quadratic time takes minutes
