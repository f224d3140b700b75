"""Writes the parts of README.md that come from the code: flags, providers, columns.

python scripts/docs.py
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from llmbench.cli.options import problems, run
from llmbench.models.presets import PRESETS
from llmbench.records import columns

README = Path(__file__).resolve().parent.parent / "README.md"


def providers() -> Iterator[str]:
    """One line per preset."""
    yield "| provider | address | key |"
    yield "|---|---|---|"
    for preset in PRESETS.values():
        address = f"`{preset.base_url}`" if preset.base_url else "`--base-url`"
        if preset.name == "demo":
            address = "recorded answers, embedded"
        key = f"`{preset.key_env}`" if preset.key_env else ""
        optional = " (if the server asks for one)" if key and not preset.key_required else ""
        yield f"| `{preset.name}` | {address} | {key}{optional} |"


def flags() -> Iterator[str]:
    """One line per flag of a run."""
    yield "| flag | meaning |"
    yield "|---|---|"
    yield from _flags(run.parser(cores=None))


def actions() -> Iterator[str]:
    """The flags of each action of `llmbench problems` that a run has not."""
    known = set(_flags(run.parser(cores=None)))
    yield "| flag | meaning |"
    yield "|---|---|"
    made = problems.parser(cores=None)
    (named,) = (a for a in made._actions if isinstance(a, argparse._SubParsersAction))
    for choice in named._choices_actions:
        yield f"| **`{choice.dest}`** | {choice.help} |"
        yield from (line for line in _flags(named.choices[choice.dest]) if line not in known)


def _flags(made: argparse.ArgumentParser) -> Iterator[str]:
    for action in made._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        if not action.option_strings:
            yield f"| `{action.metavar}` | {action.help} |"
            continue
        name = action.option_strings[-1]
        if action.choices is not None and action.metavar is None:
            value = " " + "\\|".join(map(str, action.choices))
        else:
            value = f" {action.metavar}" if action.metavar else ""
        text = (action.help or "") % {"default": action.default, "prog": made.prog}
        yield f"| `{name}{value}` | {text} |"


def columns_() -> Iterator[str]:
    """One line per column of a result row."""
    yield "| column | type | unit | meaning |"
    yield "|---|---|---|---|"
    for column in columns():
        kind = f"{column.type.__name__}{', may be null' if column.nullable else ''}"
        yield f"| `{column.name}` | {kind} | {column.unit} | {column.meaning} |"


SECTIONS = {"providers": providers, "flags": flags, "actions": actions, "columns": columns_}


def render(text: str) -> str:
    """The text with each marked section as the code has it."""
    for name, lines in SECTIONS.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        # In the replacement a backslash would begin a group reference.
        body = "\n".join(lines()).replace("\\", "\\\\")
        text, found = marked.subn(rf"\g<1>{body}\n\g<2>", text)
        if found != 1:
            raise SystemExit(f"README.md must mark the section {name!r} once")
    return text


if __name__ == "__main__":
    README.write_text(render(README.read_text(encoding="utf-8")), encoding="utf-8")
