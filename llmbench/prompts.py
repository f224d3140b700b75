"""Problem to chat messages."""

import hashlib

from llmbench.records import Message, Problem

SYSTEM = (
    "You are an expert programmer. Solve the task completely and return one complete source file "
    "in one fenced Markdown code block. No placeholders, no code outside that block."
)


def messages(problem: Problem, instructions: str) -> tuple[Message, ...]:
    """The messages that ask for a solution; `instructions` are the language's words on form."""
    parts = [problem.prompt.strip()]
    for path, text in problem.files.items():
        parts.append(f"The file `{path}` is there already:\n\n```\n{text.rstrip()}\n```")
    if instructions:
        parts.append(instructions.strip())
    return (Message("system", SYSTEM), Message("user", "\n\n".join(parts)))


def sha256(text: str) -> str:
    """Hash of a prompt template."""
    return hashlib.sha256(text.encode()).hexdigest()
