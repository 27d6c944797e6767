"""Whether a PostgreSQL is behind a pooler that lends a connection for one transaction only.

There our time limits would be set on a connection that is another's a moment later. Such a pooler
doesn't say what it is, but it can't hide that two clients meet the same backend.
"""

from __future__ import annotations

from typing import Final

from app.cli.access import closing_storage
from app.settings import SettingFault, Settings, SettingsError
from projections.storage import Storage, Value

ROUNDS: Final = 3
_BACKEND: Final = "SELECT pg_backend_pid()"


def check_pooler(settings: Settings) -> None:
    """Refuse such a pooler; raises `SettingsError`, and what the storage raises."""
    if settings.sqlite_path is None and lends_transactions(settings.database_url):
        problem = (
            "leads through a pooler that lends a connection for one transaction only, where time "
            "limits don't hold. Set it to session mode (pgbouncer: pool_mode = session), or name "
            "the server itself."
        )
        raise SettingsError(SettingFault("GATEBOOK_DATABASE_URL", problem))


def lends_transactions(url: str) -> bool:
    """Whether two connections were served by one backend, or one by two.

    Never true of a server itself or of a session-mode pooler. Others show it at the first round
    when they lend the backend that was given back last, as they do unless told otherwise.
    Raises what the storage raises.
    """
    with closing_storage(url) as one, closing_storage(url) as other:
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
