"""Descriptions of targets' models, from the rows of their attempts."""

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from llmbench.reports import format as fmt

DESCRIPTIONS: Mapping[str, Callable[[Any], str]] = {
    "server": str,
    "quantization": str,
    "parameters": fmt.model_size,
    "context_length": "{:,}".format,
}
"""The columns that describe the model of a target, each with the format of its values."""


def descriptions(
    table: pl.DataFrame, column: str, write: Callable[[Any], str] = str
) -> dict[str, str]:
    """Return the values of a column by target, joined by commas; empty where there are none."""
    values = table.group_by("target", maintain_order=True).agg(pl.col(column).unique().sort())
    return {
        target: ", ".join(write(value) for value in of_target if value is not None)
        for target, of_target in values.iter_rows()
    }
