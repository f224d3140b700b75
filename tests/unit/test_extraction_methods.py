"""Answers without a tagged block: the code is the text that fits, or there is none."""

import pytest
from helpers.answers import CODE, extract_code, fenced

from llmbench.extraction import Extraction, ExtractionMethod


@pytest.mark.parametrize(
    ("text", "method"),
    [
        pytest.param(
            fenced(CODE, ""), ExtractionMethod.FENCE_FITTING, id="no tag, but the text fits"
        ),
        pytest.param(
            fenced(CODE, "text"), ExtractionMethod.FENCE_FITTING, id="a wrong tag, but it fits"
        ),
        pytest.param(
            fenced("pip install x\n", "") + fenced(CODE, ""),
            ExtractionMethod.FENCE_FITTING,
            id="the first untagged block that fits",
        ),
        pytest.param(CODE, ExtractionMethod.WHOLE_TEXT, id="bare code"),
        pytest.param(
            "\n\n" + CODE + "\n \n", ExtractionMethod.WHOLE_TEXT, id="blank lines around bare code"
        ),
        pytest.param("\ufeff" + CODE, ExtractionMethod.WHOLE_TEXT, id="a byte order mark"),
        pytest.param(CODE.replace("\n", "\r\n"), ExtractionMethod.WHOLE_TEXT, id="Windows lines"),
        pytest.param(
            CODE.replace("\n", "\r"), ExtractionMethod.WHOLE_TEXT, id="old Macintosh lines"
        ),
        pytest.param(
            CODE + "```\n", ExtractionMethod.WHOLE_TEXT, id="a block that the prompt opened"
        ),
        pytest.param(
            f"{CODE}```\n\nThis adds one.\n\nUsage:\n{fenced('import x', 'python')}",
            ExtractionMethod.WHOLE_TEXT,
            id="a block that the prompt opened, then others",
        ),
    ],
)
def test_a_text_that_fits_needs_no_tag(text: str, method: ExtractionMethod) -> None:
    assert extract_code(text) == Extraction(CODE, method)


def test_an_untagged_block_that_does_not_fit_is_the_last_choice() -> None:
    assert extract_code("```\nx = 1\n```") == Extraction("x = 1\n", ExtractionMethod.FENCE_UNTAGGED)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("I cannot help with that.", id="a refusal"),
        pytest.param("import the module and return the value of f(x).", id="prose like code"),
        pytest.param("Here is the code:\n\n" + CODE, id="bare code behind prose"),
        pytest.param(f"# Solution\n\nThis is how.\n\n{CODE}", id="bare code behind a heading"),
        pytest.param(CODE + "\nThis function adds one to x.", id="bare code before prose"),
        pytest.param(CODE + "\nThis function adds `1`", id="prose without a full stop"),
        pytest.param(CODE + "\n* Adds one", id="bare code before a list"),
        pytest.param("<think>\n" + fenced(CODE), id="reasoning that never ends"),
        pytest.param(
            f"<think>Split on '</think>' then.\n{fenced(CODE)}",
            id="reasoning that quotes its end and never ends",
        ),
        pytest.param(f"{fenced(CODE)}\nNow I know.\n</think>\n", id="reasoning and nothing else"),
        pytest.param(fenced("npm install\n", "bash"), id="another language alone"),
        pytest.param("```python\n```", id="an empty block alone"),
        pytest.param("```python", id="a fence alone"),
    ],
)
def test_an_answer_without_code_has_no_code(text: str) -> None:
    assert extract_code(text) == Extraction(None, ExtractionMethod.NONE)
