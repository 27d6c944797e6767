"""Where a wrong proof is wrong, its refusal doesn't tell: early takes as long as late.

What goes through `hmac.compare_digest` is compared as the service does it: the MAC of a refresh
token, the hash of a secret, the seal of an archive; and a refresh token over HTTP, from the first
byte of the request to the last of the answer. Of each there are proofs that are wrong in their
first place and in their last one, in random order. Times are compared by rank, as by `alike`.
Security rule 22.

What it sees is a tenth of a microsecond: a loop in Python, or work that is done only when a proof
starts rightly. What it doesn't is `==` in place of `hmac.compare_digest` on proofs as short as
these, of 32 bytes or 43 characters: the processor compares those in a few nanoseconds, and where
two objects lie in memory makes as much. So the control is `==` on what is long enough for it, and
that the service has no such `==` is for tests/app/test_comparisons.py to see, which reads them all.
"""

from __future__ import annotations

import asyncio
import random
import time
import zlib
from typing import TYPE_CHECKING, Final

import msgspec

from app.archive.lines import End
from app.argon2id import Argon2id
from domain.refresh_token import base62, format_refresh_token, is_genuine, parse
from tests.prove.alike import ALIKE, auc
from tests.prove.client import Client
from tests.prove.load import Ledger, log_in, register
from tests.prove.tally import Tally
from tests.running import running, settings

if TYPE_CHECKING:
    from collections.abc import Callable

PROPERTY: Final = "a proof that is wrong early is refused in the time of one that is wrong late"
SIZE: Final = 20_000
OF: Final = "proofs of each kind"
STEP: Final = 20_000
SHORT: Final = 20
STORES: Final = ("sqlite",)
TELLING: Final = 5_000
"""Attempts of a kind from which on times say something."""
ASKED: Final = 4
"""One of so many attempts goes over HTTP."""
LONG: Final = 4_096
"""Bytes, on which `==` takes a tenth of a microsecond longer to see that the last is wrong."""
LEAST: Final = 1_000
"""Attempts at what has to be noticed, in the short form too: by chance alone their AUC is further
than 0.052 from a half once in 15,000 times."""
PLAIN: Final = 0.1
"""By how much late has to be later there. Of 1,000 tries on a busy machine, `==` came to 0.25 at
least, and `hmac.compare_digest` to 0.07 at most, by where the proofs lay in memory."""

_KEY: Final = bytes(range(32))
_SESSION: Final = "3AAgj4DUG9MVTZKybAjLs8"
_LIGHT: Final = (8, 1)
"""Memory and passes of a hash that hides little of the comparison after it."""


def prove(url: str, count: int) -> Tally:
    """Compare `count` proofs that are wrong early with as many that are wrong late."""
    tally = Tally()
    for what, (early, late, right) in _here().items():
        tally.expect(right(), f"{what}: a right one is refused")
        tally.expect(not early() and not late(), f"{what}: a wrong one is taken")
        _judge(what, *_times(early, late, count), tally)
    _control(count, tally)
    with running(settings(url)) as server:
        asyncio.run(_ask(server.port, max(count // ASKED, 1), tally))
    tally.tried += count
    return tally


_Comparison = tuple["Callable[[], bool]", "Callable[[], bool]", "Callable[[], bool]"]


def _here() -> dict[str, _Comparison]:
    """In this process: by what is compared, one that is wrong early, one late, and a right one."""
    token = format_refresh_token(_SESSION, 1, _KEY)
    tokens = [parse(each) for each in (*_wrong(token), token)]
    argon2id = Argon2id()
    stored = argon2id.hash("a quiet rope", *_LIGHT)
    hashes = [
        msgspec.structs.replace(stored, digest=each)
        for each in (*_bytes_wrong(stored.digest), stored.digest)
    ]
    sealed = End(1, 1, "0" * 64, "0" * 64).sealed(_KEY)
    mac = sealed.mac or ""
    ends = [
        msgspec.structs.replace(sealed, mac=each)
        for each in (_other(mac[0]) + mac[1:], mac[:-1] + _other(mac[-1]), mac)
    ]

    def three(of: Callable[[int], bool]) -> _Comparison:
        return (lambda: of(0), lambda: of(1), lambda: of(2))

    def token_is_genuine(which: int) -> bool:
        found = tokens[which]
        return found is not None and is_genuine(found, _KEY)

    return {
        "a refresh token's MAC": three(token_is_genuine),
        "a secret's hash": three(lambda which: argon2id.verify(hashes[which], "a quiet rope")),
        "an archive's seal": three(lambda which: ends[which].is_sealed_by(_KEY)),
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


def _times(
    early: Callable[[], bool], late: Callable[[], bool], count: int
) -> tuple[list[float], list[float]]:
    """Seconds of each call, the two in random order."""
    rng, clock, calls = random.Random(count), time.perf_counter, (early, late)
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(count):
        for which in rng.sample((0, 1), 2):
            started = clock()
            calls[which]()
            found[which].append(clock() - started)
    return found


def _judge(what: str, early: list[float], late: list[float], tally: Tally) -> None:
    if len(early) < TELLING:
        return
    distance = abs(auc(late, early) - 0.5)
    tally.figure(f"{what}, late against early, AUC less a half", distance)
    tally.expect(distance <= ALIKE, f"{what}: late can be told from early: {distance:.3f}")


def _control(count: int, tally: Tally) -> None:
    """`==`, which stops at the first difference, on what is long; how it is on a proof is told."""
    early, late = _times(*_equal(LONG), max(count, LEAST))
    tally.control("== of what is long", noticed=auc(late, early) - 0.5 > PLAIN)
    if count >= TELLING:
        early, late = _times(*_equal(len(_KEY)), count)
        distance = abs(auc(late, early) - 0.5)
        tally.figure("(not judged) == of 32 bytes, late against early, AUC less a half", distance)


def _equal(size: int) -> tuple[Callable[[], bool], Callable[[], bool]]:
    """Comparisons of so many bytes by `==`: wrong in the first place, and in the last."""
    right = random.Random(size).randbytes(size)
    early, late = _bytes_wrong(right)
    return (lambda: early == right), (lambda: late == right)


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
    _judge("a refresh token over HTTP", *times, tally)
