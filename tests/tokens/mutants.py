"""Mutants of a genuine access token, each wrong in one thing and, if it can be, rightly signed.

A `Genuine` is a token that a service has given and that it still accepts. Knows no service.
"""

from __future__ import annotations

import base64
import hmac
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from app.tokens.signing import SigningKey
from tests.tokens.forging import b64, compact, forge, shared_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

YEAR_S: Final = 365 * 86_400
SLACK_S: Final = 600
"""More than any clock may be off by."""
NEAR: Final = "another character of the signature"
OUT_OF_TIME: Final = "all moments moved"
NEXT_TO: Final = ("alg 'none'", "typ 'JWT'", "kid 'x'", "no exp", "aud 'other'", "iss 'other'")
"""What a verifier that passes over one member of a token accepts."""

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_NONE: Final[tuple[Any, ...]] = (
    "none",
    "None",
    "NONE",
    "nOnE",
    "NoNe",
    "none ",
    " none",
    "no\0ne",
    "",
    "null",
    None,
)
_ALGORITHMS: Final[tuple[Any, ...]] = (
    *("HS256", "ES256", "ES256K", "ES384", "EdDSA", "Ed25519", "RS256", "RS512", "PS256", "dir"),
    *("es256", "ES256 ", 256, True, ["ES256"], {"alg": "ES256"}),
)
_MEMBERS: Final[tuple[dict[str, Any], ...]] = (
    {"jku": "https://evil.example/jwks.json"},
    {"jku": "file:///etc/passwd"},
    {"x5u": "https://evil.example/chain.pem"},
    {"x5c": ["MIIB"]},
    {"jwk": {"kty": "oct", "k": "c2VjcmV0"}},
    {"crit": ["exp"]},
    {"crit": ["b64"], "b64": False},
    {"crit": []},
    {"b64": False},
    {"b64": True},
    {"zip": "DEF"},
    {"enc": "A128GCM"},
    {"cty": "JWT"},
    {"__proto__": {}},
)
_TYPES: Final = ("JWT", "jwt", "at+JWT", "application/at+jwt", "id_token", "", None, 1)
_KIDS: Final[tuple[Any, ...]] = (
    *("", "x", "../../../../dev/null", "' OR 1=1 --", "\0", "a" * 5000, None, 0, True, [], {}),
    *("https://evil.example/key", "%s%n", "key|/bin/true"),
)
_MOMENTS: Final = ("iat", "exp", "auth_time")
_OPEN: Final = ("scope", "user_id")
"""Texts that may be anything."""
_CLAIMS: Final = (*_MOMENTS, *_OPEN, "iss", "sub", "aud", "jti", "client_id", "sid")
_TIMES: Final[tuple[Any, ...]] = (
    *("1800000000", 1.5, True, None, [], -1, 2**53, 2**63, 2**64, 10**400),
)


class Genuine(NamedTuple):
    """A token that is accepted, and the key that signed it."""

    token: str
    key: SigningKey

    @property
    def header(self) -> dict[str, Any]:
        """What it says of itself."""
        return _read(self.token.split(".")[0])

    @property
    def claims(self) -> dict[str, Any]:
        """What it says of its user."""
        return _read(self.token.split(".")[1])

    def signed(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        """Another token of the same key; with nothing changed, as good as this one."""
        return forge(self.key, compact(header), compact(claims))


def mutants(genuine: Genuine) -> Iterator[tuple[str, str]]:
    """What is wrong with each, and the mutant."""
    for family in (_headers, _macs, _foreign_keys, _claims, _spellings, _forms):
        for number, (what, token) in enumerate(family(genuine)):
            yield f"{family.__name__[1:]} {number}: {what}", token


def _headers(genuine: Genuine) -> Iterator[tuple[str, str]]:
    header, claims = genuine.header, genuine.claims
    for alg in _NONE:
        token = genuine.signed(header | {"alg": alg}, claims)
        yield f"alg {alg!r}", token
        yield f"alg {alg!r}, unsigned", token.rpartition(".")[0] + "."
    for alg in _ALGORITHMS:
        if alg != header["alg"]:
            yield f"alg {alg!r}", genuine.signed(header | {"alg": alg}, claims)
    for member in _MEMBERS:
        yield f"with {member!r}", genuine.signed(header | member, claims)
    for typ in _TYPES:
        yield f"typ {typ!r}", genuine.signed(header | {"typ": typ}, claims)
    for kid in (*_KIDS, header["kid"].swapcase(), header["kid"] + "=", header["kid"][:-1]):
        yield f"kid {str(kid)[:40]!r}", genuine.signed(header | {"kid": kid}, claims)
    for name in header:
        less = {each: value for each, value in header.items() if each != name}
        yield f"no {name}", genuine.signed(less, claims)


def _macs(genuine: Genuine) -> Iterator[tuple[str, str]]:
    """HMACs with whatever of the public key may be taken for a shared secret."""
    for alg in ("HS256", genuine.key.algorithm):
        header = compact(genuine.header | {"alg": alg})
        signed = f"{b64(header)}.{b64(compact(genuine.claims))}"
        for secret in shared_secrets(genuine.key):
            mac = hmac.new(secret, signed.encode(), "sha256").digest()
            yield f"an HMAC, alg {alg}", f"{signed}.{b64(mac)}"


def _foreign_keys(genuine: Genuine) -> Iterator[tuple[str, str]]:
    other = SigningKey.generate("ES256")
    embedded = {"jwk": dict(other.public_jwk())}
    for kid in (other.kid, genuine.key.kid):
        for more in ({}, embedded):
            header = genuine.header | {"alg": "ES256", "kid": kid} | more
            token = forge(other, compact(header), compact(genuine.claims))
            yield f"another key, {'embedded' if more else 'not told'}", token


def _claims(genuine: Genuine) -> Iterator[tuple[str, str]]:
    header, claims = genuine.header, genuine.claims
    for name in _CLAIMS:
        less = {each: value for each, value in claims.items() if each != name}
        yield f"no {name}", genuine.signed(header, less)
        values = _TIMES if name in _MOMENTS else (None, 1, True, [], {})
        values += ("", "other") if name not in {*_MOMENTS, *_OPEN} else ()
        for value in values:
            yield f"{name} {str(value)[:30]!r}", genuine.signed(header, claims | {name: value})
    for name in ("iat", "exp"):
        for shift in (-YEAR_S, YEAR_S):
            moved = claims | {name: claims[name] + shift}
            yield f"{name} moved by {shift} s", genuine.signed(header, moved)
    life = claims["exp"] - claims["iat"]
    for shift in (-YEAR_S, -life - SLACK_S, SLACK_S + life, YEAR_S):
        # As it was given in due form, at another time.
        moved = claims | {name: claims[name] + shift for name in _MOMENTS}
        yield f"{OUT_OF_TIME} by {shift} s", genuine.signed(header, moved)
    yield "not before tomorrow", genuine.signed(header, claims | {"nbf": claims["exp"] + 86_400})
    yield "a list of audiences", genuine.signed(header, claims | {"aud": [claims["aud"], "other"]})
    yield "more scope", genuine.signed(header, claims | {"admin": True})


def _spellings(genuine: Genuine) -> Iterator[tuple[str, str]]:
    """Other spellings of the same header and claims, signed as they are spelled."""
    header, claims = compact(genuine.header), compact(genuine.claims)
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"):
        other = claims.decode().encode(encoding)
        yield f"claims in {encoding}", forge(genuine.key, header, other)
        yield f"all in {encoding}", forge(genuine.key, header.decode().encode(encoding), other)
    for what, text in (
        ("a space before", b" " + claims),
        ("a line end", claims + b"\n"),
        ("twice", claims + claims),
        ("in a list", b"[" + claims + b"]"),
        ("an open end", claims[:-1]),
        ("a repeated member", b'{"sub":"uk_other",' + claims[1:]),
        ("deep", claims[:-1] + b',"x":' + b"[" * 1000 + b"]" * 1000 + b"}"),
        ("a lone surrogate", claims.replace(b'":"', b'":"\xed\xa0\x80', 1)),
        ("no UTF-8", claims.replace(b'":"', b'":"\xff', 1)),
        ("nothing", b""),
    ):
        yield what, forge(genuine.key, header, text)


def _forms(genuine: Genuine) -> Iterator[tuple[str, str]]:
    """The genuine token, written otherwise."""
    head, body, signature = genuine.token.split(".")
    flat = {"protected": head, "payload": body, "signature": signature}
    general = {"payload": body, "signatures": [{"protected": head, "signature": signature}]}
    yield "flattened JSON", json.dumps(flat)
    yield "general JSON", json.dumps(general)
    yield "in quotes", json.dumps(genuine.token)
    yield "five parts", f"{genuine.token}.{signature}.{signature}"
    yield "four parts", f"{genuine.token}.{signature}"
    yield "detached", f"{head}..{signature}"
    yield "unsigned", f"{head}.{body}."
    yield "two parts", f"{head}.{body}"
    yield "the parts in another order", f"{body}.{head}.{signature}"
    yield (
        "another signature",
        f"{head}.{body}.{b64(bytes(len(base64.b64decode(_padded(signature)))))}",
    )
    yield "half a signature", f"{head}.{body}.{signature[: len(signature) // 2]}"
    yield "a signature too long", f"{head}.{body}.{signature}AAAA"
    for place in range(3):
        for tail in ("=", "==", "%3D", "\n", " ", "A"):
            parts = [head, body, signature]
            parts[place] += tail
            yield f"{tail!r} after part {place}", ".".join(parts)
    yield from _near_signatures(genuine)
    yield from _trailing_bits(genuine)


def _near_signatures(genuine: Genuine) -> Iterator[tuple[str, str]]:
    """The genuine token but for one character of its signature: it may be remembered."""
    token = genuine.token
    length = len(token) - token.rindex(".") - 1
    for back in (*range(1, 9), length // 2, length - 1, length):
        at = len(token) - back
        other = _ALPHABET[(_ALPHABET.index(token[at]) + 1) % len(_ALPHABET)]
        yield f"{NEAR}, {back} before its end", token[:at] + other + token[at + 1 :]


def _trailing_bits(genuine: Genuine) -> Iterator[tuple[str, str]]:
    for place, part in enumerate(genuine.token.split(".")):
        unused = {0: 0, 2: 4, 3: 2}[len(part) % 4]
        for bits in range(1, 1 << unused):
            parts = genuine.token.split(".")
            parts[place] = part[:-1] + _ALPHABET[_ALPHABET.index(part[-1]) + bits]
            yield f"trailing bits {bits} of part {place}", ".".join(parts)


def _read(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(_padded(part)))
    return found


def _padded(part: str) -> str:
    return part.replace("-", "+").replace("_", "/") + "=" * (-len(part) % 4)
