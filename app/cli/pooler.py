"""Whether a PostgreSQL is behind a pooler that lends a connection for one transaction only.

There our time limits would be set on a connection that is another's a moment later. Such a pooler
doesn't say what it is, but it can't hide that two clients meet the same backend.
"""

from __future__ import annotations

from contextlib import closing
from typing import Final

from app.store import storage_of
from projections.storage import Storage, Value

ROUNDS: Final = 3
_BACKEND: Final = "SELECT pg_backend_pid()"


def lends_transactions(url: str) -> bool:
    """Whether two connections were served by one backend, or one by two.

    Never true of a server itself or of a session-mode pooler. Others show it at the first round
    when they lend the backend that was given back last, as they do unless told otherwise.
    Raises what the storage raises.
    """
    with closing(storage_of(url)) as one, closing(storage_of(url)) as other:
        seen = {_backend(one)}
        for _ in range(ROUNDS):
            with other.snapshot() as rows:
                ((taken,),) = rows.fetch(_BACKEND)
                seen.add(_backend(one))
            if taken in seen or len(seen) > 1:
                return True
            if _backend(other) in seen:
                return True
    return False


def _backend(storage: Storage) -> Value:
    with storage.snapshot() as rows:
        return rows.fetch(_BACKEND)[0][0]
