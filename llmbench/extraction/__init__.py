"""Code extraction: the one file that a model meant, from the text of its answer."""

from llmbench.extraction.selection import Extraction, ExtractionMethod, extract, prompt_stub
from llmbench.extraction.syntax import Syntax

__all__ = ["Extraction", "ExtractionMethod", "Syntax", "extract", "prompt_stub"]
