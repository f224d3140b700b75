"""Answers as models write them, for tests of the extraction."""

from collections.abc import Collection

from llmbench.extraction import Extraction, Syntax, extract
from llmbench.plan import bundled_dir
from llmbench.runners import load_runners

_RUNNERS = load_runners(bundled_dir("runners"))
PYTHON, TYPESCRIPT, GO = (_RUNNERS[lang].syntax for lang in ("python", "typescript", "go"))

CODE = "def f(x):\n    return x + 1\n"
WRONG = "def wrong():\n    pass\n"
TS = "export function f(x: number): number {\n  return x + 1;\n}\n"
GO_CODE = "package solution\n\nfunc F(x int) int {\n\treturn x + 1\n}\n"


def extract_code(text: str, syntax: Syntax = PYTHON, names: Collection[str] = ()) -> Extraction:
    """Extract the code of a language from an answer."""
    return extract(text, syntax, names)


def fenced(code: str, tag: str = "python", mark: str = "```") -> str:
    """Return a fenced block."""
    return f"{mark}{tag}\n{code}{mark}\n"
