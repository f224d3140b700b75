"""Hostile answers take time linear in their length."""

import time
from dataclasses import replace

import pytest
from helpers.answers import PYTHON

from llmbench.extraction import extract


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("```python\n ```\n" * 60_000, id="badly indented blocks"),
        pytest.param("```\n" * 250_000, id="bare fences"),
        pytest.param("".join(f"```{n}\n" for n in range(110_000)), id="fences that all differ"),
        pytest.param("```\n~~~\n" * 125_000, id="fences of two kinds"),
        pytest.param("`" * 1_000_000, id="one long fence"),
        pytest.param("```a" * 250_000, id="fences in one line"),
        pytest.param('```python\n"""\n' + '"""\n```\n' * 120_000, id="edges of docstrings"),
        pytest.param("<think>" * 140_000, id="openings"),
        pytest.param("<think></think>" * 66_000, id="pairs in one line"),
        pytest.param("</think>x" * 110_000, id="closings in one line"),
        pytest.param("</think>\n```\n" * 76_000, id="closings between fences"),
        pytest.param("<think></think>" + '""' * 490_000, id="quotes"),
        pytest.param("<think></think>" + "'x\n" * 330_000, id="quotes left open"),
        pytest.param("a" * 1_000_000, id="one long word"),
        pytest.param(" " * 1_000_000 + "x", id="one long blank"),
        pytest.param("```" + " " * 1_000_000 + "!\n1", id="one long blank behind a fence"),
        pytest.param("\r" * 1_000_000, id="blank lines"),
        pytest.param("```\nx" + "\n \n" * 330_000 + "x\n```", id="blank lines in a block"),
        pytest.param("#\n" * 500_000, id="comments"),
        pytest.param("/*" * 500_000, id="comments left open"),
        pytest.param("```\n" + "def \n" * 200_000 + "```", id="lines that nearly fit"),
        pytest.param("def f():\n" + "Word " * 200_000, id="one long sentence"),
    ],
)
def test_a_hostile_megabyte_takes_linear_time(text: str) -> None:
    slow = replace(PYTHON, code_patterns=(*PYTHON.code_patterns, r"^\s*@@@"))
    began = time.process_time()
    extract(text, slow, ["f"])
    # Measured: below 0.2 s each; quadratic time takes minutes.
    assert time.process_time() - began < 1
