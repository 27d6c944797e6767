"""What is right but for one thing: canaries in refusals of somebody who is known.

Knows the service's refusals, and nothing of where canaries are searched for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.prove.flock import ANSWER, REFUSAL
from tests.prove.planted_rightly import PERMITTED, basic, in_form

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.prove.client import Answer
    from tests.prove.planter import Person, Planter
    from tests.prove.tally import Tally

    Answers = AsyncIterator[tuple[int, Answer]]
    """The status that is right, and what was answered."""

GRANT: Final = {"grant_type": "client_credentials"}


async def use_nearly_rightly(who: Planter, admin: Person, tally: Tally) -> None:
    """Make every mistake that a user, a client or an administrator makes; each is refused."""
    for mistakes in (_of_secrets, _of_names, _of_clients, _of_tokens, _of_places):
        async for status, answer in mistakes(who, admin):
            tally.expect(
                answer.status == status, f"{answer.status} is no {status}: {answer.body!r}"
            )


async def _of_secrets(who: Planter, admin: Person) -> Answers:
    person, new = await who.person(), who.flock.new
    wrong = {"user_secret": new("a wrong secret")}
    yield 401, await who.post("/authenticate", user_key=person.user_key, **wrong)
    yield 401, await who.post("/userkey", user_id=person.name, **wrong)
    changed = {"new_user_secret": new("a new secret beside a wrong one")}
    yield 401, await who.ask(person, "POST", "/me/secret", **wrong, **changed)
    yield 401, await who.ask(person, "POST", "/me/erase", **wrong)
    path, own = f"/users/{person.user_key}", {"user_secret": person.name}
    yield 400, await who.ask(admin, "PUT", f"{path}/secret", **own)
    right = {"user_secret": person.secret, "new_user_secret": person.name}
    yield 400, await who.ask(person, "POST", "/me/secret", **right)
    await who.ask(admin, "POST", f"{path}/disable")
    known = {"user_key": person.user_key, "user_secret": person.secret}
    yield 401, await who.post("/authenticate", **known)
    yield 401, await who.post("/refresh", refresh_token=person.refresh_token)
    yield 401, await who.ask(person, "GET", "/me")


async def _of_names(who: Planter, admin: Person) -> Answers:
    person, new = await who.person(), who.flock.new
    taken = {"user_id": person.name.upper(), "user_secret": new("a secret beside a taken name")}
    yield 409, await who.post("/register", **taken)
    yield 409, await who.ask(admin, "POST", "/users", **taken)
    for ending in ("\u2028", "\n", "\0", "\ud800"):
        odd = {"user_id": new("an odd name") + ending, "user_secret": new("a secret") + ending}
        yield 400, await who.post("/register", **odd)
    own = new("a secret that is the name")
    yield 400, await who.post("/register", user_id=own, user_secret=own)


async def _of_clients(who: Planter, admin: Person) -> Answers:
    person, other, new = await who.person(), await who.person(), who.flock.new
    wrong = {**in_form(person), "client_secret": new("a client's wrong secret")}
    about = {"token": other.access_token}
    yield 401, await who.form("/oauth/token", {**GRANT, **wrong})
    yield 401, await who.form("/oauth/introspect", {**about, **wrong})
    yield 401, await who.form("/oauth/revoke", {**about, **wrong})
    yield 403, await who.form("/oauth/introspect", {**about, **in_form(person)})
    scope = new("a permission that nobody holds", {*PERMITTED, REFUSAL})
    yield 400, await who.form("/oauth/token", {**GRANT, **in_form(person), "scope": scope})
    stolen = {"grant_type": "refresh_token", "refresh_token": other.refresh_token}
    yield 400, await who.form("/oauth/token", {**stolen, **in_form(person)})
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": basic(person.user_key, new("a client's wrong secret in a header")),
    }
    body = b"grant_type=client_credentials"
    yield 401, await who.send("POST", "/oauth/token", body, headers)


async def _of_tokens(who: Planter, admin: Person) -> Answers:
    person = await who.again(await who.person())
    old = {"refresh_token": person.refresh_token}
    rotated = await who.post("/refresh", **old, rotate=True)
    yield 200, rotated
    successor = {"refresh_token": rotated.json["refresh_token"]}
    yield 200, await who.post("/refresh", **successor)
    yield 401, await who.post("/refresh", **old)
    yield 401, await who.post("/refresh", refresh_token=person.access_token)
    yield 401, await who.call("GET", "/me", person.refresh_token)
    yield 200, await who.post("/revoke", **successor)
    yield 401, await who.post("/refresh", **successor)
    yield 401, await who.ask(person, "GET", "/me")


async def _of_places(who: Planter, admin: Person) -> Answers:
    person, new = await who.person(), who.flock.new
    stranger = await who.person()
    yield 404, await who.ask(person, "DELETE", f"/sessions/{stranger.session_id}")
    name = new("a name that nobody has", {ANSWER})
    yield 200, await who.ask(admin, "GET", f"/users?user_id={name}&limit=1")
    # As long as the name of a log is.
    place = f"{new('a place in another log')[:22]}:3"
    yield 409, await who.ask(person, "GET", f"/me/events?after={place}")
    yield 409, await who.ask(admin, "GET", f"/events?after={place}")
    headers = {**admin.bearer, "Last-Event-ID": place}
    yield 409, await who.send("GET", "/events/stream", headers=headers)
    yield 409, await who.get(f"/revocations?after={place}")
    yield 409, await who.send("GET", "/revocations/stream", headers={"Last-Event-ID": place})
