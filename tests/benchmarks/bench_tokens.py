"""What signing and verifying an access token costs beside the bare signature.

For each algorithm: `cryptography` alone on the same bytes, PyJWT's algorithm object, the service,
and PyJWT's `encode` and `decode`; all with parsed keys, interleaved (A B C D, A B C D, …), so that
a busy machine slows all of them alike. Run as `python -m tests.benchmarks.bench_tokens`.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, get_args

import jwt
import msgspec
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key

from app.tokens.access_token import Claims, new_jti, sign, verify
from app.tokens.signing import Algorithm, SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable

ISSUER = "https://auth.example"
CALLS = {"ES256": 200, "EdDSA": 200, "RS256": 10}
"""Calls timed together, so that the clock's own cost vanishes."""

Case = tuple[str, "Callable[[], object]"]


def claims_at(now: int) -> Claims:
    """Give claims of the usual size; `now` is in seconds."""
    return Claims(
        iss=ISSUER,
        sub="uk_06bj3v8q2s4x7z9abcdefghjkm",
        aud=ISSUER,
        iat=now,
        exp=now + 3600,
        jti=new_jti(),
        client_id="uk_06bj3v8q2s4x7z9abcdefghjkm",
        sid="0aZ3kPq8TnVbXy12LmWdRs",
        user_id="ada.lovelace@example.org",
        auth_time=now,
        scope="users:read users:write",
    )


def cases(algorithm: Algorithm) -> tuple[list[Case], list[Case]]:
    """Give the ways to sign and the ways to verify; the first of each is the bare one."""
    key = SigningKey.generate(algorithm)
    private = load_der_private_key(key.to_pkcs8(), password=None)
    public = private.public_key()
    library = jwt.get_algorithm_by_name(algorithm)
    now = int(time.time())
    claims = claims_at(now)
    as_dict = msgspec.to_builtins(claims)
    token = sign(claims, key)
    data = token.rpartition(".")[0].encode()
    raw = key.sign(data)
    trusted = {key.kid: key.verifying_key}
    headers = {"typ": "at+jwt", "kid": key.kid}

    bare_sign: Callable[[], object]
    bare_verify: Callable[[], object]
    if isinstance(private, EllipticCurvePrivateKey) and isinstance(public, EllipticCurvePublicKey):
        ecdsa = ECDSA(SHA256())
        der = private.sign(data, ecdsa)
        bare_sign = partial(private.sign, data, ecdsa)
        bare_verify = partial(public.verify, der, data, ecdsa)
    elif isinstance(private, Ed25519PrivateKey) and isinstance(public, Ed25519PublicKey):
        bare_sign = partial(private.sign, data)
        bare_verify = partial(public.verify, raw, data)
    elif isinstance(private, RSAPrivateKey) and isinstance(public, RSAPublicKey):
        pkcs1, digest = PKCS1v15(), SHA256()
        bare_sign = partial(private.sign, data, pkcs1, digest)
        bare_verify = partial(public.verify, raw, data, pkcs1, digest)
    else:
        raise TypeError(algorithm)

    signing: list[Case] = [
        ("bare cryptography", bare_sign),
        ("PyJWT algorithm object", lambda: library.sign(data, private)),
        ("gatebook, whole token", lambda: sign(claims, key)),
        ("PyJWT encode", lambda: jwt.encode(as_dict, private, algorithm, headers)),
    ]
    verifying: list[Case] = [
        ("bare cryptography", bare_verify),
        ("PyJWT algorithm object", lambda: library.verify(data, public, raw)),
        (
            "gatebook, whole token",
            lambda: verify(
                token, keys=trusted, issuer=ISSUER, audience=ISSUER, now=now * 1_000_000
            ),
        ),
        (
            "PyJWT decode",
            lambda: jwt.decode(token, public, [algorithm], audience=ISSUER, issuer=ISSUER),
        ),
    ]
    return signing, verifying


def measure(ways: list[Case], calls: int, rounds: int) -> dict[str, list[float]]:
    """Time all ways once a round; the figures are µs of CPU a call."""
    figures: dict[str, list[float]] = {name: [] for name, _ in ways}
    for _, call in ways:
        call()
    for _ in range(rounds):
        for name, call in ways:
            started = time.process_time_ns()
            for _ in range(calls):
                call()
            figures[name].append((time.process_time_ns() - started) / calls / 1000)
    return figures


def report(what: str, figures: dict[str, list[float]]) -> None:
    """Print median, quartiles, least, and the median ratio to the bare one, round by round."""
    bare = next(iter(figures.values()))
    for name, values in figures.items():
        low, middle, high = statistics.quantiles(values, n=4)
        ratio = statistics.median(one / other for one, other in zip(values, bare, strict=True))
        row = " ".join(f"{figure:9.1f}" for figure in (middle, low, high, min(values)))
        print(f"{what:14} {name:24} {row} {ratio:7.2f}")


def main() -> None:
    """Run all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=25)
    rounds: int = parser.parse_args().rounds
    packages = ", ".join(f"{name} {version(name)}" for name in ("cryptography", "PyJWT", "msgspec"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}")
    print(f"Python {platform.python_version()}, {packages}, {backend.openssl_version_text()}")
    print(f"n = {rounds} rounds of {CALLS} calls; µs of CPU a call\n")
    print(f"{'':39} {'median':>9} {'25 %':>9} {'75 %':>9} {'least':>9} {'to bare':>7}")
    for algorithm in get_args(Algorithm):
        for what, ways in zip(("sign", "verify"), cases(algorithm), strict=True):
            figures = measure(ways, CALLS[algorithm], rounds)
            report(f"{algorithm} {what}", figures)


if __name__ == "__main__":
    main()
