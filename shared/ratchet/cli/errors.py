"""What a command says when it cannot do its work.

CliError                exit code 1
`-- NotReachable        nothing answers at the API's address
`-- ApiProblem          the API refused; carries its problem+json
"""

from ratchet.contracts.problem import Problem


class CliError(Exception):
    """Shown on stderr: what happened, then `hint`, what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NotReachable(CliError):
    """Nothing answered; the same command may work later."""


class ApiProblem(CliError):
    """The API answered with an error."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.title}: {problem.detail}", _field_lines(problem))
        self.problem = problem


def _field_lines(problem: Problem) -> str:
    lines = [f"  {error.field}: {error.message}" for error in problem.errors]
    if problem.status in {401, 403}:
        lines.append("Check RATCHET_API_URL and RATCHET_API_KEY; `ratchet doctor` shows both.")
    return "\n".join(lines)
