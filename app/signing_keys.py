"""Signing keys as operators and administrators see and change them, and their upkeep by age.

A key is published before it signs, and every process switches at the same written time. Knows no
HTTP and no command line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, Literal, Protocol

import msgspec

from app.caller import system
from app.eventstore.schema import RAISE_GENERATION
from app.settings import Settings
from app.timestamps import rfc3339
from app.tokens.signing import SigningKey
from app.vault import ADD_RING_KEY, DROP_OTHER_SIGNING_KEYS, DROP_RING_KEY, Vault, signing_name
from domain.commands import Command, RetireSigningKey, RotateSigningKey
from domain.policy import SECOND
from domain.signing_keys import SigningKeys, SigningKeyState
from domain.stream import Meta, Recorded
from projections.storage import Statement

RETIRE_AFTER: Final = 60 * SECOND
"""How long after a switch the key before is kept able to sign: clocks may differ by as much."""

State = Literal["next", "active", "retired", "withdrawn"]


class DispatchRows(Protocol):
    """As `Dispatch`, with rows that go in with the events: `Dispatcher.dispatch` is one."""

    def __call__(
        self, command: Command, meta: Meta, rows: tuple[Statement, ...] = ()
    ) -> Awaitable[tuple[Recorded, ...]]:
        """The events that it led to, once they are durable; raises the refusal."""


class KeyItem(msgspec.Struct, frozen=True):
    """A signing key as everybody outside sees it; the public part is in the JWKS."""

    kid: str
    algorithm: str
    state: State
    created_at: str
    active_from: str | None
    retired_at: str | None
    published_until: str | None


def items(keys: SigningKeys, now: int) -> list[KeyItem]:
    """Every key since the log began, in the order in which they were added; `now` in µs."""
    signer = keys.signer(now)
    return [_item(key, signer, now) for key in keys.keys.values()]


class KeyRotation:
    """Changes which key signs."""

    def __init__(self, dispatch: DispatchRows, vault: Vault, settings: Settings) -> None:
        self._dispatch = dispatch
        self._vault = vault
        self._algorithm = settings.signing_algorithm
        self._lead = 2 * settings.jwks_max_age * SECOND
        self._max_age = settings.key_max_age * SECOND

    async def rotate(self, meta: Meta, *, at_once: bool = False) -> bool:
        """Let a new key take over; whether anything changed.

        It signs two max-ages of the JWKS from now. `at_once` is for a key that leaked: the new one
        signs now, and every token that the old one signed is refused.
        """
        return await self._rotate(meta, at_once=at_once)

    async def tend(self, keys: SigningKeys, now: int) -> None:
        """What is due by age: a successor, and the end of keys that have one; `now` in µs."""
        for key in keys.succeeded(now, RETIRE_AFTER):
            rows = ((DROP_RING_KEY, (signing_name(key.kid),)), (RAISE_GENERATION, ()))
            await self._dispatch(RetireSigningKey(key.kid, RETIRE_AFTER), system(), rows)
        signer = keys.signer(now)
        if signer is not None and keys.waiting(now) is None and self._is_old(signer, now):
            await self._rotate(system(), max_age=self._max_age)

    def _is_old(self, key: SigningKeyState, now: int) -> bool:
        since = key.created_at if key.active_from is None else key.active_from
        return now - since >= self._max_age

    async def _rotate(
        self, meta: Meta, *, at_once: bool = False, max_age: int | None = None
    ) -> bool:
        # A key of RSA takes seconds to make.
        key = await asyncio.to_thread(SigningKey.generate, self._algorithm)
        command = RotateSigningKey(
            key.kid, key.algorithm, key.verifying_key.members(), self._lead, at_once, max_age
        )
        name = signing_name(key.kid)
        rows: list[Statement] = [
            (ADD_RING_KEY, self._vault.new_ring_key(name, key.to_pkcs8())),
            (RAISE_GENERATION, ()),
        ]
        if at_once:
            rows.append((DROP_OTHER_SIGNING_KEYS, (name,)))
        return bool(await self._dispatch(command, meta, tuple(rows)))


def _item(key: SigningKeyState, signer: SigningKeyState | None, now: int) -> KeyItem:
    return KeyItem(
        key.kid,
        key.algorithm,
        _state(key, signer, now),
        rfc3339(key.created_at),
        _when(key.active_from),
        _when(key.retired_at),
        _when(key.published_until),
    )


def _state(key: SigningKeyState, signer: SigningKeyState | None, now: int) -> State:
    if key.withdrawn:
        return "withdrawn"
    if signer is not None and key.kid == signer.kid:
        return "active"
    if key.active_from is None or key.active_from > now:
        return "next"
    return "retired"


def _when(moment: int | None) -> str | None:
    return None if moment is None else rfc3339(moment)
