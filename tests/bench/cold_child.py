"""One cold start: import a handler, build what it is made of, say how long each took. Stands alone: no site, no venv.

Run as `python -I -S cold_child.py SPECIFICATION`, a JSON object: `paths`, `env`, `handler` (module), `factory`
(module:function), and `event` for a first request or null.
"""

import importlib
import json
import os
import sys
import time
from typing import Any


class Context:
    """As much of Lambda's context as our handlers and Powertools read."""

    function_name = "bench"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"
    aws_request_id = "00000000-0000-0000-0000-000000000000"


def main(specification: dict[str, Any]) -> None:
    """Start as Lambda would."""
    sys.path[:0] = specification["paths"]
    os.environ.update(specification["env"])
    handler = importlib.import_module(specification["handler"])
    imported = time.process_time()
    module, _, function = specification["factory"].partition(":")
    getattr(importlib.import_module(module), function)()
    wired = time.process_time()
    answer: dict[str, Any] = {}
    if specification["event"] is not None:
        answer = handler.lambda_handler(specification["event"], Context())
    report = {"import": imported * 1000, "wiring": (wired - imported) * 1000, "answer": answer}
    sys.stdout.write(json.dumps(report))
    sys.stdout.flush()
    os._exit(0)  # as a sandbox, which is frozen and never tidies up


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
