"""Code extraction: the one file that a model meant, from the text of its answer."""

from llmbench.extraction.completion import CompletionRules, extract_completion
from llmbench.extraction.selection import Extraction, ExtractionMethod, extract, prompt_stub
from llmbench.extraction.syntax import Syntax

__all__ = [
    "CompletionRules",
    "Extraction",
    "ExtractionMethod",
    "Syntax",
    "extract",
    "extract_completion",
    "prompt_stub",
]
