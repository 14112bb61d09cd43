"""Names for opaque JSON: templates, requests and replies that are passed on, not interpreted."""

from typing import Any

Json = Any
JsonObject = dict[str, Any]
