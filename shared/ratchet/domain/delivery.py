"""When an announcement is tried, and when it is given up."""

import zlib

from ratchet.contracts.limits import DELIVERY_DELAYS_SECONDS, DELIVERY_JITTER_PERCENT

MAX_TRIES = len(DELIVERY_DELAYS_SECONDS) + 1


def pause_ms(name: str, tries: int) -> int:
    """How long to wait after so many tries: the documented delay, and a part of it that differs by `name`.

    The same whoever asks, so that a deliverer that takes over keeps to it.
    """
    share = zlib.crc32(f"{name}#{tries}".encode()) / 2**32
    return int(DELIVERY_DELAYS_SECONDS[tries - 1] * (1000 + 10 * DELIVERY_JITTER_PERCENT * share))
