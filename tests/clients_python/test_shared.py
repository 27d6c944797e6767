"""Programs that share a session: the long proof of `tests.prove`, in its short form."""

from __future__ import annotations

from tests.faults.holding import holds
from tests.prove import client_python


def test_processes_that_share_a_cache_rotate_one_token_without_reuse(sqlite_url: str) -> None:
    holds(client_python, sqlite_url)
