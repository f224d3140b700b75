"""Runs the work of `peers.py` as a task of Inspect AI, in an environment that has Inspect AI.

python peers_inspect.py SAMPLES OPTIONS    SAMPLES is a JSON file, OPTIONS is JSON text
"""

import io
import json
import re
import secrets
import sys
import tarfile
from pathlib import Path
from typing import Any

from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageSystem, ChatMessageUser, GenerateConfig
from inspect_ai.scorer import CORRECT, INCORRECT, Score, Scorer, Target, accuracy, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import sandbox

BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
PLACE_AND_RUN = "tar -xf - && printf '%s\\n' \"$0\" | sh /opt/runner/run.sh"


@solver
def ask() -> Solver:
    """Send the number of the run as the seed, by which the server picks its answer."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        return await generate(state, seed=state.epoch)

    return solve


def pack(files: dict[str, str]) -> bytes:
    """Return the files as a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


@scorer(metrics=[accuracy()])
def tests() -> Scorer:
    """Score an answer as correct if `run.sh` exits with 0: all tests passed."""

    async def score(state: TaskState, target: Target) -> Score:
        metadata = state.metadata
        blocks = BLOCK.findall(state.output.completion)
        if not blocks:
            return Score(value=INCORRECT, explanation="no code")
        files = {metadata["solution"]: max(blocks, key=len), **metadata["files"]}
        try:
            result = await sandbox().exec(
                ["sh", "-c", PLACE_AND_RUN, f"canary_{secrets.token_hex(16)}"],
                input=pack(files),
                env=metadata["environment"],
                timeout=int(metadata["timeout"]),
                timeout_retry=False,
            )
        except TimeoutError:
            return Score(value=INCORRECT, explanation="timeout")
        return Score(value=CORRECT if result.returncode == 0 else INCORRECT)

    return score


def dataset(path: Path) -> MemoryDataset:
    """Read the samples of a file."""
    roles: dict[str, Any] = {"system": ChatMessageSystem, "user": ChatMessageUser}
    return MemoryDataset(
        [
            Sample(
                id=sample["id"],
                input=[roles[m["role"]](content=m["content"]) for m in sample["messages"]],
                sandbox=("docker", sample["compose"]),
                metadata={k: sample[k] for k in ("files", "solution", "environment", "timeout")},
            )
            for sample in json.loads(path.read_text())
        ]
    )


def main() -> None:
    """Evaluate, and write the numbers of attempts and passed attempts as JSON."""
    options = json.loads(sys.argv[2])
    task = Task(
        dataset=dataset(Path(sys.argv[1])),
        solver=ask(),
        scorer=tests(),
        config=GenerateConfig(max_tokens=4096, max_connections=options["streams"]),
    )
    (log,) = eval(
        task,
        model=f"openai-api/demo/{options['model']}",
        epochs=options["runs"],
        max_samples=options["at_once"],
        max_sandboxes=options["at_once"],
        log_dir=options["logs"],
        display="none",
        score_display=False,
    )
    if log.status != "success" or not log.samples:
        raise SystemExit(f"the evaluation ended as {log.status}: {log.error}")
    values = [score.value for s in log.samples for score in (s.scores or {}).values()]
    counts = {"attempts": len(log.samples), "passed": values.count(CORRECT)}
    Path(options["out"]).write_text(json.dumps(counts))


if __name__ == "__main__":
    main()
