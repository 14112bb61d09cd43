"""What callers are told about memory; part of the tree in `ratchet.contracts.errors`.

RequestError
|-- MemoryNotFound            404 not_found
|-- MemoryFull                409 memory_full
|-- MemoryChanged             412 precondition_failed
`-- MemoryTooLarge            413 memory_too_large
"""

from ratchet.contracts.errors import RequestError


class MemoryNotFound(RequestError):
    """Nothing is remembered under that key, or not any more."""

    code, status, title = "not_found", 404, "Not found"


class MemoryFull(RequestError):
    """The namespace holds as many memories as one may."""

    code, status, title = "memory_full", 409, "The namespace is full"


class MemoryChanged(RequestError):
    """The memory is not as the request expects it."""

    code, status, title = "precondition_failed", 412, "The memory has changed"


class MemoryTooLarge(RequestError):
    """The value has more bytes than one may."""

    code, status, title = "memory_too_large", 413, "The memory is too large"
