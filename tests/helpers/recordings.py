"""A recording of one model, and the problem that it answers."""

from llmbench.records import Problem

PROBLEM = Problem(
    "greet", "x", "Say hello world.", {"t": ""}, reference="a\nb\n", wrong_answers={"off": "c\n"}
)

RECORDING = """
model: small
description: answers for tests
tokens_per_second: 100
ttft_seconds: 0.1
answers:
  greet:
    - text: Hello world
      reasoning: I think.
    - text: "Second: {{wrong:off}}"
      repairs:
        - text: "Third: {{reference}}"
        - text: Fourth
  other:
    - text: never shown
"""
