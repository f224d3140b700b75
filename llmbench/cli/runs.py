"""`llmbench runs`: the runs in the work folder, and their removal."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from llmbench.cli.options.runs import ListOptions, RemoveOptions, RunsOptions
from llmbench.errors import OutputError, UsageError
from llmbench.reports.console import Console
from llmbench.reports.render import Document, Grid, Line, Paragraph, render
from llmbench.reports.sanitize import single_line
from llmbench.store import run_folders
from llmbench.store.run_folders import RunFolder

MB = 1e6
FAILED = 1


def main(options: RunsOptions) -> int:
    """List or remove runs and return the exit code: 1 if a run could not be removed.

    Raises:
        UsageError: there is no such work folder or run.
    """
    if not options.work_dir.is_dir():
        raise UsageError(
            f"{options.work_dir}: no such folder", hint="--work-dir names the folder of the runs"
        )
    console = Console(quiet=False)
    if isinstance(options, RemoveOptions):
        return _remove(options, console)
    assert isinstance(options, ListOptions)
    runs = list(run_folders.find_runs(options.work_dir))
    document = Document(list(_blocks(runs, options.work_dir)), [_data(run) for run in runs])
    console.print_tables(render(document, options.format))
    return 0


def _blocks(runs: Sequence[RunFolder], root: Path) -> Iterator[Paragraph | Grid]:
    if not runs:
        yield Paragraph([Line(f"{root}: there is no run in it")])
        return
    yield Grid(
        ["run", "date", "state", "targets", "attempts", "MB"],
        [
            [
                single_line(run.path.name),
                _local(run.start),
                run.state,
                ", ".join(map(single_line, run.targets)) or "-",
                f"{run.attempts}/{'?' if run.planned is None else run.planned}",
                f"{run.size / MB:.1f}",
            ]
            for run in runs
        ],
        text_columns=4,
        droppable=["MB", "date", "targets"],
    )
    total = sum(run.size for run in runs)
    noun = "run" if len(runs) == 1 else "runs"
    yield Paragraph([Line(f"{len(runs)} {noun}, {total / MB:.1f} MB")])


def _data(run: RunFolder) -> dict[str, object]:
    return {
        "run": run.path.name,
        "path": str(run.path),
        "start": run.start or None,
        "state": run.state,
        "targets": list(run.targets),
        "attempts": run.attempts,
        "planned": run.planned,
        "sweep_step": run.sweep_step,
        "bytes": run.size,
    }


def _local(start: str) -> str:
    """Return a time in UTC as local date and time, or `-`."""
    moment = _moment(start)
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "-"


def _moment(start: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(start)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone()


def _remove(options: RemoveOptions, console: Console) -> int:
    """Remove the runs that are named or old; nothing is removed if a name is unknown."""
    runs = {run.path.name: run for run in run_folders.find_runs(options.work_dir)}
    if not options.run and options.before is None:
        raise UsageError("name the runs to remove, or give --before", hint="see llmbench runs")
    for name in options.run:
        if name not in runs:
            latest = f"the latest is {max(runs)}" if runs else "there is none"
            raise UsageError(f"{name}: no such run in {options.work_dir}", hint=latest)
    old = [name for name, run in runs.items() if _began_before(run, options.before)]
    code, freed = 0, 0
    chosen = [runs[name] for name in dict.fromkeys([*options.run, *old])]
    for run in chosen:
        try:
            run_folders.remove(run.path)
        except OutputError as error:
            console.warn(str(error))
            code = FAILED
            continue
        freed += run.size
        console.print(f"removed {run.path}")
    console.print(f"{freed / MB:.1f} MB are free again")
    return code


def _began_before(run: RunFolder, date: str | None) -> bool:
    moment = _moment(run.start)
    return date is not None and moment is not None and f"{moment:%Y-%m-%d}" < date
