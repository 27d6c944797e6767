"""One realistic event of each kind, and a strategy that makes any.

The samples become golden files: an edited one changes no released file, only the next.
"""

from __future__ import annotations

import base64

import msgspec
from hypothesis import strategies as st

from domain import events
from domain.catalogue import EVENTS
from domain.events import Event
from domain.stream import ANONYMOUS, CLI, SYSTEM, Meta
from tests.domain.specification import ADA, T0

SESSION = "2Qb7yLr0pXc4WmVt9KdZa1"
KID = "W1gWBY4CG_Sq1NS8Yse-L9q7AYE4eyI3w6sf6iNbZNw"
JWK = {
    "kty": "EC",
    "crv": "P-256",
    "x": "I6uFegbhKDXaro8Ly3uRwpqHwXi0-azGcUzX1WabHog",
    "y": "QgvfyYUrwqoyB-b6MVJ9-oh6meQ1ZLf4ofBuI8bDYCY",
}
LOG_ID = "5hQ0zX8vBn2Kd7Wc4LyRt1"
REQUEST = "4f6c1d0e9b8a47d2a3c5e6f708192a3b"
PERSONAL = b"\x01" + bytes(range(64))
CREDENTIAL = b"\x01" + bytes(range(128, 192))
ORIGIN = b"\x01" + bytes(range(64, 128))

SAMPLES: tuple[tuple[Event, Meta], ...] = (
    (events.UserRegistered(PERSONAL, CREDENTIAL), Meta(ANONYMOUS, REQUEST, ORIGIN)),
    (events.UserLoggedIn(SESSION, "secret"), Meta(f"user:{ADA}", REQUEST, ORIGIN)),
    (events.UserLoginFailed(3, T0, T0 + 59_000_000), Meta(SYSTEM, REQUEST)),
    (
        events.RefreshTokenIssued(SESSION, T0 + 31_536_000_000_000),
        Meta(f"user:{ADA}", REQUEST, ORIGIN),
    ),
    (events.RefreshTokenUsed(SESSION, 1), Meta(f"user:{ADA}", REQUEST, ORIGIN)),
    (events.RefreshTokenRotated(SESSION, 2), Meta(f"user:{ADA}", REQUEST, ORIGIN)),
    (events.RefreshTokenRepeated(SESSION, 2), Meta(f"user:{ADA}", REQUEST, ORIGIN)),
    (events.RefreshTokenReuseDetected(SESSION, 1), Meta(ANONYMOUS, REQUEST, ORIGIN)),
    (events.RefreshTokenRevoked(SESSION, "owner"), Meta(f"user:{ADA}", REQUEST, ORIGIN)),
    (events.UserSecretChanged(CREDENTIAL), Meta(f"user:{ADA}", REQUEST, ORIGIN)),
    (events.UserSecretRehashed(CREDENTIAL), Meta(SYSTEM, REQUEST)),
    (events.UserPermissionsSet(("admin", "users:read")), Meta(CLI, REQUEST)),
    (events.UserDisabled(), Meta(CLI, REQUEST)),
    (events.UserEnabled(), Meta(CLI, REQUEST)),
    (events.UserErased(), Meta(f"user:{ADA}", REQUEST)),
    (
        events.SigningKeyAdded(KID, "ES256", JWK),
        Meta(SYSTEM, REQUEST),
    ),
    (events.SigningKeyActivated(KID, T0 + 600_000_000), Meta(SYSTEM, REQUEST)),
    (events.SigningKeyRetired(KID, T0 + 3_660_000_000), Meta(SYSTEM, REQUEST)),
    (events.SigningKeyWithdrawn(KID), Meta(CLI, REQUEST)),
    (events.LogOpened(LOG_ID), Meta(SYSTEM, REQUEST)),
    (events.LogRestored(LOG_ID, 4_711), Meta(CLI, REQUEST)),
)

BLOBS = st.binary(min_size=1, max_size=80).map(lambda random: b"\x01" + random)
NUMBERS = st.integers(0, 2**53)


def of_class(cls: type[Event]) -> st.SearchStrategy[Event]:
    """Any event of a class, recorded: its personal values are sealed."""
    fields: dict[str, st.SearchStrategy[object]] = {}
    for field in msgspec.structs.fields(cls):
        if field.name in cls.seals:
            fields[field.name] = BLOBS
        elif field.type is int:
            fields[field.name] = NUMBERS
        else:
            fields[field.name] = st.from_type(field.type)
    return st.builds(cls, **fields)


ANY_EVENT: st.SearchStrategy[Event] = st.one_of([of_class(cls) for cls in EVENTS.values()])
ANY_META: st.SearchStrategy[Meta] = st.builds(
    Meta, st.text(), st.text(), st.one_of(st.none(), BLOBS)
)


def texts_of(blob: bytes) -> list[bytes]:
    """How a blob would look in clear bytes, in the ways that it could get there."""
    return [
        blob,
        base64.b64encode(blob).rstrip(b"="),
        base64.urlsafe_b64encode(blob).rstrip(b"="),
        blob.hex().encode(),
    ]
