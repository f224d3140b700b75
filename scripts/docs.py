"""Writes the tables of README.md that come from the code: flags, providers, limits, columns.

python scripts/docs.py
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path

from llmbench.cli import COMMANDS, load_command
from llmbench.models.providers import PROVIDERS
from llmbench.options import Options, declared_options, help_text, usage_of
from llmbench.plan import bundled_dir
from llmbench.reports import schema
from llmbench.runners import ResourceLimits, load_runners
from llmbench.runs.options import RunOptions

README = Path(__file__).resolve().parent.parent / "README.md"


def providers() -> Iterator[str]:
    """Yield the table of providers."""
    yield "| provider | address | key |"
    yield "|---|---|---|"
    for preset in PROVIDERS.values():
        embedded = "recorded answers, embedded" if preset.local else "`--base-url`"
        address = f"`{preset.base_url}`" if preset.base_url else embedded
        key = f"`{preset.key_env}`" if preset.key_env else ""
        optional = " (if the server asks for one)" if key and not preset.key_required else ""
        yield f"| `{preset.name}` | {address} | {key}{optional} |"


def flags(command: str) -> Iterator[str]:
    """Yield the table of a command's flags."""
    yield "| flag | meaning |"
    yield "|---|---|"
    yield from _flag_rows(load_command(command).options)


def actions(command: str) -> Iterator[str]:
    """Yield the table of the actions of a command, without the flags of a run."""
    flags_of_run = set(_flag_rows(RunOptions))
    yield "| flag | meaning |"
    yield "|---|---|"
    for name, action in (load_command(command).actions or {}).items():
        yield f"| **`{name}`** | {action.description} |"
        rows = _flag_rows(action.options)
        yield from (row for row in rows if row not in flags_of_run)


def _flag_rows(options: type[Options]) -> Iterator[str]:
    for field, declared in declared_options(options):
        usage = usage_of(field, declared).replace("|", "\\|")
        yield f"| `{usage}` | {help_text(field, declared)} |"


def limits() -> Iterator[str]:
    """Yield the table of a sandbox's limits, with the languages that set their own."""
    runners = load_runners(bundled_dir("runners")).values()
    yield "| limit | default | exceptions |"
    yield "|---|---|---|"
    for field in fields(ResourceLimits):
        exceptions = [
            f"{runner.config.title} {value:g}"
            for runner in runners
            if (value := getattr(runner.limits, field.name)) != field.default
        ]
        yield f"| `{field.name}` | {field.default:g} | {', '.join(exceptions)} |"


SECTIONS: Mapping[str, Callable[[], Iterator[str]]] = {
    "providers": providers,
    "flags": partial(flags, "run"),
    **{
        f"flags of {name}": partial(flags, name)
        for name in COMMANDS
        if name not in ("run", "problems", "images", "runs", "schema", "completion")
    },
    "actions": partial(actions, "problems"),
    "actions of images": partial(actions, "images"),
    "actions of runs": partial(actions, "runs"),
    "limits": limits,
    "columns": schema.markdown,
}


def render(text: str) -> str:
    """Return the text with each marked section replaced by the table from the code.

    Raises:
        SystemExit: a section is not marked exactly once.
    """
    for name, lines in SECTIONS.items():
        section = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        # In the replacement a backslash would begin a group reference.
        body = "\n".join(lines()).replace("\\", "\\\\")
        text, count = section.subn(rf"\g<1>{body}\n\g<2>", text)
        if count != 1:
            raise SystemExit(f"README.md must mark the section {name!r} once")
    return text


if __name__ == "__main__":
    README.write_text(render(README.read_text(encoding="utf-8")), encoding="utf-8")
