"""The code patterns of the shipped languages tell code from prose, and languages apart."""

import re

import pytest

from llmbench import problems
from llmbench.extraction import ExtractionMethod, extract
from llmbench.plan import bundled_dir
from llmbench.records import Problem
from llmbench.runners import Runner, load_runners

RUNNERS = load_runners(bundled_dir("runners"))
PROBLEMS = problems.load(
    [bundled_dir("problems")], {lang: runner.option_values for lang, runner in RUNNERS.items()}
)


def fits(runner: Runner, text: str) -> bool:
    return any(re.search(pattern, text, re.M) for pattern in runner.config.code_patterns)


def lines_that_fit(runner: Runner, text: str) -> int:
    return sum(fits(runner, line) for line in text.splitlines())


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.id)
def test_bare_code_is_found_and_fits_its_language_best(problem: Problem) -> None:
    for code in (problem.reference or "", *problem.wrong_answers.values()):
        extraction = extract(code, RUNNERS[problem.lang].syntax)
        assert extraction.method is ExtractionMethod.WHOLE_TEXT
    reference = problem.reference or ""
    counts = {lang: lines_that_fit(runner, reference) for lang, runner in RUNNERS.items()}
    own = counts.pop(problem.lang)
    assert own > max(counts.values())  # `var name =` is a line of several languages


@pytest.mark.parametrize(
    "prose",
    [
        "import the module and return the value of f(x).",
        "Define a class of things: each has a name.",
        "from here on, import what you need",
        "type the package name and let the function return",
        "I cannot help with that.",
        "package it well and func it up",
    ],
)
@pytest.mark.parametrize("lang", RUNNERS)
def test_prose_fits_no_language(lang: str, prose: str) -> None:
    assert not fits(RUNNERS[lang], prose)
