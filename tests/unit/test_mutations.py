"""Mutants: the mistakes that the shipped rules put into a few lines of each language."""

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
def test_each_operator_makes_its_mistake_and_leaves_comments_alone(lang: str) -> None:
    mutants = mutations.mutants(CODE[lang], RULES[lang])
    operators = {mutant.operator for mutant in mutants}
    assert operators >= {"comparison", "negated condition", "dropped not", "number"}
    assert "removed statement" in operators
    diffs = [mutations.diff(CODE[lang], mutant) for mutant in mutants]
    lines = {line[1:].strip() for diff in diffs for line in diff if line[0] == "+"}
    assert any("a <= 3" in line for line in lines)
    assert any("a < 4" in line for line in lines)
    assert any("a < 2" in line for line in lines)
    assert not any("Doc 2" in line for line in lines)


@pytest.mark.parametrize("lang", CODE)
def test_mutants_differ_from_the_solution_and_from_each_other(lang: str) -> None:
    mutants = mutations.mutants(CODE[lang], RULES[lang])
    codes = [mutant.code for mutant in mutants]
    assert len(set(codes)) == len(codes)
    assert CODE[lang] not in codes
    assert [mutant.line for mutant in mutants] == sorted(mutant.line for mutant in mutants)


def test_a_change_that_does_not_parse_is_no_mutant() -> None:
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
    mutants = [Mutant("m", line, str(line)) for line in range(100)]
    few = mutations.sample(mutants, 10, "1 a")
    assert few == sorted(few, key=lambda mutant: mutant.line)
    assert len(few) == 10
    assert few == mutations.sample(mutants, 10, "1 a")
    assert few != mutations.sample(mutants, 10, "2 a")
    assert mutations.sample(mutants, 1000, "1 a") == mutants


def test_a_missing_parser_is_named_with_the_command_that_installs_it() -> None:
    rules = Rules(
        grammar="no_such_grammar:language", operators=(Operator(name="x", query="(x) @it"),)
    )
    with pytest.raises(UsageError, match="no_such_grammar") as caught:
        mutations.mutants("x", rules)
    assert caught.value.hint == f"install with: {mutations.INSTALL}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grammar: a:b", "operators: Field required"),
        ("grammar: a\noperators: [{name: x, query: y}]", "grammar: String should match"),
        ("grammar: [", "not YAML"),
    ],
)
def test_a_faulty_rules_file_is_refused_in_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / mutations.FILE).write_text(text)
    with pytest.raises(RunnerFileError, match=message) as caught:
        mutations.load_rules(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_query_that_does_not_fit_the_grammar_is_a_fault_of_the_file() -> None:
    rules = Rules(
        grammar="tree_sitter_python:language",
        operators=(Operator(name="odd", query="(no_such_node) @it"),),
    )
    with pytest.raises(RunnerFileError, match="odd"):
        mutations.mutants("x = 1", rules)
