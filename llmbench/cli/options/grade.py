"""Options of `llmbench grade`."""

from llmbench.cli.command import Command
from llmbench.runs.options import GradeOptions

DESCRIPTION = """\
Grade answers from a file and ask no model: the same tests, rows and tables as in a run."""

EPILOG = """\
ANSWERS is a file with a JSON object in each line:

  {"problem_id": "…", "answer": "the whole text of the answer", "run": 1}

- stands for stdin. Without `run`, the answers to a problem count as its runs in their order. A
field `target` ("provider/model") or `model` names the model, `finish_reason` how the answer ended
("length": it was cut). ANSWERS may also be the folder of an earlier run, or its journal: its
answers are graded again, with the times and tokens that they had.

A line that cannot be graded is reported and skipped; the exit code is then 1.

examples:
  llmbench grade answers.jsonl --model gpt-4.1 --out graded.parquet
  llmbench grade _work/20260131-013000-a1b2 --reuse-containers"""

COMMAND = Command("llmbench grade", DESCRIPTION, GradeOptions, EPILOG)
