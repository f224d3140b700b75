"""Reasoning around the code is removed; reasoning tags inside the code stay."""

import pytest
from helpers.answers import CODE, TS, TYPESCRIPT, WRONG, extract_code, fenced
from helpers.reasoning import FORMS, QUOTATION

from llmbench.extraction import Extraction, ExtractionMethod


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"<think>First ```python\n{WRONG}```</think>\n", id="a code draft in it"),
        pytest.param(f"<THINK>\n{fenced(WRONG)}</THINK>\n", id="in capitals"),
        pytest.param(f"Okay. <think>\n{fenced(WRONG)}\n</think>\n", id="behind prose"),
        pytest.param("<thinking>a</thinking>\n<think>b</think>\n", id="twice"),
        pytest.param(f"<reasoning>\n{fenced(WRONG)}</reasoning>\n", id="by another name"),
        pytest.param(f"[THINK]{fenced(WRONG)}[/THINK]", id="in square brackets"),
        pytest.param(f"◁think▷{fenced(WRONG)}◁/think▷", id="in triangles"),
        pytest.param(
            f"<|channel|>analysis<|message|>{fenced(WRONG)}<|end|>"
            "<|start|>assistant<|channel|>final<|message|>",
            id="in a channel",
        ),
        pytest.param("<think>\nshort\n</think>", id="no line behind it"),
        pytest.param(
            f"<think>a <think>b</think>\n{fenced(WRONG)}\n</think>\n", id="one within another"
        ),
        pytest.param(
            f"<think>Split on '</think>' then.\n{fenced(WRONG)}</think>\n",
            id="that quotes its own tag",
        ),
        pytest.param(f'<think>It says "so</think>\n{fenced(CODE)}', id="a quote left open in it"),
        pytest.param(f"{fenced(WRONG)}Yes.\n</think>\n\n", id="opened in the prompt"),
        pytest.param(f'{fenced(WRONG)}It\'s "so".</think>', id="opened in the prompt, glued"),
        pytest.param(f"Maybe ```python\n{WRONG}``` no.\n</think>\n", id="prose glued to a fence"),
        pytest.param(
            f"```python\n{WRONG}\nNo, wait.\n</think>\n", id="opened in the prompt, a draft open"
        ),
    ],
)
def test_reasoning_is_removed(text: str) -> None:
    assert extract_code(text + fenced(CODE)) == Extraction(CODE, ExtractionMethod.FENCE)


def test_reasoning_before_bare_code_is_removed() -> None:
    assert extract_code(f"<think>\nHm.\n</think>\n\n{CODE}") == Extraction(
        CODE, ExtractionMethod.WHOLE_TEXT
    )
    assert extract_code(f"Hm.\n</think>\n{CODE}") == Extraction(CODE, ExtractionMethod.WHOLE_TEXT)


def test_the_texts_around_reasoning_stay_on_separate_lines() -> None:
    assert extract_code("def f(<think>Hm.</think>): return 1").code == "def f(\n): return 1\n"


def test_a_reasoning_tag_in_the_prose_after_the_code_removes_nothing() -> None:
    text = f"{fenced(CODE)}\nIt keeps a </think> tag, and a `<think>` one."
    assert extract_code(text) == Extraction(CODE, ExtractionMethod.FENCE)


@pytest.mark.parametrize("quote", ["'", '"'])
@pytest.mark.parametrize("prefix", ["", "r", "f"])
def test_bare_code_keeps_the_reasoning_tags_in_its_strings(quote: str, prefix: str) -> None:
    code = (
        "import re\n\ndef f(s):\n"
        f"    s = re.sub({prefix}{quote}<think>.*?</think>{quote}, '', s)\n"
        f"    return s.split({prefix}{quote}a</think>{quote})\n"
    )
    assert extract_code(code) == Extraction(code, ExtractionMethod.WHOLE_TEXT)


@pytest.mark.parametrize(("opening", "closing"), FORMS.values(), ids=FORMS)
def test_reasoning_in_every_known_form_is_removed(opening: str, closing: str) -> None:
    thought = f"First a draft.\n{fenced(WRONG)}No, that is wrong.\n"
    for answer in (f"Here it is:\n\n{fenced(CODE)}", fenced(CODE)):
        assert extract_code(opening + thought + closing + answer).code == CODE


@pytest.mark.parametrize("closing", ["</thinking>", "[/THINK]", "<channel|>", "<unused95>"])
def test_reasoning_that_the_prompt_opened_is_removed(closing: str) -> None:
    assert extract_code(f"{fenced(WRONG)}No.\n{closing}\n{fenced(CODE)}").code == CODE


def test_reasoning_in_a_quotation_is_removed() -> None:
    assert extract_code(QUOTATION + fenced(CODE)).code == CODE


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("analysis of the task: one line will do", id="a sentence"),
        pytest.param(
            "Here is my thought process: one line will do", id="a heading without its pair"
        ),
        pytest.param("It prints Error: <reason> and ends", id="a placeholder"),
    ],
)
def test_words_of_prose_open_no_reasoning(text: str) -> None:
    assert extract_code(f"{text}.\n\n{fenced(CODE)}").code == CODE


def test_a_generic_type_opens_no_reasoning() -> None:
    code = f"const all: Map<string, Array<Thought>> = new Map();\nlet one: Set<Reason>;\n{TS}"
    assert extract_code(code, TYPESCRIPT).code == code
