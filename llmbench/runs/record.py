"""`run.json`: the record of a run, written when it begins and when it ends."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from llmbench import prompts
from llmbench.options import Parser, as_json, fill
from llmbench.plan import Plan
from llmbench.runs.options import RunOptions
from llmbench.store import provenance

if TYPE_CHECKING:
    from llmbench.runs.run import Run

NOT_STORED = ("quiet", "resume", "dry_run")
"""Options of one part of a run that its next part does not inherit."""


def begin(
    run: "Run",
    versions: Mapping[str, str],
    options: Mapping[str, Any] | None,
    sweep_step: str | None = None,
    prices: Mapping[str, Any] | None = None,
) -> None:
    """Write the record before the first request; without options, the run cannot be resumed.

    `versions` are those of the programs that run the tests, `prices` those of targets by label.

    Raises:
        OutputError: it cannot be written.
    """
    earlier = provenance.read(run.directory.path) if provenance.exists(run.directory.path) else None
    session: dict[str, Any] = {
        "start": provenance.utc_now(),
        "end": None,
        **provenance.environment(),
        "sandbox": run.sandbox.name,
        "versions": versions,
        "models": run.pipeline.hosting.record(),
        "prices": prices or {},
    }
    record: dict[str, Any] = {
        "run": run.directory.run_id,
        "options": options,
        "plan": _plan(run.plan),
        "sweep_step": earlier["sweep_step"] if earlier else sweep_step,
        "prompt_template_sha256": template_sha256(run),
        "sessions": [*(earlier["sessions"] if earlier else ()), session],
    }
    provenance.write(run.directory.path, record)


def end(run: "Run") -> None:
    """Write the end of the run into its record.

    Raises:
        OutputError: it cannot be written.
    """
    record = provenance.read(run.directory.path)
    record["sessions"][-1]["end"] = provenance.utc_now()
    record["sessions"][-1]["models"] = run.pipeline.hosting.record()
    if run.plan.until is not None:
        record["sessions"][-1]["runs_needed"] = run.view.until.runs_needed()
    provenance.write(run.directory.path, record)


def metadata(run: "Run") -> dict[str, str]:
    """Return the record as the metadata of tables."""
    record = provenance.read(run.directory.path)
    return {"llmbench": json.dumps(record, ensure_ascii=False)}


def stored_options(options: RunOptions, plan: Plan) -> dict[str, Any]:
    """Return the options of a run for its next part, by name.

    A model that was chosen because it was the only one stays the model of the run.
    """
    stored = as_json({n: value for n, value in options.explicit.items() if n not in NOT_STORED})
    if not options.model and not options.target:
        stored["model"] = [target.model for target in plan.targets]
    return stored


def is_resumable(record: Mapping[str, Any]) -> bool:
    """True unless the run graded answers from a file, which has no options to continue with."""
    if "commands" in record:
        return bool(record["commands"])
    return record.get("options") is not None


def options_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options in the record of a run that is resumable.

    Records of version 0.1 hold the command lines of all parts of the run instead.

    Raises:
        UsageError: an option is unknown, or its value is wrong.
    """
    if "commands" not in record:
        options: dict[str, Any] = record["options"]
        return options
    values: dict[str, Any] = {}
    for words in record["commands"]:
        parser = Parser(prog="llmbench")
        fill(parser, RunOptions)
        values |= vars(parser.parse_args(words))
    for name in NOT_STORED:
        values.pop(name, None)
    return as_json(values)


def template_sha256(run: "Run") -> dict[str, str]:
    """Return the hash of every fixed part of a prompt, by language."""
    repair = [prompts.WRONG, prompts.LOG, prompts.AGAIN] if run.plan.max_repairs else []
    return {
        lang: prompts.sha256(json.dumps([prompts.SYSTEM, runner.config.instructions, *repair]))
        for lang, runner in run.prompter.runners.items()
    }


def _plan(plan: Plan) -> dict[str, Any]:
    fields = {name: getattr(plan, name) for name in Plan.__slots__}
    fields["endpoints"] = [asdict(endpoint) for endpoint in plan.endpoints]
    fields["problems"] = {problem.id: problem.sha256 for problem in plan.problems}
    return fields
