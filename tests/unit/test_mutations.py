"""Mutants: what the shipped rules make of a few lines of each language."""

from pathlib import Path

import pytest

from llmbench import mutations
from llmbench.errors import RunnerFileError, UsageError
from llmbench.mutations import Mutant, Operator, Rules
from llmbench.plan import bundled_dir
from llmbench.runners import AUTHORING, load_runners

pytest.importorskip("tree_sitter", reason=f"not installed: {mutations.INSTALL}")

RULES = {
    lang: mutations.load_rules(runner.folder / AUTHORING)
    for lang, runner in load_runners(bundled_dir("runners")).items()
}
CODE = {
    "python": 'def f(a):\n    """Doc 1."""\n    if not a < 3:\n        g(a)\n    return a\n',
    "typescript": "function f(a: number) {\n  if (!(a < 3)) {\n    g(a);\n  }\n  return a;\n}\n",
    "go": "package p\n\nfunc f(a int) int {\n\tif !(a < 3) {\n\t\tg(a)\n\t}\n\treturn a\n}\n",
}


@pytest.mark.parametrize("lang", CODE)
def test_each_kind_of_mistake_is_made_where_it_can_be(lang: str) -> None:
    found = mutations.mutants(CODE[lang], RULES[lang])
    made = {(mutant.operator, *mutations.changed(CODE[lang], mutant)) for mutant in found}
    operators = {operator for operator, *_ in made}
    assert operators >= {"comparison", "negated condition", "dropped not", "number"}
    assert "removed statement" in operators
    lines = {line[1:].strip() for _, *changes in made for line in changes if line[0] == "+"}
    assert any("a <= 3" in line for line in lines)
    assert any("a < 4" in line for line in lines)
    assert any("a < 2" in line for line in lines)
    assert not any("Doc 2" in line for line in lines)


@pytest.mark.parametrize("lang", CODE)
def test_mutants_differ_from_the_solution_and_from_each_other(lang: str) -> None:
    found = mutations.mutants(CODE[lang], RULES[lang])
    codes = [mutant.code for mutant in found]
    assert len(set(codes)) == len(codes)
    assert CODE[lang] not in codes
    assert [mutant.line for mutant in found] == sorted(mutant.line for mutant in found)


def test_what_would_not_parse_is_no_mutant() -> None:
    breaks = Operator(name="break", query="(integer) @it", to=("(", "7"))
    rules = Rules(grammar="tree_sitter_python:language", operators=(breaks,))
    assert [mutant.code for mutant in mutations.mutants("x = 1\n", rules)] == ["x = 7\n"]


def test_a_template_names_other_captures_and_keeps_other_braces() -> None:
    query = "(not_operator argument: (_) @inner) @it"
    swap = Operator(name="swap", query=query, to=("f({inner}, {it}, {other})",))
    rules = Rules(grammar="tree_sitter_python:language", operators=(swap,))
    (mutant,) = mutations.mutants("x = not ä\n", rules)
    assert mutant == Mutant("swap", 1, "x = f(ä, not ä, {other})\n")


def test_a_sample_is_chosen_by_its_seed_and_keeps_the_order() -> None:
    every = [Mutant("m", line, str(line)) for line in range(100)]
    few = mutations.sample(every, 10, "1 a")
    assert few == sorted(few, key=lambda mutant: mutant.line)
    assert len(few) == 10
    assert few == mutations.sample(every, 10, "1 a")
    assert few != mutations.sample(every, 10, "2 a")
    assert mutations.sample(every, 1000, "1 a") == every


def test_a_parser_that_is_not_there_is_named_with_how_to_install_it() -> None:
    rules = Rules(
        grammar="no_such_grammar:language", operators=(Operator(name="x", query="(x) @it"),)
    )
    with pytest.raises(UsageError, match=r"no_such_grammar: install with: pip install"):
        mutations.mutants("x", rules)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("grammar: a:b", "operators: Field required"),
        ("grammar: a\noperators: [{name: x, query: y}]", "grammar: String should match"),
        ("grammar: [", "not YAML"),
    ],
)
def test_faults_of_a_rules_file_are_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / mutations.FILE).write_text(text)
    with pytest.raises(RunnerFileError, match=words):
        mutations.load_rules(tmp_path)


def test_a_query_of_another_grammar_is_a_fault_of_the_file() -> None:
    rules = Rules(
        grammar="tree_sitter_python:language",
        operators=(Operator(name="odd", query="(no_such_node) @it"),),
    )
    with pytest.raises(RunnerFileError, match="odd"):
        mutations.mutants("x = 1", rules)
