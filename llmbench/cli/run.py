"""`llmbench run`: ask, test, write, print."""

import anyio

from llmbench.reports.console import Console
from llmbench.runs import resume
from llmbench.runs.options import RunOptions
from llmbench.runs.run import Run, run


def main(options: RunOptions) -> int:
    """Do a whole run and return the exit code."""
    merged = resume.merge_options(options)
    console = Console(merged.quiet)
    if merged.dry_run:
        # Imported late: only this option needs it.
        from llmbench.runs.dry_run import dry_run

        return anyio.run(dry_run, merged, console)

    def finish(ended: Run, console: Console) -> int:
        # Imported late: tables are slow to load, and an early error must not wait for them.
        from llmbench.runs.finish import finish_run

        code = finish_run(merged.out, ended, console)
        if ended.status.interrupted or ended.pipeline.skipped or _has_errors(ended):
            console.print("to ask again for attempts without a score: llmbench --resume")
        return code

    return anyio.run(run, merged, finish, console)


def _has_errors(ended: Run) -> bool:
    return ended.pipeline.infrastructure_errors > 0
