"""The control of the fuzzers: a reader with a fault behind four steps, each of which shows itself.

Whoever doesn't look at what code was reached has to take all four at once.
"""

from __future__ import annotations


class Planted(Exception):
    """It was found."""


def read_stepwise(data: bytes) -> str:
    """Read no more than is right so far."""
    if len(data) < 8:
        return "too short"
    if data[3] != ord("^"):
        return "not the first"
    if data[1] != ord("`"):
        return "not the second"
    if data[6] != 0xB0:
        return "not the third"
    if data[0] != ord("G"):
        return "not the fourth"
    raise Planted
