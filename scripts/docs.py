"""Writes the parts of README.md that come from the code: flags, providers, columns.

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
from llmbench.models.providers import PROVIDERS
from llmbench.plan import bundled_dir
from llmbench.reports import schema
from llmbench.runners import ResourceLimits, load_runners

README = Path(__file__).resolve().parent.parent / "README.md"


def providers() -> Iterator[str]:
    """One line per provider."""
    yield "| provider | address | key |"
    yield "|---|---|---|"
    for provider in PROVIDERS.values():
        address = f"`{provider.base_url}`" if provider.base_url else "`--base-url`"
        if provider.replays:
            address = "recorded answers, embedded"
        key = f"`{provider.key_env}`" if provider.key_env else ""
        optional = " (if the server asks for one)" if key and not provider.key_required else ""
        yield f"| `{provider.name}` | {address} | {key}{optional} |"


def flags(made: argparse.ArgumentParser) -> Iterator[str]:
    """One line per flag."""
    yield "| flag | meaning |"
    yield "|---|---|"
    yield from _flags(made)


def actions() -> Iterator[str]:
    """The flags of each action of `llmbench problems` that a run has not."""
    known = set(_flags(run.parser()))
    yield "| flag | meaning |"
    yield "|---|---|"
    made = problems.parser()
    (named,) = (a for a in made._actions if isinstance(a, argparse._SubParsersAction))
    for choice in named._choices_actions:
        yield f"| **`{choice.dest}`** | {choice.help} |"
        yield from (line for line in _flags(named.choices[choice.dest]) if line not in known)


def _flags(made: argparse.ArgumentParser) -> Iterator[str]:
    for action in made._actions:
        name = action.option_strings[-1] if action.option_strings else ""
        if action.choices is not None and action.metavar is None:
            value = " " + "\\|".join(map(str, action.choices))
        else:
            value = f" {action.metavar}" if action.metavar else ""
            value = f" [{action.metavar}]" if action.nargs == "?" else value
        text = (action.help or "") % {"default": action.default, "prog": made.prog}
        yield f"| `{(name + value).strip()}` | {text} |"


def limits() -> Iterator[str]:
    """The figures of a sandbox's limits, and the languages that ask for others."""
    runners = load_runners(bundled_dir("runners")).values()
    yield "| limit | usual | otherwise |"
    yield "|---|---|---|"
    for field in fields(ResourceLimits):
        others = [
            f"{runner.config.title} {value:g}"
            for runner in runners
            if (value := getattr(runner.limits, field.name)) != field.default
        ]
        yield f"| `{field.name}` | {field.default:g} | {', '.join(others)} |"


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
