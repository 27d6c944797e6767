"""Where a wrong proof is wrong, its refusal doesn't tell: early takes as long as late.

What goes through `hmac.compare_digest` is compared as the service does it: the MAC of a refresh
token, the hash of a secret, the seal of an archive; and a refresh token over HTTP, from the first
byte of the request to the last of the answer. Of each there are proofs that are wrong in their
first place and in their last one, in random order, each made anew for its comparison: where an
object happens to lie in memory makes a nanosecond or two, so early and late have to lie in the same
places. Times are compared by rank. Security rule 22.

What it sees is a tenth of a microsecond: a loop in Python, or work that is done only when a proof
starts rightly. Of `==` in place of `hmac.compare_digest` it sees the bare comparison of 32 bytes,
which is a control, and not for certain what is left of it beside all else that a check does. That
the service has no such `==` is for tests/app/test_comparisons.py to see, which reads them all.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from app.archive.lines import End
from app.argon2id import Argon2id
from domain.refresh_token import base62, format_refresh_token, is_genuine, parse
from tests.prove.client import Client
from tests.prove.load import Ledger, log_in, register
from tests.prove.ranks import ALIKE, TELLING, auc
from tests.prove.tally import Tally
from tests.running import running, settings

if TYPE_CHECKING:
    from app.argon2id import Hash

PROPERTY: Final = "a proof that is wrong early is refused in the time of one that is wrong late"
SIZE: Final = 20_000
OF: Final = "proofs of each kind"
STEP: Final = 20_000
SHORT: Final = 20
STORES: Final = ("sqlite",)
PASSES: Final = 5
ASKED: Final = 4
"""One of so many attempts goes over HTTP."""
LONG: Final = 4_096
"""Bytes, on which `==` takes a tenth of a microsecond longer to see that the last is wrong."""
LEAST: Final = 1_000
"""Attempts at what has to be noticed, in the short form too."""
PLAIN: Final = 0.1
"""By how much late has to be later there: `==` of what is long came to 0.46 at least, and by chance
alone 0.1 is six times as far as it usually gets."""

_KEY: Final = bytes(range(32))
_SESSION: Final = "3AAgj4DUG9MVTZKybAjLs8"
_LIGHT: Final = (8, 1)
"""Memory and passes of a hash that hides little of the comparison after it."""


def prove(url: str, count: int) -> Tally:
    """Compare `count` proofs that are wrong early with as many that are wrong late."""
    tally = Tally()
    for what, compared in _here().items():
        early, late, right = (compared.holds(compared.make(which)) for which in (0, 1, 2))
        tally.expect(right, f"{what}: a right one is refused")
        tally.expect(not early and not late, f"{what}: a wrong one is taken")
        if count >= TELLING:
            _judge(what, _later(compared, count), tally)
    _control(count, tally)
    with running(settings(url)) as server:
        asyncio.run(_ask(server.port, max(count // ASKED, 1), tally))
    tally.tried += count
    return tally


class Compared(NamedTuple):
    """A proof that is made anew each time, 0 wrong early, 1 wrong late, 2 right; and its check."""

    make: Callable[[int], Any]
    holds: Callable[[Any], bool]


def _here() -> dict[str, Compared]:
    """In this process: what is compared."""
    token = format_refresh_token(_SESSION, 1, _KEY)
    tokens = (*_wrong(token), token)
    argon2id = Argon2id()
    stored = argon2id.hash("a quiet rope", *_LIGHT)
    digests = (*_bytes_wrong(stored.digest), stored.digest)
    sealed = End(1, 1, "0" * 64, "0" * 64).sealed(_KEY)
    mac = sealed.mac or ""
    macs = (_other(mac[0]) + mac[1:], mac[:-1] + _other(mac[-1]), mac)

    def hash_of(which: int) -> Hash:
        return msgspec.structs.replace(stored, digest=bytes(bytearray(digests[which])))

    def end_of(which: int) -> End:
        return msgspec.structs.replace(sealed, mac="".join([*macs[which]]))

    return {
        "a refresh token's MAC": Compared(
            lambda which: parse(tokens[which]), lambda found: is_genuine(found, _KEY)
        ),
        "a secret's hash": Compared(hash_of, lambda found: argon2id.verify(found, "a quiet rope")),
        "an archive's seal": Compared(end_of, lambda found: found.is_sealed_by(_KEY)),
    }


def _wrong(token: str) -> tuple[str, str]:
    """The token with the first place of its MAC changed, and with the last; each sums up."""
    start, mac = token[:32], token[32:75]
    bodies = (_other(mac[0]) + mac[1:], mac[:-1] + _other(mac[-1]))
    return tuple(_summed(start + each) for each in bodies)  # type: ignore[return-value]


def _summed(text: str) -> str:
    return f"{text}{base62(zlib.crc32(text[4:].encode()), 6)}"


def _other(character: str) -> str:
    return "1" if character != "1" else "2"


def _bytes_wrong(content: bytes) -> tuple[bytes, bytes]:
    return bytes([content[0] ^ 1]) + content[1:], content[:-1] + bytes([content[-1] ^ 1])


def _times(compared: Compared, count: int, seed: int) -> tuple[list[float], list[float]]:
    """Seconds of each check, early and late in random order."""
    rng, clock, (make, holds) = random.Random(seed), time.perf_counter, compared
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(count):
        for which in rng.sample((0, 1), 2):
            proof = make(which)
            started = clock()
            holds(proof)
            found[which].append(clock() - started)
            del proof  # so that the next one lies where it lay
    return found


def _later(compared: Compared, count: int) -> float:
    """By how much late is later: the AUC less a half, in the middle of several passes.

    A real difference is in each of them; one that comes of what lies where is in some.
    """
    passes = (_times(compared, count // PASSES, seed) for seed in range(PASSES))
    return statistics.median(auc(late, early) - 0.5 for early, late in passes)


def _judge(what: str, later: float, tally: Tally) -> None:
    tally.figure(f"{what}, late against early, AUC less a half", abs(later))
    tally.expect(abs(later) <= ALIKE, f"{what}: late can be told from early: {later:.3f}")


def _control(count: int, tally: Tally) -> None:
    """`==`, which stops at the first difference, on what is long; how it is on a proof is told."""
    later = _later(_equal(LONG), max(count, LEAST))
    tally.control("== of what is long", noticed=later > PLAIN)
    if count >= TELLING:
        later = _later(_equal(len(_KEY)), count)
        tally.figure("== of 32 bytes, late against early, AUC less a half", later)
        tally.control("== of 32 bytes", noticed=later > ALIKE)


def _equal(size: int) -> Compared:
    """Comparisons of so many bytes by `==`."""
    right = random.Random(size).randbytes(size)
    proofs = (*_bytes_wrong(right), right)
    return Compared(lambda which: bytes(bytearray(proofs[which])), lambda found: found == right)


async def _ask(port: int, count: int, tally: Tally) -> None:
    """The same of a genuine session's token, at the service."""
    ledger, rng = Ledger(), random.Random(count)
    times: tuple[list[float], list[float]] = ([], [])
    async with Client(port) as client:
        user_key = await register(client, ledger) or ""
        token = await log_in(client, ledger, user_key) or ""
        wrong = _wrong(token)
        for number in range(-1, count):
            for which in rng.sample((0, 1), 2):
                answer = await client.post("/refresh", refresh_token=wrong[which])
                tally.expect(answer.status == 401, f"a forged token: {answer.status}")
                if number >= 0:
                    times[which].append(answer.seconds)
        right = await client.post("/refresh", refresh_token=token)
        tally.expect(right.status == 200, f"the right token: {right.status}")
    if count >= TELLING:
        _judge("a refresh token over HTTP", auc(times[1], times[0]) - 0.5, tally)
