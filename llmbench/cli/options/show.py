"""Options of `llmbench show`."""

from pathlib import Path

from attrs import field, frozen

from llmbench.cli.command import Command
from llmbench.cli.options.attempt_texts import AttemptTextOptions
from llmbench.options import Check, option
from llmbench.plan import WORK_FOLDER

DESCRIPTION = """\
Show one attempt: the prompt, the answer, the code found in it, and the test log; then its repairs,
if it has any. Without a problem, show the tables of each problem and of repeated runs."""

EPILOG = """\
The rows are in the result file and, for repairs, in the file beside it. Answer, code and log are in
the work folder of the run, which is searched beside the file. Texts that are gone are named.

examples:
  llmbench show results.csv
  llmbench show results.csv python-lru-ttl-cache
  llmbench show results.parquet 'python-lru-ttl-cache#2' --target openai/gpt-4.1"""


def _names_a_run(text: str) -> bool:
    run = text.partition("#")[2] or "1"
    return run.isascii() and run.isdecimal() and int(run) > 0


@frozen(kw_only=True, slots=False)
class ShowOptions(AttemptTextOptions):
    """The attempt to show, and the folders of its run."""

    result: Path = field(
        converter=Path,
        metadata=option("result file, .csv or .parquet", "RESULT", positional=True),
    )
    problem: str | None = field(
        default=None,
        metadata=option(
            "problem id and number of the run",
            "PROBLEM[#RUN]",
            default="every problem, in tables; #1",
            check=Check("a problem id, alone or with the number of a run as in id#2", _names_a_run),
            positional=True,
        ),
    )
    target: str | None = field(
        default=None,
        metadata=option(
            "target of the attempt, or its model alone",
            "PROVIDER/MODEL",
            default="the only one in the file",
        ),
    )

    @property
    def problem_id(self) -> str:
        """The id of the problem."""
        return (self.problem or "").partition("#")[0]

    @property
    def run(self) -> int:
        """The number of the run."""
        return int((self.problem or "").partition("#")[2] or "1")

    @property
    def work_dirs(self) -> tuple[Path, ...]:
        """The folders that may hold the run's folder."""
        return (self.work_dir or self.result.parent / WORK_FOLDER, WORK_FOLDER)


COMMAND = Command("llmbench show", DESCRIPTION, ShowOptions, EPILOG)
