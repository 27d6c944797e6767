"""The key ring's aggregate: which signing keys there are, and which signs when.

Public parts only; private ones are `app.vault`'s. Times in µs.
"""

from __future__ import annotations

import msgspec

from domain import commands, events
from domain.errors import Conflict
from domain.events import KeyAlgorithm
from domain.policy import REVOCATION_NOTICE, Policy
from domain.stream import Recorded

Events = tuple[events.Event, ...]


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

    @property
    def is_usable(self) -> bool:
        """Whether it may still sign, now or later."""
        return self.retired_at is None and not self.withdrawn


class SigningKeys(msgspec.Struct, frozen=True):
    """Every key since the log began, in the order in which they were added."""

    version: int = 0
    keys: dict[str, SigningKeyState] = {}

    def signer(self, now: int) -> SigningKeyState | None:
        """The key that signs at `now`: the one activated last, of those not taken away.

        By a clock that is behind the log's, where none is active yet, the first that will be.
        """
        able = [
            ((True, key.active_from) if key.active_from <= now else (False, -key.active_from), key)
            for key in self.keys.values()
            if key.active_from is not None and key.is_usable
        ]
        return max(able, key=_order)[1] if able else None

    def waiting(self, now: int) -> SigningKeyState | None:
        """The key that is to take over after `now`, if there is one."""
        for key in self.keys.values():
            if key.is_usable and key.active_from is not None and key.active_from > now:
                return key
        return None

    def succeeded(self, now: int, after: int) -> tuple[SigningKeyState, ...]:
        """The keys that another took over from at least `after` µs ago, and that aren't retired."""
        signer = self.signer(now)
        if signer is None or signer.active_from is None or signer.active_from + after > now:
            return ()
        return tuple(
            key
            for key in self.keys.values()
            if key.is_usable and key.kid != signer.kid and (key.active_from or now) < now
        )

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
            keys = _withdrawn(ring, kid, recorded.time)
        case _:
            keys = ring.keys
    return SigningKeys(recorded.version, keys)


def decide(ring: SigningKeys, command: commands.Command, policy: Policy, now: int) -> Events:
    """What follows from a wish about keys; raises `Conflict` for a key that was there before."""
    del policy
    match command:
        case commands.AddSigningKey(kid, algorithm, public_jwk):
            added = _add(ring, kid, algorithm, public_jwk)
            first = (events.SigningKeyActivated(kid, now),) if ring.signer(now) is None else ()
            return (*added, *first)
        case commands.RotateSigningKey():
            return _rotate(ring, command, now)
        case commands.RetireSigningKey(kid, after):
            retired = events.SigningKeyRetired(kid, now + REVOCATION_NOTICE)
            return (retired,) if kid in {key.kid for key in ring.succeeded(now, after)} else ()
        case _:
            msg = f"the signing keys don't decide {type(command).__name__}"
            raise TypeError(msg)


def _add(
    ring: SigningKeys, kid: str, algorithm: KeyAlgorithm, public_jwk: dict[str, str]
) -> Events:
    if kid in ring.keys:
        msg = "This signing key was added before."
        raise Conflict(msg)
    return (events.SigningKeyAdded(kid, algorithm, public_jwk),)


def _rotate(ring: SigningKeys, command: commands.RotateSigningKey, now: int) -> Events:
    """A successor that verifiers hear of before it signs; or, at once, of a key that leaked."""
    signer = ring.signer(now)
    if command.max_age is not None and signer is not None:
        since = signer.created_at if signer.active_from is None else signer.active_from
        if now - since < command.max_age:
            return ()
    if not command.at_once and ring.waiting(now) is not None:
        return ()
    added = _add(ring, command.kid, command.algorithm, command.public_jwk)
    if not command.at_once:
        return (*added, events.SigningKeyActivated(command.kid, now + command.lead))
    # It may be any that leaked: one that another took over from, too.
    there = [key.kid for key in ring.keys.values() if not key.withdrawn]
    withdrawn = (events.SigningKeyWithdrawn(kid) for kid in there)
    return (*added, events.SigningKeyActivated(command.kid, now), *withdrawn)


def _changed(ring: SigningKeys, kid: str, **changes: object) -> dict[str, SigningKeyState]:
    key = ring.keys.get(kid)
    if key is None:
        return ring.keys
    return {**ring.keys, kid: msgspec.structs.replace(key, **changes)}


def _withdrawn(ring: SigningKeys, kid: str, time: int) -> dict[str, SigningKeyState]:
    """A key that was to sign later never does."""
    key = ring.keys.get(kid)
    waited = key is not None and key.active_from is not None and key.active_from > time
    return _changed(ring, kid, withdrawn=True, **({"active_from": None} if waited else {}))


def _order(each: tuple[tuple[bool, int], SigningKeyState]) -> tuple[bool, int]:
    return each[0]
