"""`ask_human`: the tool by which an agent asks a person. It is never called; a person's answer is its result."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field, StringConstraints

from ratchet.contracts import limits
from ratchet.contracts.names import InterruptKind
from ratchet.domain.tools import as_tool, tool

Choice = Annotated[str, StringConstraints(min_length=1, max_length=limits.MAX_CHOICE_CHARS)]
Question = Annotated[str, StringConstraints(min_length=1, max_length=limits.MAX_QUESTION_CHARS)]
Choices = Annotated[list[Choice], Field(max_length=limits.MAX_CHOICES)]


@tool(effect="read", parallel=False, approval="always")
def ask_human(question: Question, choices: Choices = []) -> str:  # noqa: B006 - never called
    """Ask a person what only a person can know or decide. The answer may take days.

    With choices the answer is one of them, else any text.
    """
    raise TypeError(f"{question[:40]!r} is for a person, who may choose from {len(choices)}")


ASK = replace(as_tool(ask_human), asks=InterruptKind.QUESTION)
