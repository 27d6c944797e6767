"""Whether the caller has the newest representation already (RFC 9110 §13.1.2).

Knows nothing of what is represented.
"""

import hashlib

from app.http.auth import Connection, header


def etag_of(content: bytes) -> str:
    """A strong entity tag."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def unchanged(request: Connection, etag: str) -> bool:
    """Whether `If-None-Match` names this entity tag, weakly or strongly, or any."""
    given = (header(request, b"if-none-match") or b"").decode("latin-1")
    return any(each.strip().removeprefix("W/") in {etag, "*"} for each in given.split(","))
