"""What the planning commands answer to input that makes no sense."""


class CapacityError(ValueError):
    """A figure that no deployment can have; the message names the option and what is allowed."""
