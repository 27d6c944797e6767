"""Mutants of a genuine access token by chance: none is one that the service wrote.

Knows no service.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from app.tokens.signing import SigningKey
from tests.tokens.forging import b64, compact, forge

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.tokens.mutants import Genuine


def by_chance(
    genuine: Genuine, other: Genuine, rng: random.Random, number: int
) -> Iterator[tuple[str, str]]:
    """What was done, and the mutant; so many. `other` is another token of the same key."""
    thief = SigningKey.generate(genuine.key.algorithm) if number else genuine.key
    made = 0
    while made < number:
        what, token = _mutant(genuine, other, thief, rng)
        # Nothing was changed, or the whole of the one became the other.
        if token not in {genuine.token, other.token}:
            yield what, token
            made += 1


def _mutant(
    genuine: Genuine, other: Genuine, thief: SigningKey, rng: random.Random
) -> tuple[str, str]:
    parts = genuine.token.split(".")
    place, token = rng.randrange(3), genuine.token
    at = rng.randrange(len(token))
    match rng.randrange(8):
        case 0:
            flipped = bytearray(_bytes(parts[place]))
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
            parts[place] = b64(bytes(flipped))
            return "a bit", ".".join(parts)
        case 1:
            letter = chr(rng.choice((rng.randrange(0x20, 0x7F), rng.randrange(0x80, 0x3000))))
            return "a letter", token[:at] + letter + token[at + 1 :]
        case 2:
            parts[place] = other.token.split(".")[place]
            return "a part of another token", ".".join(parts)
        case 3:
            raw = _bytes(parts[place])
            cut = rng.randrange(len(raw))
            parts[place] = b64(rng.choice((raw[:cut], raw[cut:], raw + raw[:cut], raw[::-1])))
            return "a part cut", ".".join(parts)
        case 4:
            end = at + rng.randrange(1, 60)
            return "a piece left out", token[:at] + token[end:]
        case 5:
            return "a piece put in", token[:at] + token[at : at + 40] + token[at:]
        case 6:
            claims = genuine.claims | {"scope": "admin", "user_id": "admin"}
            return "a thief's", forge(thief, compact(genuine.header), compact(claims))
        case _:
            claims = genuine.claims | {"scope": "admin"}
            parts[1] = b64(compact(claims))
            return "other claims under the signature", ".".join(parts)


def _bytes(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
