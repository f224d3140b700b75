"""Code extraction: the one file that a model meant, from the text of its answer."""

from llmbench.extraction.selection import Extraction, ExtractionMethod, extract

__all__ = ["Extraction", "ExtractionMethod", "extract"]
