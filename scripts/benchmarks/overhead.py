"""Wall time of a demo run against its lower bound.

python scripts/benchmarks/overhead.py [--concurrency N] [FLAGS OF llmbench]

The bound is the larger of the tests' processor time over the cores, and the answers' streaming
time over the model slots; both are read off the rows of the run itself. Tests killed at a limit
tell no processor time everywhere; their wall time stands in for it then. With few model slots the
answers bound the run, as they do where models are asked; with many the tests do, and then what
making a container costs is above the bound.
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
    given, more = parser.parse_known_args()
    cores, slots = len(os.sched_getaffinity(0)), given.concurrency
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
