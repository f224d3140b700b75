"""Answers as models write them, and the code that is meant."""

import time
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmbench.extraction import Extraction, ExtractionMethod, extract


class Lang(NamedTuple):
    fences: tuple[str, ...]
    code_patterns: tuple[str, ...]


PYTHON = Lang(
    ("python", "py", "python3"),
    (
        r"^[ \t]*(async[ \t]+)?def[ \t]+\w+[ \t]*[(\[]",
        r"^[ \t]*class[ \t]+\w+[ \t]*([(\[]|:[ \t]*(#.*)?$)",
        r"^[ \t]*import[ \t]+\w[\w.]*([ \t]+as[ \t]+\w+)?([ \t]*,[ \t]*\w[\w.]*)*[ \t]*(#.*)?$",
        r"^[ \t]*from[ \t]+[\w.]+[ \t]+import[ \t]+(\(|\*|\w+[ \t]*(,|$|#|as[ \t]))",
        r"^@\w[\w.]*(\(.*)?$",
    ),
)
TYPESCRIPT = Lang(
    ("typescript", "ts", "tsx", "mts"),
    (
        r"^[ \t]*(export[ \t]+)?(declare[ \t]+)?(const|let|var)[ \t]+([\w$]+[ \t]*[:=]|[\[{])",
        r"^[ \t]*(export[ \t]+)?(default[ \t]+)?(async[ \t]+)?function[ \t]*(\*[ \t]*)?[\w$]*[<(]",
        r"^[ \t]*(export[ \t]+)?(default[ \t]+)?((const[ \t]+)?enum|interface|namespace"
        r"|(abstract[ \t]+)?class)[ \t]+[\w$.]+[ \t]*([<{]|(extends|implements)[ \t].*[{,<]$)",
        r"^[ \t]*(export[ \t]+)?type[ \t]+[\w$]+[ \t]*[<=]",
        r"^[ \t]*import[ \t]+(type[ \t]+)?([\"'{]|\*[ \t]+as[ \t]"
        r"|[\w$]+([ \t]*,[ \t]*[{*]|[ \t]+from[ \t]+[\"']))",
        r"^[ \t]*export[ \t]+(type[ \t]+)?(\{|\*[ \t]+from[ \t]+[\"'])",
    ),
)
GO = Lang(
    ("go", "golang"),
    (
        r"^package[ \t]+\w+[ \t]*(//.*)?$",
        r"^func[ \t]+(\([^)\n]*\)[ \t]*)?\w+[ \t]*[(\[]",
        r"^import[ \t]+(\([ \t]*$|([\w.]+[ \t]+)?\")",
        r"^type[ \t]+\w+(\[[^\]\n]*\])?[ \t]+(struct|interface|func|map)[ \t]*[{(\[]",
        r"^[ \t]*\w+([ \t]*,[ \t]*\w+)*[ \t]*:=",
    ),
)

CODE = "def f(x):\n    return x + 1\n"
WRONG = "def wrong():\n    pass\n"
TS = "export function f(x: number): number {\n  return x + 1;\n}\n"
GO_CODE = "package solution\n\nfunc F(x int) int {\n\treturn x + 1\n}\n"


def of(text: str, lang: Lang = PYTHON) -> Extraction:
    return extract(text, fences=lang.fences, code_patterns=lang.code_patterns)


def fenced(code: str, tag: str = "python", mark: str = "```") -> str:
    return f"{mark}{tag}\n{code}{mark}\n"


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
    assert of(text) == Extraction(CODE, ExtractionMethod.FENCE)


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
    assert of(text + fenced(CODE)) == Extraction(CODE, ExtractionMethod.FENCE)


def test_reasoning_before_bare_code_is_removed() -> None:
    assert of(f"<think>\nHm.\n</think>\n\n{CODE}") == Extraction(CODE, ExtractionMethod.WHOLE_TEXT)
    assert of(f"Hm.\n</think>\n{CODE}") == Extraction(CODE, ExtractionMethod.WHOLE_TEXT)


def test_the_text_around_reasoning_is_never_joined_to_a_line() -> None:
    assert of("def f(<think>Hm.</think>): return 1").code == "def f(\n): return 1\n"


def test_prose_after_the_code_that_names_a_reasoning_tag_costs_nothing() -> None:
    text = f"{fenced(CODE)}\nIt keeps a </think> tag, and a `<think>` one."
    assert of(text) == Extraction(CODE, ExtractionMethod.FENCE)


@pytest.mark.parametrize(
    ("text", "how"),
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
def test_without_a_tag_the_text_must_fit(text: str, how: ExtractionMethod) -> None:
    assert of(text) == Extraction(CODE, how)


def test_an_untagged_block_that_does_not_fit_is_still_better_than_nothing() -> None:
    assert of("```\nx = 1\n```") == Extraction("x = 1\n", ExtractionMethod.FENCE_UNTAGGED)


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
def test_where_there_is_no_code_none_is_made_up(text: str) -> None:
    assert of(text) == Extraction(None, ExtractionMethod.NONE)


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
def test_fences_and_tags_inside_the_code_stay(code: str) -> None:
    text = f"Here:\n\n{fenced(code)}\nUsage:\n{fenced('f()', 'python')}\n{fenced('1', '')}"
    assert of(text) == Extraction(code, ExtractionMethod.FENCE)


@pytest.mark.parametrize("quote", ["'", '"'])
@pytest.mark.parametrize("prefix", ["", "r", "f"])
def test_bare_code_keeps_the_reasoning_tags_in_its_strings(quote: str, prefix: str) -> None:
    code = (
        "import re\n\ndef f(s):\n"
        f"    s = re.sub({prefix}{quote}<think>.*?</think>{quote}, '', s)\n"
        f"    return s.split({prefix}{quote}a</think>{quote})\n"
    )
    assert of(code) == Extraction(code, ExtractionMethod.WHOLE_TEXT)


def test_a_quoted_edge_of_a_docstring_opens_none() -> None:
    code = 'Q = \'"""\'\n'
    text = f"{fenced(code)}Usage:\n{fenced(code + 'f(Q)' + chr(10))}\nOutput:\n{fenced('1', '')}"
    assert of(text) == Extraction(code, ExtractionMethod.FENCE)


def test_a_starred_fence_does_not_end_a_block_whose_docstring_is_never_closed() -> None:
    code = "'''\n* ```\n* f()\n* ```\n"
    assert of(f"{fenced(code)}Done.") == Extraction(code, ExtractionMethod.FENCE)


def test_a_longer_fence_holds_shorter_ones() -> None:
    code = "T = 1\n```json\n{}\n```\n```\n"
    text = fenced(code, mark="````") + "Output:\n" + fenced("1", "", mark="````")
    assert of(text) == Extraction(code, ExtractionMethod.FENCE)


def test_tildes_do_not_close_backticks() -> None:
    code = "T = 1\n~~~\nU = 2\n"
    assert of(fenced(code) + "Text.\n~~~\n") == Extraction(code, ExtractionMethod.FENCE)


def test_an_end_indented_deeper_than_its_opening_still_ends_a_block_with_no_other_end() -> None:
    assert of("```python\ndef f():\n    return 1\n  ```\nIt returns 1.").code == (
        "def f():\n    return 1\n"
    )


@pytest.mark.parametrize(
    ("lang", "text", "expected"),
    [
        pytest.param(
            TYPESCRIPT, fenced(TS, "ts"), Extraction(TS, ExtractionMethod.FENCE), id="a short tag"
        ),
        pytest.param(
            TYPESCRIPT,
            fenced(TS, "javascript"),
            Extraction(TS, ExtractionMethod.FENCE_FITTING),
            id="a related tag",
        ),
        pytest.param(
            TYPESCRIPT,
            fenced('console.log("f")\n', "js") + fenced(TS, "typescript"),
            Extraction(TS, ExtractionMethod.FENCE),
            id="usage under a related tag first",
        ),
        pytest.param(TYPESCRIPT, TS, Extraction(TS, ExtractionMethod.WHOLE_TEXT), id="bare code"),
        pytest.param(
            TYPESCRIPT,
            "// solution.ts\n/* Adds\n * one. */\n" + TS,
            Extraction("// solution.ts\n/* Adds\n * one. */\n" + TS, ExtractionMethod.WHOLE_TEXT),
            id="bare code behind comments",
        ),
        pytest.param(
            TYPESCRIPT,
            f"# Solution\n\n{fenced(TS, 'ts')}",
            Extraction(TS, ExtractionMethod.FENCE),
            id="a heading",
        ),
        pytest.param(
            GO,
            fenced(GO_CODE, "golang"),
            Extraction(GO_CODE, ExtractionMethod.FENCE),
            id="a long tag",
        ),
        pytest.param(
            GO, GO_CODE, Extraction(GO_CODE, ExtractionMethod.WHOLE_TEXT), id="bare code with tabs"
        ),
        pytest.param(
            GO,
            f"1. File:\n   ```go\n{GO_CODE}   ```",
            Extraction(GO_CODE, ExtractionMethod.FENCE),
            id="tabs under an indented fence",
        ),
        pytest.param(
            GO,
            fenced("go mod init x\n", "sh") + fenced(GO_CODE, ""),
            Extraction(GO_CODE, ExtractionMethod.FENCE_FITTING),
            id="no tag behind a shell block",
        ),
    ],
)
def test_other_languages_differ_by_their_tags_and_signs_alone(
    lang: Lang, text: str, expected: Extraction
) -> None:
    assert of(text, lang) == expected


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
    assert of(text, TYPESCRIPT) == Extraction(comment + TS, ExtractionMethod.FENCE)


@pytest.mark.parametrize(
    ("lang", "line"),
    [
        *((PYTHON, line) for line in (
            "def f():", "async def f(a):", "    def method(self):",
            "def first[T](a: list[T]) -> T:",
            "class A:", "class A(B):", "class A[T]:", "import os", "import a.b as c, d",
            "from a.b import c", "from . import c as d", "from a import (", "@dataclass",
            "@app.get('/')",
        )),
        *((TYPESCRIPT, line) for line in (
            "export function f() {", "export default async function* g<T>(",
            "function f(a: string) {", "export default function (a) {",
            "const f = async () => {", "export const x: number = 1;", "let { a } = b;",
            "export class A<T> extends B {", "abstract class A {", "export default class A {",
            "interface A extends B<C> {", "export enum E {", "const enum E {", "namespace N {",
            "class A implements B, C {", "type A = string;", "export type A<T> =",
            'import { a } from "a";', "import type { A } from './a'", "import a from 'a'",
            "import a, { b } from 'a'", "import * as fs from 'node:fs'", 'import "a";',
            "export { a };", 'export * from "a";',
        )),
        *((GO, line) for line in (
            "package main", "package main // x", "func F() {", "func (s *Stack[T]) Push(v T) {",
            "func Map[T, U any](a []T) []U {", 'import "fmt"', "import (", 'import f "fmt"',
            "type A struct {", "type A[T any] interface {", "\ta, err := f()",
        )),
    ],
)  # fmt: skip
def test_a_line_of_code_shows_its_language(lang: Lang, line: str) -> None:
    assert of(fenced("...\n\n" + line + "\n", ""), lang).method is ExtractionMethod.FENCE_FITTING


@pytest.mark.parametrize("lang", [PYTHON, TYPESCRIPT, GO])
@pytest.mark.parametrize(
    "prose",
    [
        "import the module and return the value",
        "import it, then call it",
        "from the module import what you need",
        "from there import goods are taxed",
        "class names begin with a capital",
        "class of 2024: all passed",
        "define a function, def is the keyword",
        "function names are short",
        "function calls (all of them) are counted",
        "export the function and import it elsewhere",
        "export const values to a file",
        "interface design matters",
        "type the name = nothing happens",
        "let me think: the value is 1",
        "let us say a = 1",
        "const is better than var",
        "package the solution and send it",
        "func is short for function",
        "enum members are listed {here}",
        "Note: a := b declares a",
        "@someone, please look",
    ],
)
def test_prose_shows_no_language(lang: Lang, prose: str) -> None:
    assert of(prose, lang) == Extraction(None, ExtractionMethod.NONE)
    assert of(fenced(prose + "\n", "text"), lang) == Extraction(None, ExtractionMethod.NONE)


PIECES = (
    *("```", "````", "~~~", "```python", "<think>", "</think>", "[/THINK]", '"""', "/*", "*/"),
    *("\n", "\n", "\n", " ", "\t", "  ", "- ", "'", '"', "`", "def f():", "Prose.", "\r", "#"),
)
hostile = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


@given(st.one_of(st.text(), hostile))
def test_any_text_gives_lines_of_its_own_or_none(text: str) -> None:
    found = of(text)
    assert (found.code is None) == (found.method is ExtractionMethod.NONE)
    if found.code is not None:
        assert found.code.strip()
        assert found.code.endswith("\n")
        assert not found.code.endswith("\n\n")
        lines = text.replace("\r", "\n").split("\n")
        assert all(any(line in whole for whole in lines) for line in found.code.split("\n"))


code_lines = st.lists(
    st.text(alphabet="abcdef (){}[]=+:,.#*/\\\"'<>\t", min_size=1), min_size=1, max_size=20
)


@given(code_lines)
def test_bare_code_comes_back_unchanged(lines: list[str]) -> None:
    code = "\n".join(["def f():", *lines]).rstrip() + "\n"
    assert of(code) == Extraction(code, ExtractionMethod.WHOLE_TEXT)


@given(code_lines, st.sampled_from(["```", "````", "~~~"]), st.sampled_from(["", "\nMore.\n"]))
def test_code_without_fences_comes_back_from_a_fence(
    lines: list[str], mark: str, after: str
) -> None:
    code = "\n".join(lines).rstrip() + "\n"
    code = code[code.rfind("\n", 0, len(code) - len(code.lstrip())) + 1 :]
    if code.strip():
        assert of(f"Text.\n\n{fenced(code, mark=mark)}{after}") == Extraction(
            code, ExtractionMethod.FENCE
        )


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
    slow = (*PYTHON.code_patterns, r"^\s*@@@")
    began = time.process_time()
    extract(text, fences=PYTHON.fences, code_patterns=slow)
    # Measured: below 0.2 s each; quadratic time takes minutes.
    assert time.process_time() - began < 1
