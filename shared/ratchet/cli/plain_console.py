"""A console that shows what models, callers and receivers have written without what a terminal would act on."""

import re
from typing import Any

from rich.console import Console
from rich.text import Text

# Controls but for tab and line end, what turns text around, and halves of surrogate pairs, which nothing can print.
_ACTED_ON = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def harmless(text: str) -> str:
    """The text with a replacement character for each that could move the cursor, hide text or talk to the terminal."""
    return _ACTED_ON.sub("\ufffd", text)


class PlainConsole(Console):
    """Rich's, in which every text that is no markup of ours is made harmless, in tables too."""

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich does it."""
        return super().render_str(harmless(text), **options)
