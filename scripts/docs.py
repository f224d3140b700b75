"""Fills the parts of the manual that come from elsewhere.

python scripts/docs.py

Tables of the code (flags, providers, limits, columns) are in no file: `<!-- insert: NAME -->` in a
page of docs/ is replaced when the site is built (docs_site.py). Text that several pages share is in
the files, so that they can be read as they are: `<!-- copy of NAME -->` repeats what one page has
between `<!-- NAME -->` and `<!-- end of NAME -->`, and this script writes the copies.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path

from llmbench.cli import COMMANDS, load_command
from llmbench.cli.command import Command
from llmbench.models.providers import PROVIDERS
from llmbench.options import Options, declared_options, groups, help_text, own_options, usage_of
from llmbench.plan import bundled_dir
from llmbench.problems import TAGS
from llmbench.reports import schema
from llmbench.runners import ResourceLimits, Runner, load_runners

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = (
    README,
    ROOT / "README.ja.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
SHARED = re.compile(r"<!-- (?P<name>[\w ]+) -->\n(?P<text>.*?)<!-- end of (?P=name) -->", re.DOTALL)
COPY = re.compile(
    r"(?P<begin><!-- copy of (?P<name>[\w ]+) -->\n).*?(?P<end><!-- end of (?P=name) -->)",
    re.DOTALL,
)
INSERT = re.compile(r"^<!-- insert: ([\w ]+) -->$", re.MULTILINE)


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


def limits() -> Iterator[str]:
    """Yield the table of a sandbox's limits, with the languages that set their own."""
    runners = load_runners(bundled_dir("runners")).values()
    yield "| limit | default | exceptions |"
    yield "|---|---|---|"
    for field in fields(ResourceLimits):
        exceptions = [
            f"{title} {value:g}"
            for runner in runners
            for title, limits in _named_limits(runner)
            if (value := limits.get(field.name, field.default)) != field.default
        ]
        yield f"| `{field.name}` | {field.default:g} | {', '.join(exceptions)} |"


def _named_limits(runner: Runner) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Yield the limits of a language, and those that an option of it replaces."""
    yield runner.config.title, asdict(runner.limits)
    for name, option in runner.config.options.items():
        values = " or ".join(value for value in option.values if value != option.default)
        yield f"{runner.config.title} with `{name}: {values}`", option.limits


def command_lines() -> Iterator[str]:
    """Yield a section for each command, with its actions and all flags."""
    for name in COMMANDS:
        yield from _command(load_command(name), "##")


def _command(command: Command, heading: str) -> Iterator[str]:
    yield f"{heading} {command.prog}"
    yield ""
    yield _sentence(command.description)
    yield ""
    for title, rows in _tables(command.options).items():
        yield f"| {title} | |"
        yield "|---|---|"
        yield from rows
        yield ""
    if command.default_action:
        yield f"Without an action, this is `{command.prog} {command.default_action}`."
        yield ""
    for action in (command.actions or {}).values():
        yield from _command(action, heading + "#")


def _tables(options: type[Options]) -> Mapping[str, list[str]]:
    """Return the rows of the tables of flags by title, as `--help` has them."""
    tables: dict[str, list[str]] = {}
    for group in groups(options):
        for field, declared in own_options(group):
            usage = usage_of(field, declared).replace("|", "\\|")
            row = f"| `{usage}` | {_sentence(help_text(field, declared))} |"
            title = vars(group).get("TITLE", Options.TITLE)
            tables.setdefault("arguments" if declared.positional else title, []).append(row)
    return tables


def _sentence(text: str) -> str:
    """Return a help text as Markdown: a flag is code, and a placeholder is no tag."""
    text = " ".join(text.split())
    code = re.sub(r"(?<![\w`-])(--[a-z][\w-]*)", r"`\1`", text)
    return code[:1].upper() + code[1:]


def former_flags() -> Iterator[str]:
    """Yield the table of the flags that have another name today."""
    yield "| older name | name today |"
    yield "|---|---|"
    renamed = {
        former: f"--{field.name.replace('_', '-')}"
        for name in COMMANDS
        for command in _with_actions(load_command(name))
        for field, declared in declared_options(command.options)
        for former in declared.former
    }
    for former, current in sorted(renamed.items()):
        yield f"| `{former}` | `{current}` |"
    yield "| `--json` | `--format json` |"


def _with_actions(command: Command) -> Iterator[Command]:
    yield command
    yield from (command.actions or {}).values()


def tags() -> Iterator[str]:
    """Yield the table of the shipped problems' tags."""
    yield "| tag | subjects |"
    yield "|---|---|"
    yield from (f"| `{tag}` | {subjects} |" for tag, subjects in TAGS.items())


def nightly_workflow() -> Iterator[str]:
    """Yield the workflow that runs a sweep each night, as a block of code."""
    path = ROOT / ".github/workflows/nightly.yml"
    yield "```yaml"
    yield path.read_text(encoding="utf-8").rstrip()
    yield "```"


INSERTS: Mapping[str, Callable[[], Iterator[str]]] = {
    "providers": providers,
    "limits": limits,
    "tags": tags,
    "columns": schema.markdown,
    "commands": command_lines,
    "older flags": former_flags,
    "nightly workflow": nightly_workflow,
}


def insert(text: str) -> str:
    """Return the text of a page with the tables from the code in their places.

    Raises:
        KeyError: a page names a table that does not exist.
    """
    return INSERT.sub(lambda match: "\n".join(INSERTS[match[1]]()), text)


def shared_texts() -> Mapping[str, str]:
    """Return the texts that pages may repeat, by name.

    Raises:
        SystemExit: two pages define the same name.
    """
    texts: dict[str, str] = {}
    for page in PAGES:
        for match in SHARED.finditer(page.read_text(encoding="utf-8")):
            if match["name"].startswith("copy of "):
                continue
            if match["name"] in texts:
                raise SystemExit(f"{page.name}: {match['name']!r} is defined twice")
            texts[match["name"]] = match["text"]
    return texts


def copy(text: str, shared: Mapping[str, str]) -> str:
    """Return the text of a page with each copy as its original is now.

    Raises:
        KeyError: a page repeats a text that no page defines.
    """
    return COPY.sub(lambda match: match["begin"] + shared[match["name"]] + match["end"], text)


def main() -> None:
    """Write the copies in all pages."""
    shared = shared_texts()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        page.write_text(copy(text, shared), encoding="utf-8")


if __name__ == "__main__":
    main()
