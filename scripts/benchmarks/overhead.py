"""Wall time of a demo run against its lower bound.

python scripts/benchmarks/overhead.py [--concurrency N] [FLAGS OF llmbench]

The bound is the larger of two times: the tests' processor time per core, and the answers' streaming
time per model slot. Both come from the rows of the run. Some sandboxes report no processor time of
tests killed at a limit; their wall time is used instead. With few model slots the answers bound the
run, as with real models. With many the tests do, and the cost of containers is above the bound.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl


def main() -> int:
    """Run, measure, print."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--concurrency", type=int, default=8)
    args, more = parser.parse_known_args()
    cores, slots = len(os.sched_getaffinity(0)), args.concurrency
    flags = ["--provider", "demo", "--runs", "5", "--concurrency", str(slots), "--quiet"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.parquet"
        run = [sys.executable, "-m", "llmbench", *flags, *more, "--out", str(out)]
        began = time.perf_counter()
        done = subprocess.run(run, cwd=folder)
        wall = time.perf_counter() - began
        if done.returncode:
            return done.returncode
        rows = pl.read_parquet(out)
    cpu = rows.select(pl.coalesce("test_cpu_seconds", "test_seconds").sum()).item() / cores
    model = rows["llm_seconds"].sum() / slots
    bound = max(cpu, model)
    print(f"attempts                     {len(rows)}")
    print(f"sandbox                      {', '.join(rows['sandbox'].drop_nulls().unique())}")
    print(f"wall                         {wall:7.1f} s")
    print(f"test CPU / {cores} cores           {cpu:7.1f} s")
    print(f"streaming / {slots} model slots    {model:7.1f} s")
    print(f"wall / bound                 {wall / bound:7.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
