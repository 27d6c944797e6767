"""The signing keys of a running process: which signs now, which verify, what is published.

Read from the log and the ring, and read again when the store's generation has moved, be it back:
of a log that was restored, or is that of a server that was behind. Knows no claim and no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from app.deadline import in_time
from app.eventstore.log import read_head
from app.sharing import Rounds
from app.store import Store
from app.tokens.signing import SigningKey, VerifyingKey
from app.tokens.verified import Verified
from app.vault import RING_KEYS, Wrapped
from domain.aggregate import KEYS
from domain.errors import Unavailable
from domain.policy import SECOND
from domain.signing_keys import SigningKeys
from domain.stream import SIGNING_KEYS
from projections.live import read_live
from projections.registry import PROJECTIONS
from projections.storage import StorageError

_PREFIX: Final = "signing "
_NEVER: Final = 1 << 63


class RingState(msgspec.Struct, frozen=True):
    """The keys as of one generation of the store."""

    generation: int
    keys: SigningKeys
    private: Mapping[str, SigningKey]
    public: Mapping[str, VerifyingKey]
    over_at: int
    """When the first of them has been retired for so long that no token of it is good (µs)."""
    verified: Verified
    """What those that aren't over have verified: forgotten with them."""


class KeyRing:
    """Belongs to the event loop; `reload` reads the store in a thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._state = _read(store)
        self._reads = Rounds(self._read)

    @property
    def generation(self) -> int:
        """The store's generation that the ring is of."""
        return self._state.generation

    @property
    def known(self) -> SigningKeys:
        """Every key since the log began."""
        return self._state.keys

    @property
    def verifying(self) -> Mapping[str, VerifyingKey]:
        """The keys whose tokens are accepted, by kid."""
        return self._state.public

    def verified(self, now: int) -> Verified:
        """The keys whose tokens can be good at `now` (µs); they remember which signature was right.

        One that was retired long ago, and leaks, is worth nothing.
        """
        if now >= self._state.over_at:
            self._state = _as_of(self._state, now)
        return self._state.verified

    async def at(self, generation: int) -> None:
        """Make sure that the ring is of a generation that was just read, or was read after it.

        Raises as `reload` does.
        """
        if generation != self._state.generation:
            await self.reload()

    async def reload(self) -> None:
        """Read the store again, from now on; whoever comes before that begins shares the read.

        Raises `Unavailable` when the store doesn't answer in time; it is read all the same then.
        """
        await in_time(self._reads.next())

    async def _read(self) -> None:
        try:
            self._state = await asyncio.to_thread(_read, self._store)
        except StorageError as error:
            raise Unavailable from error

    def signer(self, now: int) -> SigningKey:
        """The key that signs at `now` (µs)."""
        signer = self._state.keys.signer(now)
        if signer is None or signer.kid not in self._state.private:
            msg = "There is no signing key. Run: gatebook doctor"
            raise Unavailable(msg)
        return self._state.private[signer.kid]

    def age(self, now: int) -> float:
        """Seconds since the key that signs was activated; 0 when none does."""
        signer = self._state.keys.signer(now)
        if signer is None or signer.active_from is None:
            return 0.0
        return max(0.0, (now - signer.active_from) / SECOND)

    def published(self, now: int) -> list[dict[str, str]]:
        """The public keys that verifiers need at `now`, as JWKs."""
        published = self._state.keys.published(now)
        return [self._state.public[key.kid].public_jwk() for key in published]


def _read(store: Store) -> RingState:
    with store.storage.snapshot() as rows:
        generation = read_head(rows).generation
        read_live(rows, PROJECTIONS)
        # A row that we didn't write may not become a key that we trust.
        history = [record.recorded() for record in store.log.read_proved(rows, SIGNING_KEYS)]
        wrapped = rows.fetch(RING_KEYS)
    keys = KEYS.fold(history)
    private = {}
    for name, master_id, blob in wrapped:
        kid = str(name).removeprefix(_PREFIX)
        if str(name).startswith(_PREFIX) and kid in keys.keys and isinstance(blob, bytes):
            der = store.vault.unwrap_ring_key(str(name), Wrapped(str(master_id), blob))
            private[kid] = SigningKey.from_pkcs8(keys.keys[kid].algorithm, der)
    public = {
        key.kid: VerifyingKey.of(key.kid, key.algorithm, key.public_jwk)
        for key in keys.keys.values()
        if not key.withdrawn
    }
    return _as_of(RingState(generation, keys, private, public, 0, Verified({})), 0)


def _as_of(state: RingState, now: int) -> RingState:
    """The same keys, of which those that are over verify nothing."""
    ends = {
        kid: key.published_until
        for kid, key in state.keys.keys.items()
        if kid in state.public and key.published_until is not None
    }
    good = {kid: key for kid, key in state.public.items() if now < ends.get(kid, _NEVER)}
    over_at = min((ends[kid] for kid in good if kid in ends), default=_NEVER)
    return msgspec.structs.replace(state, over_at=over_at, verified=Verified(good))
