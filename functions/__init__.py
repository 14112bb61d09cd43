"""The Lambda functions, a folder each."""

from ratchet import cold_start

cold_start.begin()
