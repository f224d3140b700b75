"""Options of `llmbench run`."""

from llmbench.cli.command import Command
from llmbench.runs.options import RunOptions

DESCRIPTION = """\
Ask models to solve the same coding problems, run the same tests on each answer in a container,
repeat, and write one row per problem and run."""

EPILOG = """\
Keys come from the environment, never from an option: OPENROUTER_API_KEY, OPENAI_API_KEY,
ANTHROPIC_API_KEY, …

examples:
  llmbench --provider demo                            no model, no key: see how it works
  llmbench --concurrency 8                            LM Studio, the model it has loaded
  llmbench --provider openrouter --model anthropic/claude-3.5-sonnet --out results.parquet"""

COMMAND = Command("llmbench run", DESCRIPTION, RunOptions, EPILOG)
