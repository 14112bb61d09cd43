"""What a caller may call a session."""

from typing import Annotated

from pydantic import Field, StringConstraints

SessionId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}$"),
    Field(
        description="Tasks of a session share history and run one at a time; any new id begins one."
    ),
]
