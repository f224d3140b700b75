"""The options of each command; importing this package must load nothing slow."""

from llmbench.reports import render

FORMATS = tuple(render.FORMATS)
