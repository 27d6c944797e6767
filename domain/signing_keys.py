"""The key ring's aggregate: which signing keys there are, and which signs when.

Public parts only; private ones are `app.vault`'s. Times in µs.
"""

from __future__ import annotations

import msgspec

from domain import commands, events
from domain.errors import Conflict
from domain.events import KeyAlgorithm
from domain.policy import Policy
from domain.stream import Recorded


class SigningKeyState(msgspec.Struct, frozen=True):
    """One key: added, then active from a time on, then retired or withdrawn."""

    kid: str
    algorithm: KeyAlgorithm
    public_jwk: dict[str, str]
    created_at: int
    active_from: int | None = None
    retired_at: int | None = None
    published_until: int | None = None
    withdrawn: bool = False


class SigningKeys(msgspec.Struct, frozen=True):
    """Every key since the log began, in the order in which they were added."""

    version: int = 0
    keys: dict[str, SigningKeyState] = {}

    def signer(self, now: int) -> SigningKeyState | None:
        """The key that signs at `now`: the one activated last, of those not taken away.

        By a clock that is behind the log's, where none is active yet, the first that will be.
        """
        able = [
            (key.active_from, key)
            for key in self.keys.values()
            if key.active_from is not None and key.retired_at is None and not key.withdrawn
        ]
        active = [each for each in able if each[0] <= now]
        chosen = max(active, key=_since) if active else min(able, key=_since, default=None)
        return None if chosen is None else chosen[1]

    def published(self, now: int) -> tuple[SigningKeyState, ...]:
        """The keys that verifiers need at `now`: next, active, and retired not long ago."""
        return tuple(
            key
            for key in self.keys.values()
            if not key.withdrawn and (key.published_until is None or now < key.published_until)
        )


def evolve(ring: SigningKeys, recorded: Recorded) -> SigningKeys:
    """The ring after one more event."""
    match recorded.event:
        case events.SigningKeyAdded(kid, algorithm, public_jwk):
            added = SigningKeyState(kid, algorithm, public_jwk, recorded.time)
            keys = {**ring.keys, kid: added}
        case events.SigningKeyActivated(kid, from_):
            keys = _changed(ring, kid, active_from=from_)
        case events.SigningKeyRetired(kid, published_until):
            keys = _changed(ring, kid, retired_at=recorded.time, published_until=published_until)
        case events.SigningKeyWithdrawn(kid):
            keys = _changed(ring, kid, withdrawn=True)
        case _:
            keys = ring.keys
    return SigningKeys(recorded.version, keys)


def decide(
    ring: SigningKeys, command: commands.Command, policy: Policy, now: int
) -> tuple[events.Event, ...]:
    """What follows from a wish about keys; raises `Conflict` for a key that was there before."""
    del policy
    match command:
        case commands.AddSigningKey(kid, algorithm, public_jwk):
            if kid in ring.keys:
                msg = "This signing key was added before."
                raise Conflict(msg)
            added: tuple[events.Event, ...] = (events.SigningKeyAdded(kid, algorithm, public_jwk),)
            if ring.signer(now) is None:
                return (*added, events.SigningKeyActivated(kid, now))
            return added
        case _:
            msg = f"the signing keys don't decide {type(command).__name__}"
            raise TypeError(msg)


def _changed(ring: SigningKeys, kid: str, **changes: object) -> dict[str, SigningKeyState]:
    key = ring.keys.get(kid)
    if key is None:
        return ring.keys
    return {**ring.keys, kid: msgspec.structs.replace(key, **changes)}


def _since(each: tuple[int, SigningKeyState]) -> int:
    return each[0]
