"""Options, declared once: a field of a class is a flag, a keyword and an entry of a YAML file.

A subclass of `Options` declares each option as an attrs field: its annotation is the Python type,
its default the default, and `option()` adds help text, check and former names. `fill` makes an
argparse parser of the fields, `Options.from_values` makes an object of values by name.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, NoReturn, Self, get_args, get_origin

import attrs

from llmbench.errors import UsageError
from llmbench.texts import fault_of_text

Strings = str | Sequence[str]
Paths = str | Path | Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Check:
    """A condition on one value; `description` completes "… is not …"."""

    description: str
    accepts: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Option:
    """Everything about an option but its name, type and default; see `option`."""

    help: str
    metavar: str | None
    default: str
    check: Check | None
    choices: tuple[str, ...]
    short: str
    former: tuple[str, ...]
    bare: str | None
    positional: bool
    negatable: bool
    everyday: bool


def option(
    help: str,
    metavar: str | None = None,
    *,
    default: str = "",
    check: Check | None = None,
    choices: Sequence[str] = (),
    short: str = "",
    former: Sequence[str] = (),
    bare: str | None = None,
    positional: bool = False,
    negatable: bool = False,
    everyday: bool = False,
) -> dict[str, Option]:
    """Return the metadata that makes an attrs field an option.

    Args:
        help: text of `--help`; the default is added to it.
        metavar: name of the value in `--help`.
        default: words for the default, where the field's own default does not say it.
        check: condition on the value.
        choices: the only values, if there are few.
        short: a flag of one letter, such as `-o`.
        former: flags of earlier versions, which still work and are not shown.
        bare: value of a flag that is given without one.
        positional: True for an argument without a flag.
        negatable: True for a switch that also has a `--no-` form.
        everyday: True for an option that `llmbench --help` shows.
    """
    return {
        "option": Option(
            help,
            metavar,
            default,
            check,
            tuple(choices),
            short,
            tuple(former),
            bare,
            positional,
            negatable,
            everyday,
        )
    }


@attrs.frozen(kw_only=True, slots=False)
class Options:
    """Base of all groups of options.

    `TITLE` heads the options in `--help` that the class itself declares. `explicit` holds the
    options that were set explicitly.
    """

    TITLE: ClassVar[str] = "options"

    explicit: Mapping[str, Any] = attrs.field(factory=dict, init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        for field, declared in declared_options(type(self)):
            value = getattr(self, field.name)
            reason = None if value == field.default else _reason(value, field.type, declared)
            if reason:
                raise UsageError(f"{field.name}: {reason}")

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Make the options from values by name; former names are known, too.

        Raises:
            UsageError: an option is unknown or missing, or a value is wrong.
        """
        current = current_names(cls, values)
        for field, declared in declared_options(cls):
            if field.default is attrs.NOTHING and field.name not in current:
                raise UsageError(f"{field.name} is missing", hint=f"give the {declared.help}")
        for name, value in current.items():
            for each in value if isinstance(value, (list, tuple)) else [value]:
                if fault := fault_of_text(each):
                    raise UsageError(f"{name}: {fault}")
        options = cls(**current)
        object.__setattr__(options, "explicit", current)
        return options


def declared_options(options: type[Options]) -> Iterator[tuple["attrs.Attribute[Any]", Option]]:
    """Yield the fields of a class that are options, each with its declaration, group by group."""
    for group in groups(options):
        yield from own_options(group)


def groups(options: type[Options]) -> list[type[Options]]:
    """Return the classes that a class of options consists of, itself last."""
    return [base for base in (*options.__mro__[1:], options) if issubclass(base, Options)]


def own_options(group: type[Options]) -> Iterator[tuple["attrs.Attribute[Any]", Option]]:
    """Yield the options that a class declares itself."""
    parents = (parent for parent in group.__bases__ if issubclass(parent, Options))
    inherited = {field.name for parent in parents for field in attrs.fields(parent)}
    for field in attrs.fields(group):
        if "option" in field.metadata and field.name not in inherited:
            yield field, field.metadata["option"]


def current_names(options: type[Options], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values under today's names; `no_x: true` stands for `x: false`.

    Raises:
        UsageError: an option is unknown.
    """
    names = {}
    for field, declared in declared_options(options):
        names[field.name] = field.name
        names |= {_name(flag): field.name for flag in declared.former}
    current = {}
    for name, value in values.items():
        if name in names:
            current[names[name]] = value
        elif name.startswith("no_") and names.get(name[3:]) and isinstance(value, bool):
            current[names[name[3:]]] = not value
        else:
            known = ", ".join(dict.fromkeys(names.values()))
            raise UsageError(f"{name}: no such option", hint=f"options are {known}")
    return current


def as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by name in the types of JSON."""

    def plain(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [plain(each) for each in value]
        return str(value) if isinstance(value, Path) else value

    return {name: plain(value) for name, value in values.items()}


# ---- Converters and checks -----------------------------------------------------------------
# A converter leaves a value of a wrong type as it is: the check of types names it afterwards.


def strings(value: Strings) -> tuple[str, ...]:
    """Convert one text or several to a tuple without repetitions."""
    return _distinct(_several(value))


def comma_list(value: Strings) -> tuple[str, ...]:
    """Convert texts with commas to a tuple of the parts, without repetitions."""
    parts: list[Any] = []
    for text in _several(value):
        parts += filter(None, map(str.strip, text.split(","))) if isinstance(text, str) else [text]
    return _distinct(parts)


def paths(value: Paths) -> tuple[Path, ...]:
    """Convert one path or several to a tuple."""
    return tuple(path(each) for each in _several(value))


def distinct_paths(value: Paths) -> tuple[Path, ...]:
    """Convert one path or several to a tuple without repetitions."""
    return _distinct(paths(value))


def path(value: str | Path) -> Path:
    """Convert a text to a path."""
    return Path(value) if isinstance(value, str) else value


def optional_path(value: str | Path | None) -> Path | None:
    """Convert a text to a path; None stays None."""
    return Path(value) if isinstance(value, str) else value


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else [value]


def _distinct(values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the values without repetitions, hashable or not."""
    return tuple(value for index, value in enumerate(values) if value not in values[:index])


def whole_number(low: int, high: int = 2**63 - 1) -> Check:
    """Accept whole numbers from `low` to `high`, by default the largest that a table holds."""
    most = "" if high == 2**63 - 1 else f" to {high}"
    return Check(
        f"a whole number from {low} {'up' if not most else most.strip()}",
        lambda value: type(value) is int and low <= value <= high,
    )


def number(low: float, high: float) -> Check:
    """Accept numbers from `low` to `high`."""
    return Check(
        f"a number from {low:g} to {high:g}",
        lambda value: type(value) in (int, float) and low <= value <= high,
    )


# ---- Command line --------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one line."""

    def __init__(self, **settings: Any) -> None:
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(formatter_class=layout, allow_abbrev=False, add_help=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise an error of ours.

        Raises:
            UsageError: always.
        """
        raise UsageError(message, hint=f"see {self.prog} --help")


def fill(
    parser: argparse.ArgumentParser, options: type[Options], *, everyday: bool = False
) -> None:
    """Add the options of a class to a parser, a group for each title.

    A parsed namespace holds explicit options only. With `everyday`, help shows everyday options.
    """
    titles = {part: vars(part).get("TITLE", Options.TITLE) for part in groups(options)}
    sections = {title: parser.add_argument_group(title) for title in dict.fromkeys(titles.values())}
    for part, title in titles.items():
        group = sections[title]
        for field, declared in own_options(part):
            hidden = everyday and not declared.everyday
            add_argument = parser.add_argument if declared.positional else group.add_argument
            _add(add_argument, field, declared, hidden=hidden)


def flag_of(name: str) -> str:
    """Return the flag of an option."""
    return f"--{name.replace('_', '-')}"


def usage_of(field: "attrs.Attribute[Any]", declared: Option) -> str:
    """Return how an option is written, such as `-o, --out FILE`."""
    value = declared.metavar or "|".join(declared.choices)
    if declared.positional:
        return value
    names = ", ".join(filter(None, [declared.short, flag_of(field.name)]))
    if declared.negatable:
        names += f", {flag_of('no_' + field.name)}"
    return f"{names} [{value}]" if declared.bare else f"{names} {value}".rstrip()


def help_text(field: "attrs.Attribute[Any]", declared: Option) -> str:
    """Return the help text of an option with its default."""
    default = declared.default
    if not default and type(field.default) in (int, float, str):
        default = f"{field.default:g}" if type(field.default) is float else str(field.default)
    return f"{declared.help} (default: {default})" if default else declared.help


def _name(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _add(
    add_argument: Callable[..., object],
    field: "attrs.Attribute[Any]",
    declared: Option,
    *,
    hidden: bool = False,
) -> None:
    text = argparse.SUPPRESS if hidden else help_text(field, declared).replace("%", "%%")
    settings: dict[str, Any] = {"help": text}
    kind = _plain(field.type)
    several = get_origin(kind) is tuple
    if kind is bool:
        negatable = argparse.BooleanOptionalAction
        settings["action"] = negatable if declared.negatable else "store_true"
    else:
        settings["metavar"] = declared.metavar
        settings["type"] = _reader(get_args(kind)[0] if several else kind, declared)
        if declared.choices and declared.metavar is None:
            settings["choices"] = declared.choices
        if declared.bare is not None:
            settings |= {"nargs": "?", "const": declared.bare}
    if declared.positional:
        required = field.default is attrs.NOTHING
        number = ("+" if required else "*") if several else None if required else "?"
        add_argument(field.name, default=argparse.SUPPRESS, nargs=number, **settings)
        return
    settings |= {"dest": field.name, "default": argparse.SUPPRESS}
    if several:
        settings["action"] = "append"
    if field.default is attrs.NOTHING:
        settings["required"] = True
    short = [declared.short] if declared.short else []
    add_argument(*short, flag_of(field.name), **settings)
    if declared.former:
        settings |= {"help": argparse.SUPPRESS, "required": False}
        add_argument(*declared.former, **settings)


def _reader(kind: Any, declared: Option) -> Callable[[str], Any]:
    """Return a function that reads the text of a flag."""

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = text
        if fault := fault_of_text(text):
            raise argparse.ArgumentTypeError(fault)
        if text != declared.bare and (check := declared.check) and not check.accepts(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {check.description}")
        return value

    return read


def _plain(declared: Any) -> Any:
    """Return a type without None."""
    if isinstance(declared, UnionType):
        return next(kind for kind in get_args(declared) if kind is not type(None))
    return declared


_KINDS: Mapping[Any, str] = {
    str: "a text",
    Path: "a path",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


def _reason(value: Any, declared_type: Any, declared: Option) -> str | None:
    """Return why a value is wrong, or None."""
    if value is None and type(None) in get_args(declared_type):
        return None
    if declared.choices and value not in declared.choices:
        return f"{value!r} is not one of {', '.join(declared.choices)}"
    if declared.check is not None and (declared.bare is None or value != declared.bare):
        accepted = declared.check.accepts(value)
        return None if accepted else f"{value!r} is not {declared.check.description}"
    kind = _plain(declared_type)
    if get_origin(kind) is tuple:
        (kind, *_) = get_args(kind)
        wrong = [each for each in value if not isinstance(each, kind)]
        return f"{wrong[0]!r} is not {_KINDS[kind]}" if wrong else None
    fits = isinstance(value, kind) or (kind is float and type(value) is int)
    return None if fits else f"{value!r} is not {_KINDS[kind]}"
