"""The card of a result: what was measured, with what, and how to measure it again."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from llmbench import stats
from llmbench.options import flag_of
from llmbench.reports import format as fmt
from llmbench.reports.columns import REPLAY_NOTICE
from llmbench.reports.descriptions import DESCRIPTIONS, descriptions
from llmbench.reports.render import Code, Document, Grid, Line, Paragraph
from llmbench.texts import counted

HEAD = ("", "")
SAMPLING = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "reasoning_effort",
    "params",
    "system_sha256",
)
NOT_IN_COMMAND = ("out", "config", "prices", "sandbox")
"""Options of a run that do not change its result, or that hold a path of its machine."""


def card(table: pl.DataFrame, record: Mapping[str, Any] | None) -> Document:
    """Return a card for each target of first answers.

    `record` is that of the run, if it is known: hardware, versions and options are in it.
    """
    lines = stats.summarize(table, ["target"]).sort("pass_rate", descending=True, nulls_last=True)
    blocks: list[Paragraph | Grid] = []
    if table["replayed"].any():
        blocks.append(Paragraph([Line(REPLAY_NOTICE, strong=True)]))
    for line in lines.iter_rows(named=True):
        rows = table.filter(target=line["target"])
        cells = [*_result(line, rows), *_model(rows), *_sampling(rows), *_run(rows, record)]
        blocks.append(Grid(HEAD, cells, text_columns=2, title=f"target {line['target']}"))
    return Document(blocks, None)


def _result(line: Mapping[str, Any], rows: pl.DataFrame) -> Iterator[tuple[str, str]]:
    interval = fmt.interval(line["ci_low"], line["ci_high"])
    yield "pass rate", f"{fmt.percent(line['pass_rate'])} (95% interval {interval})"
    problems = counted(rows["problem_id"].n_unique(), "problem", "problems")
    runs = counted(rows["run"].n_unique(), "run", "runs")
    yield "attempts", f"{line['scored']} scored of {line['attempts']}: {problems} × {runs}"
    yield "time to first token", f"{fmt.seconds(line['ttft_seconds'])} (median)"
    yield "tokens/s", f"{fmt.count(line['tokens_per_second'])} (median)"
    if line["cost_usd"] is not None:
        yield "cost", fmt.dollars(line["cost_usd"])
    reasoning = rows["has_reasoning"].drop_nulls()
    if len(reasoning):
        share = len(reasoning.filter(reasoning)) / len(reasoning)
        yield "answers with reasoning", fmt.whole_percent(share)


def _model(rows: pl.DataFrame) -> Iterator[tuple[str, str]]:
    for column, write in DESCRIPTIONS.items():
        (value,) = descriptions(rows, column, write).values()
        if value:
            yield column.replace("_length", ""), value


def _sampling(rows: pl.DataFrame) -> Iterator[tuple[str, str]]:
    parts = []
    for column in SAMPLING:
        values = rows[column].drop_nulls().unique().sort().to_list()
        if values:
            parts.append(f"{column} {', '.join(str(value)[:40] for value in values)}")
    yield "sampling", "; ".join(parts) or "the server's"


def _run(rows: pl.DataFrame, record: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    sandboxes = rows["sandbox"].drop_nulls().unique().sort().to_list()
    if sandboxes:
        yield "sandbox", ", ".join(sandboxes)
    if record is None:
        return
    session = record["sessions"][-1]
    yield "llmbench", f"{session['llmbench']}, {session['start'][:10]}"
    if hardware := _hardware(session.get("hardware") or {}):
        yield "machine of llmbench", hardware
    if record.get("options") is not None:
        yield "command", Code(shlex.join(["llmbench", *_flags(record["options"])]))


def _hardware(hardware: Mapping[str, Any]) -> str:
    """Return processor, memory and GPUs in words."""
    parts = [hardware["cpu"]] if hardware.get("cpu") else []
    if hardware.get("memory_bytes"):
        parts.append(f"{fmt.file_size(hardware['memory_bytes'])} memory")
    for gpu in hardware.get("gpus") or []:
        parts.append(f"{gpu['name']} {fmt.file_size(gpu['memory_bytes'])}")
    return ", ".join(parts)


def _flags(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if name in NOT_IN_COMMAND or value is None or value == []:
            continue
        if isinstance(value, bool):
            yield flag_of(name if value else f"no_{name}")
        elif isinstance(value, Mapping):
            yield from (f"{flag_of(name)}={key}={json.dumps(v)}" for key, v in value.items())
        else:
            several: Sequence[Any] = value if isinstance(value, list) else [value]
            yield from (word for each in several for word in (flag_of(name), str(each)))
