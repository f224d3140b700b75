"""llmbench: which model writes better code?

`run`, `load` and `compare` are what the command line does, for Python.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmbench._version import __version__

if TYPE_CHECKING:
    from llmbench.api import Comparison, compare, load, run

__all__ = ["Comparison", "__version__", "compare", "load", "run"]


def __getattr__(name: str) -> Any:
    """Load what is slow to load when it is first asked for: `--help` must not wait for it."""
    if name in __all__:
        return getattr(import_module("llmbench.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
