"""What holds for every test."""

import gc

import functions  # noqa: F401 - starting up as a sandbox does puts garbage collection off

gc.enable()
