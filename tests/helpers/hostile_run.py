"""The files of a run whose answers attack the terminal or page that shows them."""

from pathlib import Path

from helpers.factories import attempt, row
from llmbench.completions import Completion
from llmbench.records import Row
from llmbench.store import tables
from llmbench.store.journal import CompletionEntry, Journal, ResultEntry
from llmbench.store.run_dir import RunDirectory

MARKUP = "<img src=x onerror=owned=1>"
ENDS = "</script><script>owned=1</script><!--"
TURNS = "\u202e"
"""Reverses the direction of writing."""

ANSWER = (
    f"Well, {MARKUP} {ENDS}\n```python\ndef add(a, b):\n    return a + b  # 🦊 {ENDS}{TURNS}\n```\n"
)
CODE = f'def add(a, b):\n    """🦊 {ENDS} {MARKUP}"""\n    return a + b  # {TURNS}\n'
LOG = f"assert {MARKUP} {ENDS}\n3 passed"
MODELS = ("m", f"n{MARKUP}")
IDS = ("add", "sub", f"mul{ENDS}{MARKUP}")
RUNS = 3
PROBLEM = """\
- id: add
  lang: python
  prompt: Write add.
  tests: {test_add.py: assert True}
"""


def write_run(folder: Path) -> list[Row]:
    """Write `r.parquet`, `p.yaml` and `_work` into `folder`; return the rows in order."""
    work = RunDirectory(folder / "_work")
    rows = []
    with Journal(work.path) as written:
        for model in MODELS:
            for id_ in IDS:
                for number in range(1, RUNS + 1):
                    attempted = attempt(number, id_, model)
                    seconds = 1 + number + len(id_) / 100
                    passed = number <= RUNS - IDS.index(id_)
                    answer = Completion(ANSWER, reasoning=f"Hm, {ENDS}", llm_seconds=seconds)
                    ended = row(
                        problem_id=id_,
                        model=model,
                        target=f"lmstudio/{model}",
                        run=number,
                        score=100.0 * passed,
                        passed=passed,
                        outcome="passed" if passed else "failed",
                        llm_seconds=seconds,
                        tags=f"sums,{MARKUP}",
                        log_head=LOG,
                        problem_sha256=attempted.problem.sha256,
                    )
                    written.append(CompletionEntry(attempted.key, answer))
                    written.append(ResultEntry(ended))
                    if id_ == IDS[0]:  # the code of the others is extracted again
                        texts = {"answer.md": ANSWER, "solution.py": CODE, "log.txt": LOG}
                        work.keep(attempted, texts)
                    rows.append(ended)
    table = tables.to_frame(rows)
    tables.write(table, folder / "r.parquet")
    (folder / "p.yaml").write_text(PROBLEM)
    return tables.rows(table)
