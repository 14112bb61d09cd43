"""Goals that the scripted model knows; the word in front tells the tests' tasks apart."""

RESEARCH_STEPS = 7


def research(word: str) -> str:
    """Seven steps, rated simple: plan, search, read, digest, read, ready, answer."""
    return f"{word}: what size battery does a small cabin need that uses 600 Wh a day, and how do I make it last?"


def complex_research(word: str) -> str:
    """Eight steps, rated complex."""
    return f"{word}: what size battery and panel does that cabin need for three days without sun, and why?"


def refund(word: str, order: str) -> str:
    """For the agent `support`."""
    return f"{word}: order {order} arrived broken, please refund it."
