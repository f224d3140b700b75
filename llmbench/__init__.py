"""llmbench: which model writes better code?

`run`, `grade`, `load` and `compare` do for Python what the command line does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmbench._version import __version__

if TYPE_CHECKING:
    from llmbench.api import Comparison, compare, grade, load, run

__all__ = ["Comparison", "__version__", "compare", "grade", "load", "run"]


def __getattr__(name: str) -> Any:
    """Import the API on first use: `--help` must not wait for what it imports."""
    if name in __all__:
        return getattr(import_module("llmbench.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
