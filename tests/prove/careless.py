"""Verifiers as they were written before they were attacked: each accepts mutants of its own kind.

Knows what each doesn't look at, and no service.
"""

from __future__ import annotations

import base64
import hmac
import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import jwt
from cryptography.hazmat.primitives.serialization import load_der_private_key

from tests.tokens.forging import shared_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from app.tokens.signing import SigningKey
    from tests.tokens.mutants import Genuine

    Accept = Callable[[Genuine, str], bool]

_UNCHECKED: Final[Mapping[str, bool]] = dict.fromkeys(
    ("verify_exp", "verify_aud", "verify_iss", "verify_iat", "verify_nbf", "verify_jti"), False
)


def accepted(genuine: Genuine, tokens: Iterable[str]) -> dict[str, int]:
    """How many of the tokens each of them takes."""
    given = [*tokens]
    return {
        name: sum(_taken(accept, genuine, token) for token in given)
        for name, accept in _CARELESS.items()
    }


def _taken(accept: Accept, genuine: Genuine, token: str) -> bool:
    try:
        return accept(genuine, token)
    except (ValueError, KeyError, IndexError, AttributeError, TypeError, RecursionError):
        return False
    except (jwt.PyJWTError, OverflowError):
        return False


def _believes(_: Genuine, token: str) -> bool:
    """Without a signature, where the header says so."""
    alg = str(_header(token)["alg"])
    return alg.lower().strip() == "none" and bool(jwt.decode(token, options=_no_signature()))


def _shares(genuine: Genuine, token: str) -> bool:
    """By the algorithm that the header names, with the key that there is."""
    data, _, signature = token.rpartition(".")
    return _header(token)["alg"] == "HS256" and any(
        hmac.compare_digest(hmac.new(secret, data.encode(), "sha256").digest(), _bytes(signature))
        for secret in shared_secrets(genuine.key)
    )


def _takes_the_key(_: Genuine, token: str) -> bool:
    """With the key that comes with it."""
    key = jwt.PyJWK(_header(token)["jwk"])
    options: Any = {**_UNCHECKED}
    return bool(jwt.decode(token, key, algorithms=["ES256"], options=options))


def _looks_at_the_signature_alone(genuine: Genuine, token: str) -> bool:
    """Of which kind, for whom and from when on it is, is not asked."""
    options: Any = {**_UNCHECKED}
    algorithms = [genuine.key.algorithm]
    return bool(jwt.decode(token, _public(genuine.key), algorithms=algorithms, options=options))


@cache
def _public(key: SigningKey) -> Any:
    """Once a key: to load one of RSA takes a tenth of a second."""
    return load_der_private_key(key.to_pkcs8(), password=None).public_key()


def _no_signature() -> Any:
    return {"verify_signature": False}


def _header(token: str) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(_bytes(token.split(".", maxsplit=1)[0]))
    return header


def _bytes(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


_CARELESS: Final[Mapping[str, Accept]] = {
    "a verifier that takes none for an algorithm": _believes,
    "a verifier that takes a public key for a shared one": _shares,
    "a verifier that takes the key which comes along": _takes_the_key,
    "a verifier that looks at the signature alone": _looks_at_the_signature_alone,
}
