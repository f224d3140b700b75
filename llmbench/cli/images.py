"""`llmbench images`: the images that tests run in, one for each language."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import anyio
from rich.table import Table

from llmbench.cli.options.images import (
    BuildOptions,
    ImagesOptions,
    PullOptions,
    PushOptions,
    RemoveOptions,
)
from llmbench.errors import UsageError
from llmbench.reports.console import Console
from llmbench.runners import Runner, load_all
from llmbench.sandboxes.docker import images
from llmbench.sandboxes.docker.images import Builds, Connection, Image, ImageState

MB = 1e6


def main(options: ImagesOptions) -> int:
    """Do one action and return the exit code.

    Raises:
        UsageError: there is no such language.
        SandboxError: no engine answers, or the action failed at it.
    """
    return anyio.run(_main, options)


async def _main(options: ImagesOptions) -> int:
    known = load_all(options.runner_paths)
    runners = [known[lang] for lang in _checked("--langs", options.langs, known) or known]
    console = Console(quiet=False)
    bases = options.bases if isinstance(options, BuildOptions) else {}
    _checked("--base", bases, known)
    async with images.connected() as connection:
        match options:
            case BuildOptions():
                builds = Builds(True, console.info, console.warn, bases, options.network)
                for runner in runners:
                    await images.build(connection, runner, builds)
            case RemoveOptions():
                for runner in runners:
                    removed = await images.remove(connection.docker, runner)
                    console.print(f"{'removed' if removed else 'no image'} {runner.config.image}")
            case PushOptions():
                for runner in runners:
                    name = await images.push(connection, runner, options.registry, console.info)
                    console.print(f"pushed {runner.config.image} as {name}")
            case PullOptions():
                for runner in runners:
                    name = await images.pull(connection, runner, options.registry, console.info)
                    console.print(f"pulled {name} as {runner.config.image}")
            case _:
                await _list(connection, runners, console)
    return 0


def _checked(flag: str, langs: Collection[str], known: Mapping[str, Runner]) -> Collection[str]:
    for lang in langs:
        if lang not in known:
            hint = f"there are {', '.join(known)}"
            raise UsageError(f"{flag} {lang}: no such language", hint=hint)
    return langs


async def _list(connection: Connection, runners: Sequence[Runner], console: Console) -> None:
    listed = [await images.inspect(connection.docker, runner) for runner in runners]
    table = Table(box=None, pad_edge=False)
    for title in ("language", "image", "state", "digest", "size", "created"):
        table.add_column(title, justify="right" if title == "size" else "left")
    for image in listed:
        table.add_row(*_cells(image))
    console.print_tables([table])
    wrong = [image for image in listed if image.state is not ImageState.CURRENT]
    if wrong:
        console.print(f"to build: {images.build_command([image.runner for image in wrong])}")


def _cells(image: Image) -> Iterator[str]:
    yield image.runner.lang
    yield image.runner.config.image
    yield image.state
    if image.info is not None:
        yield str(image.info["Id"])[:19]
        yield f"{int(image.info.get('Size') or 0) / MB:.0f} MB"
        yield str(image.info.get("Created") or "")[:19]
