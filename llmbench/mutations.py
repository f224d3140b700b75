"""Mutants of a solution: copies with one small mistake each, by the rules of its language.

A language's `authoring/mutations.yaml` names a tree-sitter grammar and operators. An operator is
a query in tree-sitter's own language whose capture `@it` is replaced.
"""

import difflib
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, TypeAdapter, with_config

from llmbench import yaml_files
from llmbench.errors import RunnerFileError, UsageError

FILE = "mutations.yaml"
INSTALL = "pip install 'llmbench[mutation]'"
REPLACED = "it"


@with_config({"extra": "forbid"})
@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """A `query`, and replacements for the text of its capture `@it`.

    `swap` maps a text to its replacements. Each of `to` is a template in which `{name}` is the
    text of the capture `@name`. Each of `shift` is added to a whole number.
    """

    name: Annotated[str, Field(min_length=1)]
    query: Annotated[str, Field(min_length=1)]
    swap: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    to: tuple[str, ...] = ()
    shift: tuple[int, ...] = ()

    def replacements(self, texts: Mapping[str, str]) -> Iterator[str]:
        """Yield the replacements of `@it`; `texts` maps the name of each capture to its text."""
        text = texts[REPLACED]
        yield from self.swap.get(text, ())
        for template in self.to:
            yield re.sub(r"\{(\w+)\}", lambda name: texts.get(name[1], name[0]), template)
        if re.fullmatch(r"[0-9]+", text):
            yield from (str(int(text) + step) for step in self.shift)


@with_config({"extra": "forbid"})
@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A language's grammar, as `module:function`, and its operators."""

    grammar: Annotated[str, Field(pattern=r"^[a-z_]+:[a-z_]+$")]
    operators: Annotated[tuple[Operator, ...], Field(min_length=1)]


class Mutant(NamedTuple):
    """A solution with one mistake: the name of the operator that made it, and its line."""

    operator: str
    line: int
    code: str


_RULES = TypeAdapter(Rules)


def load_rules(folder: Path) -> Rules:
    """Read a language's rules from its `authoring` folder.

    Raises:
        RunnerFileError: the rules are missing or wrong.
    """
    return yaml_files.load_as(folder / FILE, _RULES, RunnerFileError)


def mutants(code: str, rules: Rules) -> list[Mutant]:
    """Return every mutant of a solution that still parses, in the order of their lines.

    No two have the same text.

    Raises:
        UsageError: the parser is not installed; the message says how to install it.
        RunnerFileError: a query does not fit the grammar.
    """
    grammar = _Grammar(rules.grammar)
    source = code.encode()
    by_text: dict[str, tuple[int, Mutant]] = {}
    for operator in rules.operators:
        for node, texts in grammar.find(operator, source):
            for new in operator.replacements(texts):
                mutated = source[: node.start_byte] + new.encode() + source[node.end_byte :]
                text = mutated.decode()
                if mutated != source and text not in by_text and grammar.parses(mutated):
                    line = node.start_point.row + 1
                    by_text[text] = node.start_byte, Mutant(operator.name, line, text)
    return [mutant for _, mutant in sorted(by_text.values(), key=itemgetter(0))]


def sample(mutants: Sequence[Mutant], size: int, seed: str) -> list[Mutant]:
    """Return at most `size` of the mutants in their order; the seed chooses them."""
    if len(mutants) <= size:
        return list(mutants)
    indexes = sorted(random.Random(seed).sample(range(len(mutants)), size))
    return [mutants[index] for index in indexes]


def diff(code: str, mutant: Mutant) -> Iterator[str]:
    """Yield the lines in which a mutant differs from the solution, marked - and +."""
    lines = difflib.unified_diff(code.splitlines(), mutant.code.splitlines(), lineterm="", n=0)
    yield from (line for line in lines if not line.startswith(("---", "+++", "@@")))


class _Grammar:
    """A parser of one language."""

    def __init__(self, name: str) -> None:
        module, function = name.split(":")
        try:
            self._tree_sitter: Any = import_module("tree_sitter")
            grammar = getattr(import_module(module), function)()
        except ImportError as error:
            hint = f"install with: {INSTALL}"
            raise UsageError(f"mutants need {error.name}", hint=hint) from None
        self._language = self._tree_sitter.Language(grammar)
        self._parser = self._tree_sitter.Parser(self._language)

    def parses(self, source: bytes) -> bool:
        return not self._parser.parse(source).root_node.has_error

    def find(self, operator: Operator, source: bytes) -> Iterator[tuple[Any, dict[str, str]]]:
        """Yield each node to replace, with the texts of all captures of its match."""
        try:
            query = self._tree_sitter.Query(self._language, operator.query)
        except self._tree_sitter.QueryError as error:
            raise RunnerFileError(f"{FILE}: {operator.name}: {error}") from None
        root = self._parser.parse(source).root_node
        for _, captures in self._tree_sitter.QueryCursor(query).matches(root):
            texts = {name: nodes[0].text.decode() for name, nodes in captures.items()}
            for node in captures.get(REPLACED, ()):
                yield node, {**texts, REPLACED: node.text.decode()}
