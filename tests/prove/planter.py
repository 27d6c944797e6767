"""A client whose every word is a canary, and the people that it is.

Knows how somebody gets tokens, and no other use of the service.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.prove.client import Client, a_source
from tests.prove.flock import ANSWER
from tests.prove.load import Refused
from tests.prove.stored import grant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.prove.client import Answer
    from tests.prove.flock import Flock

USERS: Final = "/web/admin/users/"
ISSUED: Final = len("gbr_") + 22 + 6
"""Where the secret part of a refresh token begins; it is 43 characters long."""


class Person(NamedTuple):
    """Somebody who is logged in."""

    name: str
    secret: str
    user_key: str
    access_token: str
    refresh_token: str

    @property
    def session_id(self) -> str:
        """Of the tokens."""
        return self.refresh_token[len("gbr_") :][:22]

    @property
    def bearer(self) -> dict[str, str]:
        """The header that shows the access token."""
        return {"Authorization": f"Bearer {self.access_token}"}


class Planter(Client):
    """Comes from another address each time, says personal things of itself, keeps every answer.

    The server has to trust its forwarded headers.
    """

    def __init__(self, port: int, flock: Flock, address: str = "") -> None:
        """Take the one address to come from, if it is always the same."""
        super().__init__(port, a_source())
        self.flock = flock
        self._address = address
        self._user_agent = flock.new("a user agent", {ANSWER})

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """As always, with headers that tell of the caller; raises `Cut`."""
        new, address = self.flock.new, self._address or self.flock.address()
        told = {
            "user-agent": self._user_agent,
            "x-forwarded-for": f"{new('X-Forwarded-For')}, {address}",
            "cookie": f"gatebook={new('a cookie')}",
            "origin": f"https://{new('an origin')}.example",
            "referer": f"https://{new('a referrer')}.example/",
        }
        told |= {name.lower(): value for name, value in (headers or {}).items()}
        answer = await super().send(method, path, body, told)
        self._note(path, answer)
        if "transfer-encoding" in answer.headers:
            # A stream: its beginning is read, and its end never comes.
            await self.close()
        return answer

    async def ask(self, person: Person, method: str, path: str, **members: object) -> Answer:
        """Ask with somebody's access token, with a JSON object if there are members."""
        body = json.dumps(members).encode() if members else None
        return await self.send(method, path, body, person.bearer)

    async def person(self) -> Person:
        """Somebody new, logged in."""
        name, secret = self.flock.new("a name", {ANSWER}), self.flock.new("a secret")
        return await self.log_in(name, secret, await self.register(name, secret))

    async def administrator(self, url: str) -> Person:
        """Somebody new who may do everything, by the store at `url`."""
        name, secret = self.flock.new("a name", {ANSWER}), self.flock.new("a secret")
        user_key = await self.register(name, secret)
        await asyncio.to_thread(grant, url, user_key, "admin")
        return await self.log_in(name, secret, user_key)

    async def register(self, name: str, secret: str) -> str:
        """A new user's key; raises `Refused`."""
        answer = await self.post("/register", user_id=name, user_secret=secret)
        if answer.status != 201:
            raise Refused(f"POST /register: {answer.status} {answer.body!r}")
        return str(answer.json["user_key"])

    async def log_in(self, name: str, secret: str, user_key: str) -> Person:
        """The same user in a new session; raises `Refused`."""
        answer = await self.post("/authenticate", user_key=user_key, user_secret=secret)
        if answer.status != 200:
            raise Refused(f"POST /authenticate: {answer.status} {answer.body!r}")
        return Person(name, secret, user_key, **answer.json)

    async def again(self, person: Person) -> Person:
        """The same person in a new session."""
        return await self.log_in(person.name, person.secret, person.user_key)

    def _note(self, path: str, answer: Answer) -> None:
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        # A form of the administration that is refused comes back on the page of the user.
        shown = answer.status < 400 or path.startswith(USERS)
        told = self.flock.answers if shown else self.flock.refusals
        told.append(head.encode() + b"\n" + answer.body)
        kept = answer.headers.get("set-cookie", "").partition("gbr_")[2]
        if kept[:1].isalnum():
            secret = f"gbr_{kept}"[ISSUED : ISSUED + 43]
            self.flock.issued(secret, "a cookie's secret part")
        if answer.status == 200 and b'_token":"' in answer.body:
            members = json.loads(answer.body)
            if "refresh_token" in members:
                secret = members["refresh_token"][ISSUED : ISSUED + 43]
                self.flock.issued(secret, "a refresh token's secret part")
            if "access_token" in members:
                signature = members["access_token"].rpartition(".")[2]
                self.flock.issued(signature, "an access token's signature")
