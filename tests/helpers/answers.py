"""Answers as models write them, for tests of the extraction."""

from typing import NamedTuple

from llmbench.extraction import Extraction, extract


class Lang(NamedTuple):
    """A language, as the extraction sees it."""

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


def extract_code(text: str, lang: Lang = PYTHON) -> Extraction:
    """Extract the code of a language from an answer."""
    return extract(text, fences=lang.fences, code_patterns=lang.code_patterns)


def fenced(code: str, tag: str = "python", mark: str = "```") -> str:
    """Return a fenced block."""
    return f"{mark}{tag}\n{code}{mark}\n"
