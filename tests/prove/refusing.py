"""Refusals that one request alone doesn't meet: a spent budget, a store that refuses or is held.

Knows how to bring them about, and nothing of what is searched for.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.prove.planted_rightly import in_form
from tests.prove.planter import Planter
from tests.store.intruding import SQLITE, intrude

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.prove.client import Answer
    from tests.prove.flock import Flock
    from tests.prove.planter import Person
    from tests.prove.tally import Tally

    Ask = Callable[[Planter], Awaitable[Answer]]

ENOUGH: Final = 150
"""Attempts from one address, of which it has fewer."""
GRANT: Final = {"grant_type": "client_credentials"}


class Refusing(NamedTuple):
    """Whose requests are refused, at which server."""

    port: int
    url: str
    flock: Flock
    admin: Person
    person: Person

    async def everywhere(self, tally: Tally) -> None:
        """By a spent budget, by a store that refuses, and by one that somebody holds."""
        async with Planter(self.port, self.flock, self.flock.address()) as who:
            await self._spend_a_budget(who)
            for ask in self._proving():
                _expect(await ask(who), 429, tally)
        async with Planter(self.port, self.flock) as who:
            with _refusing(self.url):
                for ask in self._writing():
                    _expect(await ask(who), 500, tally)
        with _held(self.url):
            for answer in await asyncio.gather(*map(self._apart, self._writing())):
                _expect(answer, 503, tally)

    async def _apart(self, ask: Ask) -> Answer:
        """On a connection of its own."""
        async with Planter(self.port, self.flock) as who:
            return await ask(who)

    async def _spend_a_budget(self, who: Planter) -> None:
        new = self.flock.new
        for _ in range(ENOUGH):
            guess = {"user_id": new("a guessed name"), "user_secret": new("a guessed secret")}
            if (await who.post("/userkey", **guess)).status == 429:
                return

    def _proving(self) -> Iterator[Ask]:
        """What spends a hash on a secret."""
        new, person = self.flock.new, self.person
        name, secret = new("a name beyond the budget"), new("a secret beyond the budget")
        client = {"client_id": person.user_key, "client_secret": secret}
        yield lambda who: who.post("/register", user_id=name, user_secret=secret)
        yield lambda who: who.post("/userkey", user_id=name, user_secret=secret)
        yield lambda who: who.post("/authenticate", user_key=name, user_secret=secret)
        changed = {"user_secret": secret, "new_user_secret": new("a new secret")}
        yield lambda who: who.ask(person, "POST", "/me/secret", **changed)
        yield lambda who: who.ask(person, "POST", "/me/erase", user_secret=secret)
        yield lambda who: who.form("/oauth/token", {**GRANT, **client})
        yield lambda who: who.form("/oauth/introspect", {"token": new("a token"), **client})
        yield lambda who: who.form("/oauth/revoke", {"token": new("a token"), **client})

    def _writing(self) -> Iterator[Ask]:
        """What writes an event."""
        new, admin, person = self.flock.new, self.admin, self.person
        one = {"user_id": new("a name not stored"), "user_secret": new("a secret not stored")}
        another = {"user_id": new("a name not stored"), "user_secret": new("a secret not stored")}
        yield lambda who: who.post("/register", **one)
        yield lambda who: who.ask(admin, "POST", "/users", **another)
        known = {"user_key": person.user_key, "user_secret": person.secret}
        yield lambda who: who.post("/authenticate", **known)
        token = person.refresh_token
        yield lambda who: who.post("/refresh", refresh_token=token, rotate=True)
        yield lambda who: who.form("/oauth/token", {**GRANT, **in_form(person)})
        changed = {"user_secret": person.secret, "new_user_secret": new("a secret not stored")}
        yield lambda who: who.ask(person, "POST", "/me/secret", **changed)
        user = f"/users/{person.user_key}"
        secret = new("a secret not stored")
        yield lambda who: who.ask(admin, "PUT", f"{user}/secret", user_secret=secret)
        yield lambda who: who.ask(admin, "PUT", f"{user}/permissions", permissions=["orders:read"])
        yield lambda who: who.ask(admin, "DELETE", f"{user}/sessions")
        yield lambda who: who.ask(admin, "POST", f"{user}/disable")
        yield lambda who: who.ask(admin, "POST", "/keys/rotate", now=True)
        yield lambda who: who.ask(person, "DELETE", f"/sessions/{person.session_id}")
        yield lambda who: who.ask(person, "DELETE", "/sessions")
        yield lambda who: who.form("/oauth/revoke", {**in_form(person), "token": token})
        yield lambda who: who.post("/revoke", refresh_token=token)


@contextmanager
def _refusing(url: str) -> Iterator[None]:
    """The database refuses every event; PostgreSQL tells the row that it refuses."""
    refuse, relent = (
        (
            "CREATE TRIGGER refused BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no'); END",
            "DROP TRIGGER refused",
        )
        if url.startswith(SQLITE)
        else (
            "ALTER TABLE events ADD CONSTRAINT refused CHECK (position < 0) NOT VALID",
            "ALTER TABLE events DROP CONSTRAINT refused",
        )
    )
    with intrude(url) as intruder:
        intruder.run(refuse)
        try:
            yield
        finally:
            intruder.run(relent)


@contextmanager
def _held(url: str) -> Iterator[None]:
    """Somebody else is writing, and doesn't come to an end."""
    with intrude(url) as intruder:
        if url.startswith(SQLITE):
            intruder.run("BEGIN IMMEDIATE")
        else:
            intruder.run("BEGIN")
            intruder.run("LOCK TABLE events IN EXCLUSIVE MODE")
        try:
            yield
        finally:
            intruder.run("ROLLBACK")


def _expect(answer: Answer, status: int, tally: Tally) -> None:
    tally.expect(answer.status == status, f"{answer.status} is no {status}: {answer.body!r}")
