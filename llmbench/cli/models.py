"""`llmbench models`: the models that a server offers, and those that it has loaded."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase

import anyio
from rich.table import Table

from llmbench.cli.options.models import ModelsOptions
from llmbench.errors import RunError, UsageError
from llmbench.models import wsl
from llmbench.models.inspection import describe_models
from llmbench.models.pricing import MILLION
from llmbench.models.providers import get_provider, load_providers, read_key, resolve_base_url
from llmbench.models.server import ModelInfo, connect
from llmbench.reports import format as fmt
from llmbench.reports.console import Console

LOADED = {True: "yes", False: "no", None: ""}
TEXTS = ("model", "loaded", "quantization")


def main(options: ModelsOptions) -> int:
    """Show the models and return the exit code.

    Raises:
        UsageError: the provider, its address or its key is missing or wrong.
        RunError: the server cannot be reached, lists no models, or offers none that matches.
    """
    offers = [
        offer
        for offer in anyio.run(_offers, options)
        if not options.only or any(fnmatchcase(offer.id, glob) for glob in options.only)
    ]
    if not offers:
        raise RunError("the server offers no such chat model" if options.only else "no chat model")
    if options.format == "json":
        Console(quiet=False).write(json.dumps([asdict(offer) for offer in offers], indent=1) + "\n")
    else:
        Console(quiet=False).print_tables([_table(offers)])
    return 0


async def _offers(options: ModelsOptions) -> list[ModelInfo]:
    provider = get_provider(options.provider, load_providers(options.config))
    if provider.replays and options.base_url is None:
        raise UsageError(f"--provider {provider.name}: its models are not on a server")
    url = resolve_base_url(provider, options.base_url)
    provider, address = await wsl.locate(provider, url, Console(quiet=False).info)
    async with connect(provider, url, read_key(provider), address=address) as server:
        return await describe_models(server)


def _table(offers: Sequence[ModelInfo]) -> Table:
    """Return the table of the models, without columns of which no value is known."""
    table = Table(box=None, pad_edge=False)
    columns = {
        "model": [offer.id for offer in offers],
        "loaded": [LOADED[offer.loaded] for offer in offers],
        "quantization": [offer.served.quantization or "" for offer in offers],
        "parameters": [_known(fmt.model_size(offer.served.parameters)) for offer in offers],
        "size": [_known(fmt.file_size(offer.served.file_bytes)) for offer in offers],
        "context": [f"{offer.context:,}" if offer.context else "" for offer in offers],
        "$ per million prompt": [_usd(o.price.prompt if o.price else None) for o in offers],
        "completion tokens": [_usd(o.price.completion if o.price else None) for o in offers],
    }
    filled = {title: cells for title, cells in columns.items() if any(cells)}
    for title in filled:
        table.add_column(title, justify="left" if title in TEXTS else "right")
    for row in zip(*filled.values(), strict=True):
        table.add_row(*row)
    return table


def _known(text: str) -> str:
    """Return the text of a value, empty if it is missing."""
    return "" if text == "-" else text


def _usd(price: float | None) -> str:
    return "" if price is None else f"{price * MILLION:.2f}"
