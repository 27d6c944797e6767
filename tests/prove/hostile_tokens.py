"""Mutants of genuine access tokens: refused by the service and by both clients' verifiers.

Of a token that a running service gave, and remembers all the while, each known mutant, signed by
the service's own key where only something else is wrong, and many by chance: shown as a bearer,
introspected, and verified offline with the keys that the service publishes. None is accepted, none
is a fault, and the service's memory is as before. The service has no leeway, so that it is also
shown what expired a second ago, and what is just beyond a limit. Security rules 8 and 13. The
controls: the genuine token is accepted everywhere, and verifiers that are careless in one thing
each take mutants of that kind.
"""

from __future__ import annotations

import json
import random
import secrets
import subprocess
import time
from typing import TYPE_CHECKING, Final

import httpx

from app.tokens.access_token import MAX_LEEWAY, MAX_LIFETIME
from gatebook_client import TokenRefused, Verifier
from tests.clients_javascript import package
from tests.http.genuine import genuine_of, is_a_header
from tests.http.people import WAIT, People
from tests.http.steps import me
from tests.prove.careless import accepted
from tests.prove.memory import Memory
from tests.prove.tally import Tally
from tests.running import running, settings
from tests.tokens.chance import by_chance
from tests.tokens.mutants import NEAR, NEXT_TO, OUT_OF_TIME, mutants

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.http.people import Person
    from tests.tokens.mutants import Genuine

PROPERTY: Final = "no mutant of a token is accepted, by the service, in Python or in JavaScript"
SIZE: Final = 6_000
"""Besides the known ones."""
OF: Final = "mutants by chance"
STEP: Final = 1_200
SHORT: Final = 60
STORES: Final = ("sqlite",)
ALGORITHMS: Final = ("ES256", "EdDSA", "RS256")
KNOWN: Final = 40
"""Of the known ones, in the short form, besides those of the kinds that it always has."""
ALWAYS: Final = (NEAR, OUT_OF_TIME, *NEXT_TO)
EXPIRED_S: Final = (1, 2, 30, MAX_LEEWAY - 1, MAX_LEEWAY + 1)
"""How long ago; the service may accept none of them, a client those within its leeway."""
BEYOND_S: Final = 30
"""How far beyond what is allowed ahead: on a busy machine it has to be so when it is shown."""
AGAIN: Final = 25
"""Mutants between which the genuine token is shown."""
ISSUER: Final = "http://127.0.0.1"

Mutant = tuple[str, str]


def prove(url: str, count: int) -> Tally:
    """Make `count` mutants by chance; in the short form with one algorithm, in two verifiers."""
    tally, seed = Tally(), secrets.randbits(32)
    rng = random.Random(seed)
    short = count < STEP
    algorithms = rng.sample(ALGORITHMS, 1) if short else ALGORITHMS
    for number, algorithm in enumerate(algorithms):
        # Each algorithm has a store of its own: a key that there is goes on signing.
        place = url if number == 0 else f"{url}.{algorithm}"
        given = settings(place, SIGNING_ALGORITHM=algorithm, TRUSTED_PROXIES="127.0.0.1")
        with running(given) as server:
            here = f"http://127.0.0.1:{server.port}"
            with httpx.Client(base_url=here, timeout=WAIT) as client:
                people = People(client, given)
                _show(people, server.pid, rng, count // len(algorithms), short, tally)
            tally.expect(server.stop() == 0, "the server did not stop in order")
            tally.expect(b"Traceback" not in server.said, f"a fault: {server.said[-2_000:]!r}")
    tally.first = [f"seed {seed}: {each}" for each in tally.first]
    return tally


def _show(
    people: People, pid: int, rng: random.Random, number: int, short: bool, tally: Tally
) -> None:
    holder, asker = people.new(), people.new("tokens:introspect")
    genuine, other = genuine_of(holder), genuine_of(holder.again())
    known = [*mutants(genuine)]
    for name, taken in accepted(genuine, [token for _, token in known]).items():
        # An embedded key is one of ES256, whichever the service's is.
        tally.control(name, noticed=taken > 0)
    chosen = _some(known, rng) if short else known
    by_luck = [*by_chance(genuine, other, rng, number)]
    shown = [*chosen, *by_luck]
    _at_the_service(people, asker, genuine.token, shown[: len(shown) // 4], tally)
    memory = Memory(pid)
    _at_the_service(people, asker, genuine.token, shown[len(shown) // 4 :], tally)
    memory.judge(tally)
    edges = [*_at_the_edges(genuine)]
    _at_the_service(people, asker, genuine.token, edges, tally)
    tally.count("tokens at an edge of their time", len(edges))
    _within_the_edges(people, genuine, tally)
    here = str(people.client.base_url)
    _in_python(here, genuine.token, shown, tally)
    if not short and (lacking := package.lacking()):
        tally.leave_out(f"not in JavaScript: {lacking}")
    elif not short:
        _in_javascript(here, genuine.token, shown, tally)
    tally.tried += number
    tally.count("known mutants", len(chosen))


def _some(known: Sequence[Mutant], rng: random.Random) -> list[Mutant]:
    """Each of the kinds that the service is nearest to accepting, and some of the others."""
    always = [each for each in known if any(kind in each[0] for kind in ALWAYS)]
    return [*always, *rng.sample([each for each in known if each not in always], KNOWN)]


def _at_the_edges(genuine: Genuine) -> Iterator[Mutant]:
    """Tokens in due form that are good no more by a second, or not yet."""
    now = int(time.time())
    life = genuine.claims["exp"] - genuine.claims["iat"]
    for ago in EXPIRED_S:
        exp = now - ago
        told = {"iat": exp - life, "exp": exp, "auth_time": exp - life}
        yield f"expired {ago} s ago", _timed(genuine, **told)
    yield "expires as it is given", _timed(genuine, iat=now, exp=now)
    yield "lives a second too long", _timed(genuine, iat=now, exp=now + MAX_LIFETIME + 1)
    ahead = now + MAX_LEEWAY + BEYOND_S
    yield "given too far ahead", _timed(genuine, iat=ahead, exp=ahead + life)
    yield "logged in too far ahead", _timed(genuine, auth_time=ahead)
    yield "not before a second from now", _timed(genuine, nbf=now + 1)
    yield "not before a second ago", _timed(genuine, nbf=now - 1)


def _within_the_edges(people: People, genuine: Genuine, tally: Tally) -> None:
    """The control: what is on the good side of each limit is accepted."""
    now = int(time.time())
    for token in (
        _timed(genuine, iat=now - 60, exp=now + BEYOND_S),
        _timed(genuine, iat=now, exp=now + MAX_LIFETIME),
        _timed(genuine, iat=now + MAX_LEEWAY, exp=now + MAX_LEEWAY + BEYOND_S),
        _timed(genuine, auth_time=now + MAX_LEEWAY),
    ):
        accepted = me(people.client, token).is_success
        tally.control("a token within the limits of its time", noticed=accepted)


def _timed(genuine: Genuine, **claims: int) -> str:
    return genuine.signed(genuine.header, genuine.claims | claims)


def _at_the_service(
    people: People, asker: Person, genuine: str, shown: Sequence[Mutant], tally: Tally
) -> None:
    """Show each, while it is remembered that the genuine one was right."""
    for number, (what, token) in enumerate(shown):
        if number % AGAIN == 0:
            known = me(people.client, genuine).is_success
            active = '"active":true' in _introspected(people, asker, genuine).text
            tally.control("the genuine token, at the service", noticed=known and active)
        told = _introspected(people, asker, token)
        right = told.status_code in {200, 400} and '"active":true' not in told.text
        tally.expect(right, f"introspected, {told.status_code} {told.text}: {what}: {token}")
        tally.count("introspected")
        if is_a_header(token):
            answer = me(people.client, token)
            tally.expect(answer.status_code == 401, f"shown, {answer.status_code}: {what}: {token}")
            tally.count("shown as a bearer")


def _introspected(people: People, asker: Person, token: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {asker.access}"}
    return people.client.post("/oauth/introspect", data={"token": token}, headers=headers)


def _in_python(url: str, genuine: str, shown: Sequence[Mutant], tally: Tally) -> None:
    verifier = Verifier(ISSUER, url=url, revocations=False)
    for what, token in shown:
        try:
            verifier.verify(token)
        except TokenRefused:
            pass
        except Exception as error:  # noqa: BLE001 - which is what is looked for
            tally.wrong(f"the Python client: {error!r}: {what}: {token}")
        else:
            tally.expect(_is_by_design(what), f"the Python client accepts {what}: {token}")
        tally.count("verified in Python")
    tally.control("the genuine token, in Python", noticed=bool(verifier.verify(genuine)))
    verifier.close()


def _in_javascript(url: str, genuine: str, shown: Sequence[Mutant], tally: Tally) -> None:
    done = subprocess.run(
        [package.built(), package.PROGRAMS / "verifying.mjs", ISSUER, url],
        input=json.dumps([genuine, *(token for _, token in shown)]),
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=True,
        timeout=600,
    )
    first, *outcomes = json.loads(done.stdout)
    for (what, token), outcome in zip(shown, outcomes, strict=True):
        right = outcome == "token_refused" or (outcome == "accepted" and _is_by_design(what))
        right = right or (outcome == "token_expired" and OUT_OF_TIME in what)
        tally.expect(right, f"the JavaScript client: {outcome}: {what}: {token}")
    tally.count("verified in JavaScript", len(outcomes))
    tally.control("the genuine token, in JavaScript", noticed=first == "accepted")


def _is_by_design(what: str) -> bool:
    """A claim that a later release may add, and the service signed, changes none that is known."""
    return what.endswith(("more scope", ": deep"))
