"""What callers, models and tools say carries this text, so that one sees where it gets to (I11)."""

CANARY = "canary-5c1e"
