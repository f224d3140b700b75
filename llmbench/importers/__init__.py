"""Importers: other collections' problems from a local copy; a format is a file."""

FORMATS = {
    "exercism": "a track of Exercism, or one exercise of it",
    "polyglot": "aider's polyglot benchmark: Exercism exercises, a folder per language",
    "humaneval": "HumanEval, or HumanEval+ (JSONL)",
    "humaneval-x": "HumanEval-X (JSONL)",
    "mbpp": "MBPP, sanitised or not, or MBPP+ (JSONL or JSON)",
    "multipl-e": "MultiPL-E (JSONL)",
}
"""Format to what it reads; its module has its name, with `_` for `-`."""
