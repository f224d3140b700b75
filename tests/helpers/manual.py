"""The manual as tests read it: its pages, its commands and the flags that it names."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import docs
from llmbench.cli import COMMANDS, RUN

BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
"""A fenced block of code; its title is the name of the file that it shows."""
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class CommandLine:
    """A command line of the manual."""

    page: str
    line: str

    @property
    def words(self) -> list[str]:
        """The words after the name of the program."""
        words = shlex.split(self.line, comments=True)
        return words[3:] if words[0] == "python" else words[1:]

    @property
    def command(self) -> str:
        """The name of the command; it may be left out for `run`."""
        return self.words[0] if self.words and self.words[0] in COMMANDS else RUN

    @property
    def flags(self) -> list[str]:
        """The words after the name of the command."""
        return self.words[1:] if self.words and self.words[0] in COMMANDS else self.words

    def __str__(self) -> str:
        return self.line


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """Yield the fenced blocks of a page that are in one of these languages and show no file."""
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if match["language"] in languages and not match["title"]:
            yield match["text"]


def write_files(name: str, folder: Path) -> None:
    """Write the files that a page shows into a folder."""
    for match in BLOCK.finditer((docs.ROOT / name).read_text(encoding="utf-8")):
        if match["title"]:
            path = folder / match["title"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(match["text"], encoding="utf-8")


def block(name: str, language: str, beginning: str = "") -> str:
    """Return the one block of a page that is in this language and begins so."""
    (text,) = (text for text in blocks(docs.ROOT / name, language) if text.startswith(beginning))
    return text


@cache
def shell_lines() -> dict[str, str]:
    """Return the lines of all shell blocks, each with the name of its first page."""
    lines: dict[str, str] = {}
    for page in docs.PAGES:
        for text in blocks(page, "sh"):
            for line in text.splitlines():
                if line and not line.startswith("#"):
                    lines.setdefault(line, page.relative_to(docs.ROOT).as_posix())
    return lines


@cache
def command_lines() -> tuple[CommandLine, ...]:
    """Return the command lines of llmbench in all shell blocks, without repetitions."""
    begins = ("llmbench", "python -m llmbench")
    return tuple(
        CommandLine(page, line)
        for line, page in shell_lines().items()
        if line.startswith(tuple(f"{begin} " for begin in begins)) or line in begins
    )


def codes(page: Path) -> Iterator[str]:
    """Yield the code in the sentences and tables of a page."""
    yield from CODE.findall(BLOCK.sub("", page.read_text(encoding="utf-8")))
