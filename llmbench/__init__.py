"""llmbench: which model writes better code?

`run`, `load` and `compare` are what the command line does, for Python.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmbench.api import Compared, compare, load, run

__all__ = ["Compared", "__version__", "compare", "load", "run"]
__version__ = version("llmbench")


def __getattr__(name: str) -> Any:
    """Load what is slow to load when it is first asked for: `--help` must not wait for it."""
    if name in __all__:
        return getattr(import_module("llmbench.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
