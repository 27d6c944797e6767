"""What must never be seen is planted everywhere, and then everything is searched for it.

Secrets, names, tokens, addresses and user agents go in through every endpoint, in every part of a
request, right and wrong; they must be in no log line, no refusal, no metric and no byte of the
database. Security rules 19 and 20.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import tempfile
from itertools import count as counted
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tests.prove.client import Answer, Client, Cut, a_source
from tests.prove.tally import Tally
from tests.running import running, settings
from tests.store.intruding import SQLITE, dump, intrude

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROPERTY: Final = "canaries through every endpoint are in no output and not at rest"
SIZE: Final = 40
STEP: Final = 5
SHORT: Final = 1
STORES: Final = ("sqlite", "postgresql")

PATHS: Final = ("/register", "/authenticate", "/userkey", "/refresh", "/revoke", "/me")
ISSUED: Final = len("gbr_") + 22 + 6
"""Where the secret part of a refresh token begins; it is 43 characters long."""


class Flock:
    """Every canary that was let out, and every refusal that came back."""

    def __init__(self) -> None:
        self.canaries: dict[str, str] = {}
        self.refusals: list[bytes] = []
        self._numbers = counted(1)

    def new(self, what: str) -> str:
        """A canary: nobody else says this; `what` it stood for is told when it is found."""
        canary = f"canary{secrets.token_hex(8)}n{next(self._numbers)}"
        self.canaries[canary] = what
        return canary

    def issued(self, token: str, what: str) -> None:
        """A token that the service made is one, too."""
        self.canaries[token] = what

    def found_in(self, content: bytes) -> set[str]:
        """Which were found, plainly or in a usual disguise; each by what it stood for."""
        lowered = content.lower()
        return {
            what
            for canary, what in self.canaries.items()
            if any(each in content for each in disguises(canary))
            or canary.encode().hex().encode() in lowered
        }


def disguises(canary: str) -> Iterable[bytes]:
    """As text, in UTF-16, percent-encoded, and in base64 wherever it may begin in a longer text."""
    plain = canary.encode()
    yield plain
    yield canary.encode("utf-16-le")
    yield quote(canary).encode()
    for shift in range(3):
        middle = base64.b64encode(b"\0" * shift + plain)[4:-4]
        yield middle
        yield middle.replace(b"+", b"-").replace(b"/", b"_")


def prove(url: str, count: int) -> Tally:
    """Let a flock of canaries out `count` times, then search everything once."""
    tally, flock = Tally(), Flock()
    log_format = "json" if url.startswith(SQLITE) else "console"
    with running(settings(url, LOG_FORMAT=log_format)) as server:
        metrics = asyncio.run(_let_out(server.port, url, flock, count, tally))
        at_rest = dump(url)
        tally.expect(server.stop() == 0, "the server did not stop in order")
        outputs = {
            "a log line": server.said,
            "a refusal": b"\n".join(flock.refusals),
            "a metric": metrics,
            "the database": at_rest,
            "the database, after the end": dump(url),
        }
    for where, content in outputs.items():
        tally.expect(len(content) > 0, f"{where} is empty")
        for what in flock.found_in(content):
            tally.wrong(f"{what} is in {where}")
    tally.count("canaries", len(flock.canaries))
    tally.count("bytes searched", sum(map(len, outputs.values())))
    _check_the_search(tally)
    return tally


def _check_the_search(tally: Tally) -> None:
    """The control: a canary that is put into a file is found there, disguised or not."""
    flock = Flock()
    with tempfile.TemporaryDirectory() as directory:
        for form in ("plain", "base64", "hex", "utf-16"):
            file, canary = Path(directory) / form, flock.new(form)
            text = f'{{"password": "{canary}"}}'
            file.write_bytes(
                {
                    "plain": text.encode(),
                    "base64": base64.b64encode(text.encode()),
                    "hex": text.encode().hex().upper().encode(),
                    "utf-16": text.encode("utf-16-le"),
                }[form]
            )
            tally.control(
                f"a canary in {form}", noticed=flock.found_in(file.read_bytes()) == {form}
            )


async def _let_out(port: int, url: str, flock: Flock, count: int, tally: Tally) -> bytes:
    """Every round plants new ones; what `/metrics` says in the end."""
    for _ in range(count):
        async with Planter(port, flock) as planter:
            await planter.use_rightly(tally)
            await planter.use_wrongly()
            await planter.send_nonsense()
        tally.tried += 1
    async with Planter(port, flock) as planter:
        await planter.provoke_a_fault(url, tally)
        await planter.use_rightly(tally)
    async with Client(port) as client:
        return (await client.get("/metrics")).body


class Planter(Client):
    """A client whose every word is a canary."""

    def __init__(self, port: int, flock: Flock) -> None:
        super().__init__(port, a_source())
        self._flock = flock
        flock.canaries[self.source] = "a caller's address"
        self._user_agent = flock.new("a user agent")

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """As always, with headers that tell of the caller; a refusal is kept."""
        told = {
            "User-Agent": self._user_agent,
            "X-Forwarded-For": self._flock.new("X-Forwarded-For"),
            "Cookie": f"gatebook={self._flock.new('a cookie')}",
        }
        answer = await super().send(method, path, body, {**told, **(headers or {})})
        if answer.status >= 400:
            self._flock.refusals.append(answer.body)
        return answer

    async def use_rightly(self, tally: Tally) -> None:
        """Register, log in, refresh, be shown, find the key, revoke: all of it succeeds."""
        new = self._flock.new
        name, secret = new("a name"), new("a secret")
        registered = await self.post("/register", user_id=name, user_secret=secret)
        if registered.status != 201:
            tally.wrong(f"/register: {registered.status} {registered.body!r}")
            return
        key = registered.json["user_key"]
        tokens = await self.post("/authenticate", user_key=key, user_secret=secret)
        refresh_token, access_token = tokens.json["refresh_token"], tokens.json["access_token"]
        self._flock.issued(refresh_token, "a refresh token")
        self._flock.issued(refresh_token[ISSUED : ISSUED + 43], "a refresh token's secret part")
        self._flock.issued(access_token, "an access token")
        self._flock.issued(access_token.rpartition(".")[2], "an access token's signature")
        again = await self.post("/refresh", refresh_token=refresh_token)
        self._flock.issued(again.json["access_token"], "an access token")
        shown = await self.get("/me", access_token)
        found = await self.post("/userkey", user_id=name, user_secret=secret)
        taken = await self.post("/register", user_id=name.upper(), user_secret=secret)
        ended = await self.post("/revoke", refresh_token=refresh_token)
        refused = await self.post("/refresh", refresh_token=refresh_token)
        late = await self.get("/me", access_token)
        statuses = [each.status for each in (again, shown, found, taken, ended, refused, late)]
        tally.expect(statuses == [200, 200, 200, 409, 200, 401, 401], f"answers: {statuses}")
        wrong = await self.post("/authenticate", user_key=key, user_secret=new("a wrong secret"))
        tally.expect(wrong.status == 401, f"a wrong secret: {wrong.status}")

    async def use_wrongly(self) -> None:
        """Credentials that nobody has, values that can't be, tokens of other kinds."""
        new = self._flock.new
        await self.post("/authenticate", user_key=new("an unknown key"), user_secret=new("secret"))
        await self.post("/userkey", user_id=new("an unknown name"), user_secret=new("secret"))
        await self.post("/register", user_id=new("an owner"), user_secret=new("x")[:7])
        own = new("a secret that is the name")
        await self.post("/register", user_id=own, user_secret=own)
        await self.post("/register", user_id=f"{new('a name')}\u2028", user_secret=new("secret"))
        await self.post("/register", user_id=new("a name") * 40, user_secret=new("secret") * 50)
        for path in ("/refresh", "/revoke"):
            await self.post(path, refresh_token=new("a made-up token"))
            await self.post(path, refresh_token=f"gbr_{new('a made-up token')}".ljust(81, "0"))
            await self.post(path, refresh_token=[new("a token in a list")])
            await self.post(path, refresh_token=new("a token"), rotate=new("a wrong type"))
        for given in ("Bearer {}", "bearer  {}", "Basic {}", "{}", "Bearer eyJ{}.eyJ{}.{}"):
            header = given.replace("{}", new("an Authorization header"))
            await self.send("GET", "/me", headers={"Authorization": header})
        # A token has no business here, and neither is it read.
        await self.get(f"/me?access_token={new('a token in a query')}")

    async def send_nonsense(self) -> None:
        """What is no request of ours: bodies, types, members, methods, paths, queries."""
        new = self._flock.new
        for path in PATHS:
            for body in self._broken_bodies():
                await self.send("POST", path, body)
            await self.send("POST", f"{path}?{new('a query')}={new('a query')}", b"{}")
            for method in ("PUT", "DELETE", "PATCH"):
                await self.send(method, path, new("a body").encode())
            for kind in ("text/plain", f"application/json; x={new('a media type')}"):
                body = json.dumps({"user_secret": new("a secret")}).encode()
                await self.send("POST", path, body, headers={"Content-Type": kind})
        for path in ("/{}", "/errors/{}", "/me/{}", "/%00{}", "/register/..%2f{}", "/{}?{}"):
            await self.get(path.replace("{}", new("a path")))
        try:
            await self.send("GET", f"/{new('a header')}", headers={"Bad\x00": new("a header")})
        except Cut:
            await self.close()

    def _broken_bodies(self) -> Iterable[bytes]:
        new = self._flock.new
        yield f'{{"user_id": "{new("broken JSON")}", "user_secret": "{new("broken JSON")}'.encode()
        yield new("no JSON").encode()
        yield b'{"user_secret": "' + new("invalid UTF-8").encode() + b'\xff"}'
        yield f'{{"user_id": {{"{new("an object")}": 1}}, "user_secret": 1}}'.encode()
        yield f'{{"user_id": ["{new("a list")}"], "user_secret": "{new("a secret")}"}}'.encode()
        twice = f'"user_secret": "{new("a repeated member")}"'
        yield f"{{{twice}, {twice}}}".encode()
        secret, name = new("a secret"), new("a name")
        yield json.dumps(
            {"user_id": name, "user_secret": secret, "permissions": new("an unknown member")}
        ).encode()
        yield json.dumps({"refresh_token": None, "user_key": new("a key")}).encode()
        yield json.dumps([new("a list")]).encode()
        yield json.dumps(new("a text")).encode()
        yield b"[" * 40 + new("a depth").encode()

    async def provoke_a_fault(self, url: str, tally: Tally) -> None:
        """The store refuses: what is logged of it, and what is answered, tells nothing either."""
        new = self._flock.new
        with intrude(url) as intruder:
            intruder.refuse("user_directory_v1", "status", "active")
            try:
                answer = await self.post(
                    "/register", user_id=new("a refused name"), user_secret=new("a refused secret")
                )
            finally:
                intruder.relent("user_directory_v1")
        tally.expect(answer.status == 500, f"a store that refuses: {answer.status}")
