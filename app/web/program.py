"""What a user agent calls itself, short enough for a list (RFC 9110 §10.1.5).

A guess, and only shown: nothing is decided by it.
"""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "Unknown program"

_LONGEST: Final = 48
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
"""The first one that is named: others name themselves too."""
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


def program(user_agent: str | None) -> str:
    """A browser and its system, or the first word of any other program."""
    if not user_agent:
        return UNKNOWN
    browser = _first(_BROWSERS, user_agent)
    if user_agent.startswith("Mozilla/") and browser:
        system = _first(_SYSTEMS, user_agent)
        return f"{browser} on {system}" if system else browser
    return user_agent.split()[0][:_LONGEST] if user_agent.split() else UNKNOWN


def _first(names: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for sign, name in names if sign in user_agent), "")
