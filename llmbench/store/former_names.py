"""Names that version 0.1 wrote into its files, each with the name that replaced it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmbench.records import columns


@dataclass(frozen=True, slots=True)
class FormerNames:
    """The former names in a JSON object, and those in the objects inside it, by current name."""

    fields: Mapping[str, str]
    inside: Mapping[str, "FormerNames"] = field(default_factory=dict)


ROW = FormerNames({column.formerly: column.name for column in columns() if column.formerly})

COMPLETION = FormerNames(
    {
        "tries": "requests",
        "cached": "from_cache",
        "timed": "has_timings",
        "unsent": "unsupported_params",
    }
)

JOURNAL_LINE = FormerNames(
    {"asked": "request_hash", "graded": "result_hash"}, {"row": ROW, "completion": COMPLETION}
)

RUN_RECORD = FormerNames(
    {"part_of": "sweep_step"},
    {
        "plan": FormerNames(
            {"lanes": "endpoints", "repair": "max_repairs", "sandboxes": "max_sandboxes"},
            {"endpoints": FormerNames({"recorded": "replayed"})},
        )
    },
)


def with_current_names(data: Any, names: FormerNames) -> Any:
    """Return a JSON object, or a list of them, with current names; other data stays as it is."""
    if isinstance(data, list):
        return [with_current_names(item, names) for item in data]
    if not isinstance(data, dict):
        return data
    current = {names.fields.get(name, name): value for name, value in data.items()}
    for name, inner in names.inside.items():
        if name in current:
            current[name] = with_current_names(current[name], inner)
    return current
