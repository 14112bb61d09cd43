"""What holds for every test."""

from hypothesis import settings

import functions  # noqa: F401 - starting up as a sandbox does puts garbage collection off: see tests/economy.py

pytest_plugins = (
    "tests.beside",
    "tests.economy",
    "tests.figures",
    "tests.one_app",
    "tests.processes",
)

# An example may take as long as it takes: a busy machine must not fail a test.
settings.register_profile("ratchet", deadline=None)
settings.load_profile("ratchet")
