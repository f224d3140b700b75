"""Time and peak memory to write a journal, index it and convert its rows to Parquet.

python scripts/benchmarks/journal.py [ATTEMPTS]
"""

import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from llmbench.attempt import make_row
from llmbench.completions import Completion, Usage
from llmbench.records import Attempt, Outcome, Problem, Sampling, Target, Verdict
from llmbench.store import tables
from llmbench.store.journal import CompletionEntry, Journal, ResultEntry
from llmbench.store.journal_index import JournalIndex


def main() -> None:
    """Print one line per step."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    target = Target("none", "none", "http://localhost/v1", Sampling(4096))
    problem = Problem("p", "python", "Write solve(x).", {"test_solution.py": "pass"})
    completion = Completion("def solve(x):\n    return x\n" * 40, "", "stop", Usage(100, 200))
    one = Attempt(target, problem, 1)
    row = make_row(
        one, completion, Verdict(Outcome.PASSED, 0, 5, 5, 0.1, 0.1, "x" * 1000), extraction="fence"
    )
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name), time.perf_counter()
        with Journal(folder) as journal:
            for run in range(size):
                journal.append(CompletionEntry(one.key._replace(run=run), completion, f"a{run}"))
                journal.append(ResultEntry(replace(row, run=run), f"g{run}"))
        _report(f"{size} written", began)
        began = time.perf_counter()
        index = JournalIndex(journal.path, sys.exit)
        _report("indexed", began)
        began = time.perf_counter()
        with index.rows() as find:
            rows = (find(f"g{run}") for run in range(size))
            table = tables.scan_rows(lambda: (r for r in rows if r is not None))
            tables.write(table, folder / "rows.parquet")
        _report("to Parquet", began)


def _report(step: str, began: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{step:16} {time.perf_counter() - began:7.1f} s  peak {peak:7.1f} MiB", flush=True)


if __name__ == "__main__":
    main()
