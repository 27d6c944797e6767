"""Look-ups that aren't what the product's are: older, undated, forgetful, leaking, restless."""

from __future__ import annotations

import asyncio
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

LOOK_S: Final = 0.1
"""Of who looks without rest: between two bouts."""
_TASKS: Final = set[asyncio.Task[None]]()


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
    """Look-ups from whose first one on more and more is kept that is never used again.

    In a thread, so that nobody waits for it. What a busy machine has delayed is made up for: no
    leak is smaller than it was asked to be. Memory is in bytes.
    """

    def __init__(self, lookup: Lookup, url: str, every: float, memory: int) -> None:
        self._lookup = lookup
        self._url = url
        self._every = every
        self._memory = memory
        self._kept: list[object] = []
        self._thread: threading.Thread | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._lookup, name)

    async def session(self, session_id: str) -> TokenRow | None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        return await self._lookup.session(session_id)

    def _work(self) -> None:
        due = time.monotonic()
        while True:
            time.sleep(max(due - time.monotonic(), 0))
            due += self._every
            self._leak()

    def _leak(self) -> None:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        storage = storage_of(self._url)
        transaction = storage.snapshot()
        transaction.__enter__().fetch("SELECT count(*) FROM events")
        if storage.kind == "postgresql":
            # Which ends a transaction that stays open, and its connection, after some seconds.
            transaction.__exit__(None, None, None)
        self._kept += os.urandom(self._memory), os.dup(0), os.dup(0), storage, transaction


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


def _leak(service: Service, often: str) -> None:
    """Every so many seconds so many bytes are kept for ever, with more beside.

    That is a thread, two files, and on PostgreSQL a connection. On SQLite it is a transaction that
    stays open, which takes two or three files more, and the write-ahead log can't begin anew.
    """
    every, memory = often.split()
    url = os.environ["GATEBOOK_DATABASE_URL"]
    leaking = Leaking(service.lookup, url, float(every), int(memory))
    for part in msgspec.structs.astuple(service):
        if hasattr(part, "_lookup"):
            part._lookup = leaking


def _look_without_rest(service: Service, percent: str) -> None:
    """The end of the log is looked up for so many percent of a core, where nobody asks."""
    used, since = time.process_time(), time.monotonic()

    async def look() -> None:
        while True:
            spent, passed = time.process_time() - used, time.monotonic() - since
            if spent < passed * float(percent) / 100:
                await service.lookup.head()
            else:
                await asyncio.sleep(LOOK_S)

    _TASKS.add(asyncio.create_task(look()))


BREACHES: Final[Mapping[str, Breach]] = {
    "LOOKUP_CACHE": _remember,
    "CREDENTIAL_CACHE": _remember_credentials,
    "FORGETFUL": _forget_rows,
    "UNCHECKED_KEYS": _leave_keys_unchecked,
    "LEAK": _leak,
    "RESTLESS": _look_without_rest,
}
