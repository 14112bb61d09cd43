"""The committed OpenAPI document of a default deployment: `make openapi` writes it anew."""

import json
from pathlib import Path

from functions.api.application import openapi_document
from ratchet.contracts.access import Identity

COMMITTED = Path(__file__).parents[1] / "events" / "openapi.json"


def generated() -> str:
    """The document as the code has it now, laid out for people and for diffs."""
    return (
        json.dumps(json.loads(openapi_document(Identity("iam"))), indent=1, sort_keys=True) + "\n"
    )


if __name__ == "__main__":
    COMMITTED.write_text(generated(), encoding="utf-8")
