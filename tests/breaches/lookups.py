"""Look-ups that aren't what the product's are: older, undated, forgetful, or leaking."""

from __future__ import annotations

import copy
import os
import threading
import time
from typing import TYPE_CHECKING, Final

import msgspec

from app.store import storage_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.bootstrap import Service
    from app.lookup import Lookup
    from app.tokens.key_ring import KeyRing
    from projections.token_lookup import TokenRow
    from projections.user_directory import CredentialRow
    from tests.breaches import Breach

LEAK_EVERY: Final = 0.2
"""Seconds."""


class Remembering:
    """Look-ups, of which one of a session is as old as `seconds`.

    With `settled` only rows of a token whose first use is recorded are remembered: any other leads
    to a command, and that is decided on what is so now.
    """

    def __init__(self, lookup: Lookup, seconds: float, *, settled: bool) -> None:
        self._lookup = lookup
        self._seconds = seconds
        self._settled = settled
        self._rows: dict[str, tuple[float, TokenRow | None]] = {}

    def __getattr__(self, name: str) -> object:
        return getattr(self._lookup, name)

    async def session(self, session_id: str) -> TokenRow | None:
        found = self._rows.get(session_id)
        if found is None or time.monotonic() - found[0] > self._seconds:
            row = await self._lookup.session(session_id)
            found = time.monotonic(), row
            if row is None or row.used_generation == row.generation or not self._settled:
                self._rows[session_id] = found
        return found[1]


class Undated:
    """Look-ups, by which the store is never newer than the keys are."""

    def __init__(self, lookup: Lookup, keys: KeyRing) -> None:
        self._lookup = lookup
        self._keys = keys

    def __getattr__(self, name: str) -> object:
        return getattr(self._lookup, name)

    async def session(self, session_id: str) -> TokenRow | None:
        row = await self._lookup.session(session_id)
        if row is None:
            return None
        return msgspec.structs.replace(row, store_generation=self._keys.generation)


class Forgetful:
    """Look-ups that don't find every so many-th session."""

    def __init__(self, lookup: Lookup, every: int) -> None:
        self._lookup = lookup
        self._every = every
        self._asked = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._lookup, name)

    async def session(self, session_id: str) -> TokenRow | None:
        self._asked += 1
        found = self._asked % self._every
        return await self._lookup.session(session_id) if found else None


class Leaking:
    """Look-ups that keep what they never use again."""

    def __init__(self, lookup: Lookup, url: str) -> None:
        self._lookup = lookup
        self._url = url
        self._kept: list[object] = []
        self._last = 0.0

    def __getattr__(self, name: str) -> object:
        return getattr(self._lookup, name)

    async def session(self, session_id: str) -> TokenRow | None:
        if time.monotonic() - self._last > LEAK_EVERY:
            self._last = time.monotonic()
            self._kept.append(os.urandom(1 << 20))
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            self._kept.append(os.dup(0))
            connection = storage_of(self._url).snapshot()
            connection.__enter__().fetch("SELECT count(*) FROM events")
            self._kept.append(connection)
        return await self._lookup.session(session_id)


def _remember(service: Service, seconds: str) -> None:
    """Seconds for which a session's row is remembered, as no process of the product may."""
    for part in msgspec.structs.astuple(service):
        if hasattr(part, "_lookup"):
            settled = part is service.refresh_tokens
            part._lookup = Remembering(service.lookup, float(seconds), settled=settled)


def _remember_credentials(service: Service, value: str) -> None:
    """Of whom a secret was asked for once, it is that of then for ever."""
    del value
    lookup = copy.copy(service.lookup)
    credential, by_name = service.lookup.credential, service.lookup.credential_by_name
    known: dict[object, CredentialRow | None] = {}

    async def remembered(user_key: str, mac: bytes) -> CredentialRow | None:
        if user_key not in known:
            known[user_key] = await credential(user_key, mac)
        return known[user_key]

    async def remembered_by_name(mac: bytes) -> CredentialRow | None:
        if mac not in known:
            known[mac] = await by_name(mac)
        return known[mac]

    lookup.credential = remembered  # type: ignore[method-assign,assignment]
    lookup.credential_by_name = remembered_by_name  # type: ignore[method-assign,assignment]
    service.proving._lookup = lookup


def _forget_rows(service: Service, every: str) -> None:
    """One in so many look-ups by an access token finds no session."""
    forgetful = Forgetful(service.lookup, int(every))
    service.recognition._lookup = forgetful  # type: ignore[assignment]


def _leave_keys_unchecked(service: Service, value: str) -> None:
    """Whoever recognises a token doesn't compare the generation of its keys."""
    del value
    undated = Undated(service.lookup, service.keys)
    service.recognition._lookup = undated  # type: ignore[assignment]


def _leak(service: Service, value: str) -> None:
    """Keep memory, a thread, a file and an open transaction, for ever and again and again."""
    del value
    leaking = Leaking(service.lookup, os.environ["GATEBOOK_DATABASE_URL"])
    for part in msgspec.structs.astuple(service):
        if hasattr(part, "_lookup"):
            part._lookup = leaking


BREACHES: Final[Mapping[str, Breach]] = {
    "LOOKUP_CACHE": _remember,
    "CREDENTIAL_CACHE": _remember_credentials,
    "FORGETFUL": _forget_rows,
    "UNCHECKED_KEYS": _leave_keys_unchecked,
    "LEAK": _leak,
}
