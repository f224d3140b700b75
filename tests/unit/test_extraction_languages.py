"""Languages differ by their tags and patterns alone, which tell code from prose."""

import pytest
from helpers.answers import GO, GO_CODE, PYTHON, TS, TYPESCRIPT, extract_code, fenced

from llmbench.extraction import Extraction, ExtractionMethod, Syntax


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
def test_each_language_is_found_by_its_tags_and_patterns(
    lang: Syntax, text: str, expected: Extraction
) -> None:
    assert extract_code(text, lang) == expected


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
def test_a_line_of_code_shows_its_language(lang: Syntax, line: str) -> None:
    assert (
        extract_code(fenced("...\n\n" + line + "\n", ""), lang).method
        is ExtractionMethod.FENCE_FITTING
    )


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
def test_prose_shows_no_language(lang: Syntax, prose: str) -> None:
    assert extract_code(prose, lang) == Extraction(None, ExtractionMethod.NONE)
    assert extract_code(fenced(prose + "\n", "text"), lang) == Extraction(
        None, ExtractionMethod.NONE
    )
