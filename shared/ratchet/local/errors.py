"""What the local stack says when it cannot play its part.

LocalStackError
"""


class LocalStackError(RuntimeError):
    """The local stack cannot honour something; the message names it and says what to do."""
