"""Signing keys change under load, again and again, and nobody notices; when one leaks, everybody.

People use their tokens at every process, and a verifier checks them offline, with a JWKS that it
keeps for as long as it may. No token is refused before its time, every `kid` is known, and all
processes switch at the written moment. Then the key leaks: after the command that takes it away,
nothing that an old key signed is accepted anywhere, nor by a process that is asked for nothing from
which it would learn it. Security rules 13 and 16.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from bisect import bisect_right
from collections import Counter, deque
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import jwt

from app.timestamps import parse_rfc3339
from tests.prove.client import Client, a_source
from tests.prove.load import SECRET, Begun, Refused, new_name, start
from tests.prove.stored import check_log, grant
from tests.prove.taken_away import take_away
from tests.prove.tally import Tally
from tests.running import running, running_all, settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from tests.prove.client import Answer

PROPERTY: Final = "keys change and no valid token is refused; a leaked one is worth nothing"
SIZE: Final = 100
OF: Final = "rotations"
STEP: Final = 50
SHORT: Final = 1
STORES: Final = ("sqlite", "postgresql")
PEOPLE: Final = 6
MAX_AGE_S: Final = 1
TOKEN_S: Final = 10
SETTLED_S: Final = 0.3
"""How long a new key signs before the next one is made."""
GRANTED: Final = 0.3
"""How often a token is asked for with the secret, and not with a refresh token."""
BREACHES: Final = 10
"""Rotations, at most, until a service is found out that doesn't publish a key before it signs."""
QUIET: Final = 4
"""Keys that are taken away from a quiet process: each time it may have looked by chance,
as it does twice a second."""

UNKNOWN: Final = "unknown kid"
TAKEN_AWAY: Final = "accepted after the key was taken away"

_ISSUER: Final = "http://127.0.0.1"
_SECOND: Final = 1_000_000
_ROOT: Final = Path(__file__).parent.parent.parent


def prove(url: str, count: int) -> Tally:
    """Change the key `count` times on one store, and then take the last one away."""
    tally, second = Tally(), Tally()
    more = {"JWKS_MAX_AGE": f"{MAX_AGE_S}", "ACCESS_TOKEN_TTL": f"{TOKEN_S}"}
    given = settings(url, **more)
    with running_all(*[given] * (2 if url.startswith("postgresql") else 1)) as servers:
        ports = [each.port for each in servers]
        asyncio.run(_Trial(given, ports, tally).run(count))
        asyncio.run(take_away(given, ports, QUIET, tally))
    careless = settings(url, **more, TEST_NO_LEAD="1", TEST_KEEP_KEYS="1")
    with running(careless) as breach:
        trial = _Trial(careless, [breach.port], second)
        asyncio.run(trial.run(BREACHES, until=UNKNOWN))
    for name, what in (
        ("a key that signs before it is published", UNKNOWN),
        ("a process that keeps its keys", TAKEN_AWAY),
    ):
        tally.control(name, noticed=trial.found[what] > 0)
    unlooked, quietly = settings(url, **more, TEST_UNCHECKED_KEYS="1"), Tally()
    with running(unlooked) as breach:
        asyncio.run(take_away(unlooked, [breach.port], QUIET, quietly))
    tally.control("a token judged by keys that aren't the store's", noticed=quietly.violations > 0)
    check_log(url, tally)
    return tally


class Token(NamedTuple):
    """An access token; `expires` in µs."""

    text: str
    kid: str
    expires: int


class Given(NamedTuple):
    """Between which moments (µs) a token was asked for and given, and which key signed it."""

    begun: int
    answered: int
    kid: str


class Verifier:
    """Verifies offline, with a JWKS that it reads again when it may keep it no longer."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._keys: dict[str, jwt.PyJWK] = {}
        self._until = 0.0
        self._reading = asyncio.Lock()

    async def known(self, kid: str) -> jwt.PyJWK | None:
        """The key of that id; None when there is none in the key set."""
        async with self._reading:
            if time.monotonic() >= self._until:
                await self._read()
        return self._keys.get(kid)

    async def verify(self, token: Token) -> str:
        """What is wrong with a token; empty when nothing is."""
        key = await self.known(token.kid)
        if key is None:
            return UNKNOWN
        try:
            jwt.decode(token.text, key, algorithms=["ES256"], issuer=_ISSUER, audience=_ISSUER)
        except jwt.InvalidTokenError as error:
            return f"{error!r}"
        return ""

    async def _read(self) -> None:
        async with Client(random.choice(self._ports)) as client:
            answer = await client.get("/.well-known/jwks.json")
        age = int(answer.headers["cache-control"].rpartition("max-age=")[2])
        self._keys = {key["kid"]: jwt.PyJWK(key) for key in answer.json["keys"]}
        self._until = time.monotonic() + age


class _Trial:
    """People at work while the keys change; everything that they find goes into a tally."""

    def __init__(self, given: Mapping[str, str], ports: Sequence[int], tally: Tally) -> None:
        self._given = given
        self._ports = ports
        self._tally = tally
        self.found: Counter[str] = Counter()
        """How often something was wrong, by what."""
        self._verifier = Verifier(ports)
        self._tokens: deque[Token] = deque(maxlen=200)
        self._signed: list[Given] = []
        self._switches: list[tuple[int, str]] = []
        self._leak: tuple[int, int, str] | None = None
        """From when to when (µs) the key was being taken away, and which one signs since."""

    async def run(self, count: int, *, until: str = "") -> None:
        """Change the key so many times under load, or until that is wrong; then take it away."""
        users = [await self._registered("tokens:introspect") for _ in range(PEOPLE)]
        admin = await self._registered("keys:read", "keys:write")
        async with Client(random.choice(self._ports), a_source()) as client:
            begun = await start(client, admin)
            items = (await client.get("/keys", begun.access_token)).json["items"]
            self._switches.append((0, _kid_of(items, "active")))
        async with self._at_work(users):
            for _ in range(count):
                await self._change(begun.refresh_token)
                self._tally.tried += 1
                if self.found[until]:
                    break
            await self._take_away()
            self._check_published(await self._published())
            await asyncio.sleep(0 if until else 2 * MAX_AGE_S)
        self._check_switches()
        self._tally.count("tokens given", len(self._signed))

    async def _registered(self, *permissions: str) -> str:
        async with Client(random.choice(self._ports), a_source()) as client:
            wish = {"user_id": new_name(), "user_secret": SECRET}
            user_key: str = (await client.post("/register", **wish)).json["user_key"]
        await asyncio.to_thread(grant, self._given["GATEBOOK_DATABASE_URL"], user_key, *permissions)
        return user_key

    @asynccontextmanager
    async def _at_work(self, users: Sequence[str]) -> AsyncIterator[None]:
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for user_key in users:
                group.create_task(self._work(user_key, over))
            try:
                yield
            finally:
                over.set()

    async def _work(self, user_key: str, over: asyncio.Event) -> None:
        source = a_source()
        clients = [Client(port, source) for port in self._ports]
        session = await start(clients[0], user_key)
        while not over.is_set():
            client = random.choice(clients)
            if random.random() < GRANTED:
                own = await self._grant(client, user_key)
            else:
                own = await self._refresh(client, session)
            self._tokens.append(own)
            for use in (self._show, self._introspect):
                token = random.choice(self._tokens)
                await use(random.choice(clients), token, own)
            await self._verify(random.choice(self._tokens))
            await asyncio.sleep(0.01)
        for client in clients:
            await client.close()

    async def _refresh(self, client: Client, session: Begun) -> Token:
        begun = _now()
        answer = await client.post("/refresh", refresh_token=session.refresh_token)
        return self._token_of(answer, begun)

    async def _grant(self, client: Client, user_key: str) -> Token:
        """What a program gets for its secret."""
        begun = _now()
        form = {"grant_type": "client_credentials", "client_id": user_key, "client_secret": SECRET}
        return self._token_of(await client.form("/oauth/token", form), begun)

    def _token_of(self, answer: Answer, begun: int) -> Token:
        if answer.status != 200:
            raise Refused(f"no token: {answer.status} {answer.body[:200]!r}")
        text = answer.json["access_token"]
        kid = jwt.get_unverified_header(text)["kid"]
        expires = jwt.decode(text, options={"verify_signature": False})["exp"] * _SECOND
        self._signed.append(Given(begun, _now(), kid))
        return Token(text, kid, expires)

    async def _show(self, client: Client, token: Token, own: Token) -> None:
        del own
        begun = _now()
        answer = await client.get("/me", token.text)
        self._judge("/me", token, begun, answer, good=answer.status == 200, bad=401)

    async def _introspect(self, client: Client, token: Token, own: Token) -> None:
        begun = _now()
        answer = await client.form("/oauth/introspect", {"token": token.text}, own.text)
        if answer.status == 401 and self._is_taken_away(own, begun):
            return
        good = answer.status == 200 and answer.json["active"]
        self._judge("/oauth/introspect", token, begun, answer, good=good, bad=200)

    def _judge(
        self, what: str, token: Token, begun: int, answer: Answer, *, good: bool, bad: int
    ) -> None:
        """A token is accepted until it expires, and refused as it should be once it is dead."""
        self._tally.count("uses")
        told = f"{what}: {answer.status} {answer.body[:200]!r}, kid {token.kid}"
        if not good and answer.status != bad:
            self._tally.wrong(told)
        elif self._is_taken_away(token, begun):
            if good and self._leak is not None and begun > self._leak[1]:
                self._wrong(TAKEN_AWAY, told)
        elif not good and _now() < token.expires:
            self._tally.wrong(told)

    async def _verify(self, token: Token) -> None:
        if self._leak is not None and _now() < self._leak[1] + MAX_AGE_S * _SECOND:
            return  # a key that signs at once isn't known before the key set is read again
        self._tally.count("verified offline")
        wrong = await self._verifier.verify(token)
        if self._leak is not None and token.kid != self._leak[2]:
            if not wrong:
                self._wrong(TAKEN_AWAY, f"offline, kid {token.kid}")
        elif wrong and _now() < token.expires:
            self._wrong(wrong, f"offline, kid {token.kid}")

    def _wrong(self, kind: str, what: str) -> None:
        self.found[kind] += 1
        self._tally.wrong(f"{kind}: {what}")

    def _is_taken_away(self, token: Token, begun: int) -> bool:
        """Whether a token may have been dead already when this was begun or answered."""
        if self._leak is None:
            return False
        return begun < self._leak[1] or token.kid != self._leak[2]

    async def _change(self, refresh_token: str) -> None:
        """Let a new key take over, and wait until it has."""
        before = self._switches[-1][1]
        async with Client(random.choice(self._ports)) as client:
            answer = await client.post("/refresh", refresh_token=refresh_token)
            token = answer.json["access_token"]
            answer = await client.call("POST", "/keys/rotate", token, now=False)
        newest = answer.json["items"][-1]
        self._tally.expect(newest["kid"] != before, f"/keys/rotate changed nothing: {newest}")
        switch = parse_rfc3339(newest["active_from"])
        self._switches.append((switch, newest["kid"]))
        await asyncio.sleep(max(0.0, (switch - _now()) / _SECOND) + SETTLED_S)

    async def _take_away(self) -> None:
        """What an operator does when a key leaked."""
        self._leak = _now(), 2**63, ""
        kid = await asyncio.to_thread(self._rotate_now)
        self._leak = self._leak[0], _now(), kid
        self._tally.count("keys taken away")

    def _rotate_now(self) -> str:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("GATEBOOK_")}
        command = [sys.executable, "-m", "app.cli", "keys", "rotate", "--now"]
        done = subprocess.run(
            command,
            env={**environ, **self._given},
            cwd=_ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stderr.split()[2]

    async def _published(self) -> list[tuple[list[str], list[str]]]:
        """What each process publishes, and which keys it says are revoked."""
        found = []
        for port in self._ports:
            async with Client(port) as client:
                keys = (await client.get("/.well-known/jwks.json")).json["keys"]
                revoked = (await client.get("/revocations?limit=1000")).json["items"]
            found.append(([key["kid"] for key in keys], [each.get("kid", "") for each in revoked]))
        return found

    def _check_published(self, found: Sequence[tuple[list[str], list[str]]]) -> None:
        assert self._leak is not None
        last = self._switches[-1][1]
        for published, revoked in found:
            if last in published:
                self._wrong(TAKEN_AWAY, f"{last} is published")
            self._tally.expect(self._leak[2] in published, f"{self._leak[2]} isn't published")
            self._tally.expect(last in revoked, f"{last} isn't on the revocation feed")

    def _check_switches(self) -> None:
        """Every process signs with the key whose time it is."""
        for given in self._signed:
            self._tally.expect(
                given.kid in self._whose_time(given), f"signed by {given.kid} out of its time"
            )

    def _whose_time(self, given: Given) -> list[str]:
        assert self._leak is not None
        asked, taken_away, successor = self._leak
        if given.begun > taken_away:
            return [successor]
        moments = [moment for moment, _ in self._switches]
        first = bisect_right(moments, given.begun) - 1
        last = bisect_right(moments, given.answered)
        kids = [kid for _, kid in self._switches[first:last]]
        return [*kids, successor] if given.answered > asked else kids


def _kid_of(items: Sequence[Mapping[str, str]], state: str) -> str:
    return next(item["kid"] for item in items if item["state"] == state)


def _now() -> int:
    return time.time_ns() // 1000
