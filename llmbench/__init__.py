"""llmbench: which model writes better code?"""

from importlib.metadata import version

__version__ = version("llmbench")
