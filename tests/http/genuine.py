"""A token that a service gave, with the key that only the service has; what fits into a header.

Knows no mutant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.clock import now
from app.tokens.key_ring import KeyRing
from tests.tokens.mutants import Genuine

if TYPE_CHECKING:
    from tests.http.people import Person

FITS_A_HEADER: Final = 8_000


def genuine_of(person: Person) -> Genuine:
    """A token that the service accepts, with the key that only the service has."""
    with person.people.store() as store:
        return Genuine(person.access, KeyRing(store).signer(now()))


def is_a_header(token: str) -> bool:
    """Whether it can be sent in one; space at its end belongs to the header (RFC 9110 §5.5)."""
    plain = token.isascii() and token.isprintable() and token == token.strip()
    return plain and 0 < len(token) < FITS_A_HEADER
