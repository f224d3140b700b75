"""Writes the tables of README.md that come from the code: flags, providers, limits, columns.

python scripts/docs.py
"""

import argparse
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path

from llmbench.cli.options import (
    compare,
    doctor,
    grade,
    history,
    models,
    problems,
    report,
    run,
    show,
    sweep,
)
from llmbench.models.presets import PROVIDERS
from llmbench.plan import bundled_dir
from llmbench.reports import schema
from llmbench.runners import ResourceLimits, load_runners

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


def flags(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the table of a command's flags."""
    yield "| flag | meaning |"
    yield "|---|---|"
    yield from _flag_rows(parser)


def actions() -> Iterator[str]:
    """Yield the table of the actions of `llmbench problems`, without the flags of a run."""
    flags_of_run = set(_flag_rows(run.parser()))
    yield "| flag | meaning |"
    yield "|---|---|"
    (action,) = (
        action
        for action in problems.parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    for choice in action._choices_actions:
        yield f"| **`{choice.dest}`** | {choice.help} |"
        rows = _flag_rows(action.choices[choice.dest])
        yield from (row for row in rows if row not in flags_of_run)


def _flag_rows(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if action.help == argparse.SUPPRESS:
            continue
        name = ", ".join(_names(action))
        if action.choices is not None and action.metavar is None:
            value = " " + "\\|".join(map(str, action.choices))
        else:
            value = f" {action.metavar}" if action.metavar else ""
            value = f" [{action.metavar}]" if action.nargs == "?" else value
        text = (action.help or "") % {"default": action.default, "prog": parser.prog}
        yield f"| `{(name + value).strip()}` | {text} |"


def _names(action: argparse.Action) -> Iterator[str]:
    """Yield a flag's short names and its first long name; the other long names are old ones."""
    yield from (name for name in action.option_strings if not name.startswith("--"))
    yield from [name for name in action.option_strings if name.startswith("--")][:1]


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
    "flags": lambda: flags(run.parser()),
    "flags of compare": lambda: flags(compare.parser()),
    "flags of grade": lambda: flags(grade.parser()),
    "flags of models": lambda: flags(models.parser()),
    "flags of doctor": lambda: flags(doctor.parser()),
    "flags of report": lambda: flags(report.parser()),
    "flags of show": lambda: flags(show.parser()),
    "flags of sweep": lambda: flags(sweep.parser()),
    "flags of history": lambda: flags(history.parser()),
    "actions": actions,
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
