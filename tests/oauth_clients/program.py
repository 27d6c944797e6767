"""A program that is registered with a service, and how it shows its secret there.

Knows no library.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple
from urllib.parse import quote_plus

SECRET: Final = "p:a%2F+s s w\u00f6rd \N{HORSE} : 100%"
"""With everything that a library may spell wrongly."""
SCOPE: Final = "tokens:introspect users:read"
"""What a program may do."""


class Program(NamedTuple):
    """All that a client is configured with, and a session of its user."""

    issuer: str
    client_id: str
    secret: str
    refresh_token: str


class Way(Enum):
    """How a client shows its secret."""

    ENCODED = "Basic, form-encoded"
    """As RFC 6749 §2.3.1 has it. Both libraries leave that to whoever uses them."""
    AS_IT_IS = "Basic, as it is"
    """As RFC 7617 has it, in UTF-8."""
    POSTED = "in the form"


def spelled(secret: str, way: Way) -> str | bytes:
    """What a library is given for the secret: it puts text into the header in Latin-1."""
    spellings: dict[Way, str | bytes] = {
        Way.ENCODED: quote_plus(secret),
        Way.AS_IT_IS: secret.encode(),
        Way.POSTED: secret,
    }
    return spellings[way]
