"""Errors of the scripted model server, in the shape of the OpenAI API.

Exception
  ApiError        the request is answered with this status and body
  ScenarioError   a scenario file is wrong; names the file, the scenario and the field
"""

from ratchet.testing.model_json import JsonObject

INVALID_REQUEST = "invalid_request_error"


class ApiError(Exception):
    """A refusal as OpenAI words it: status, message, type, param and code."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID_REQUEST,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code

    def body(self) -> JsonObject:
        """The JSON body of the refusal."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}


class ScenarioError(ValueError):
    """A scenario file cannot be used; the message names the file, the scenario and the field."""


def bad_request(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """A 400 of the usual type."""
    return ApiError(400, message, param=param, code=code)
