"""What it costs a service to know its caller: our client beside PyJWT and joserfc.

All with parsed keys, on one token of each algorithm, alternated (A B C, A B C, …), so that a busy
machine slows all of them alike. The mark is that the client costs no more than PyJWT's own
`decode`, although it checks more: the header's exact members, one spelling of everything, the
session. Run as `python -m tests.benchmarks verifying`.
"""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Callable
from typing import Final, cast

import httpx
import jwt
import msgspec
from joserfc import jwt as joserfc_jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import import_key

from app.tokens.access_token import sign
from app.tokens.signing import Algorithm, SigningKey
from gatebook_client import Verifier
from gatebook_client.jwks import PATH as KEYS
from gatebook_client.testing import FakeIssuer
from tests.benchmarks.bench_tokens import CALLS, ISSUER, Case, claims_at, measure
from tests.benchmarks.figures import SAID, Summary, Verdict, ratios, summary, verdict

TARGET: Final = 1.0
"""At most, of what PyJWT's decode costs."""
OURS: Final = "gatebook-client verify"
PYJWT: Final = "PyJWT decode"


class Verifying(msgspec.Struct, frozen=True):
    """µs of CPU a call, by who verifies; and ours over PyJWT's, round by round."""

    algorithm: str
    costs: dict[str, Summary]
    ratio: Summary

    @property
    def verdict(self) -> Verdict:
        """Whether the median ratio is no more than the target."""
        return verdict(self.ratio, TARGET)

    def lines(self) -> list[str]:
        """What to print."""
        rows = [
            f"{self.algorithm:6} {name:24} {each.median:9.1f} {each.least:9.1f} {each.most:9.1f}"
            for name, each in self.costs.items()
        ]
        ratio = (self.ratio.median, self.ratio.least, self.ratio.most)
        figures = " ".join(f"{each:9.3f}" for each in ratio)
        name = "ratio to PyJWT decode"
        rows.append(
            f"{self.algorithm:6} {name:24} {figures}   target {TARGET}: {SAID[self.verdict]}"
        )
        return rows


def title(rounds: int) -> list[str]:
    """What stands above."""
    calls = ", ".join(f"{number} ({name})" for name, number in CALLS.items())
    columns = " ".join(f"{each:>9}" for each in ("median", "least", "most"))
    said = f"Verifying an access token, µs of CPU a call, n = {rounds} rounds of {calls} calls"
    return [
        f"{said}, on {platform.machine()}",
        f"{'':31} {columns}",
    ]


def run(algorithm: Algorithm, calls: int, rounds: int) -> Verifying:
    """Measure one algorithm."""
    with warnings.catch_warnings():
        # joserfc says that EdDSA has a newer name.
        warnings.simplefilter("ignore", SecurityWarning)
        figures = measure(cases(algorithm), calls, rounds)
    costs = {name: summary(values) for name, values in figures.items()}
    return Verifying(algorithm, costs, ratios(figures[OURS], figures[PYJWT]))


def cases(algorithm: Algorithm) -> list[Case]:
    """Who verifies, and how."""
    key = SigningKey.generate(algorithm)
    now = int(time.time())
    token = sign(claims_at(now), key)
    jwk: dict[str, str | list[str]] = {**key.public_jwk()}
    public = jwt.PyJWK(jwk).key

    issuer = FakeIssuer(ISSUER)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == KEYS:
            return httpx.Response(200, json={"keys": [jwk]})
        return cast("httpx.Response", issuer.transport.handler(request))

    # As it is unless it is told otherwise: it follows the issuer's revocations beside the work.
    verifier = Verifier(ISSUER, transport=httpx.MockTransport(answer))
    library = import_key(jwk)
    registry = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": ISSUER}
    )

    def by_joserfc() -> None:
        registry.validate(joserfc_jwt.decode(token, library, algorithms=[algorithm]).claims)

    ours: Callable[[], object] = lambda: verifier.verify(token)  # noqa: E731 - beside the others
    return [
        (PYJWT, lambda: jwt.decode(token, public, [algorithm], audience=ISSUER, issuer=ISSUER)),
        (OURS, ours),
        ("joserfc decode, validate", by_joserfc),
    ]
