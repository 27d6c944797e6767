"""Refusals that cost another hash than they should, or none."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Final

from app import argon2id
from domain.errors import InvalidCredentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.bootstrap import Service
    from app.passwords import _Watch
    from projections.user_directory import CredentialRow
    from tests.breaches import Breach


def _spend_own_hash_alone(service: Service, value: str) -> None:
    """A refusal costs a hash of the user's own parameters alone, or the service's."""
    pool = service.pool

    def compare(secret_hash: str | None, secret: str, watch: _Watch, *, admitted: bool) -> bool:
        del admitted
        nobodys = argon2id.of_nothing(*pool._parameters)
        stored = nobodys if secret_hash is None else argon2id.parse(secret_hash)
        with watch.one():
            return pool._argon2id.verify(stored, secret) and secret_hash is not None

    del value
    pool._compare = compare  # type: ignore[method-assign]


def _spend_nothing_on_nobody(service: Service, value: str) -> None:
    """A refusal costs no hash where there is no user."""
    verify = service.pool.verify

    async def sparing(secret_hash: str | None, secret: str, *, admitted: bool = True) -> bool:
        return secret_hash is not None and await verify(secret_hash, secret, admitted=admitted)

    del value
    service.pool.verify = sparing  # type: ignore[method-assign]


def _tarry_over_nobody(service: Service, seconds: str) -> None:
    """A refusal takes so many seconds more where there is no user."""
    verify = service.pool.verify

    async def tarrying(secret_hash: str | None, secret: str, *, admitted: bool = True) -> bool:
        right = await verify(secret_hash, secret, admitted=admitted)
        if secret_hash is None:
            await asyncio.sleep(float(seconds))
        return right

    service.pool.verify = tarrying  # type: ignore[method-assign]


def _spend_nothing_on_the_erased(service: Service, value: str) -> None:
    """A refusal costs no hash where a user was erased, by key."""
    lookup = copy.copy(service.proving._lookup)
    find = lookup.credential

    async def credential(user_key: str, network_mac: bytes = b"") -> CredentialRow | None:
        row = await find(user_key, network_mac)
        if row is not None and row.status == "erased":
            raise InvalidCredentials
        return row

    del value
    lookup.credential = credential  # type: ignore[method-assign,assignment]
    service.proving._lookup = lookup


BREACHES: Final[Mapping[str, Breach]] = {
    "OWN_HASH": _spend_own_hash_alone,
    "UNHASHED": _spend_nothing_on_nobody,
    "SLOW_NOBODY": _tarry_over_nobody,
    "UNHASHED_ERASED": _spend_nothing_on_the_erased,
}
