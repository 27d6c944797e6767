"""Every operation as it is meant to be used, with canaries for all that its caller may choose.

Knows the service's operations, and nothing of where canaries are searched for.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from tests.prove.described import OPERATIONS
from tests.prove.flock import ANSWER, DATABASE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from tests.prove.client import Answer
    from tests.prove.described import Operation
    from tests.prove.planter import Person, Planter
    from tests.prove.tally import Tally

    Use = Callable[[Planter, Person], Awaitable[Answer]]
    """What a planter asks, beside an administrator; the answer is a success."""

A_NAME: Final = "a name"
A_SECRET: Final = "a secret"
PERMITTED: Final = frozenset({ANSWER, DATABASE})
"""Where a permission that was given is meant to be: it is neither secret nor personal."""


async def _register(who: Planter, admin: Person) -> Answer:
    new = who.flock.new
    return await who.post("/register", user_id=new(A_NAME, {ANSWER}), user_secret=new(A_SECRET))


async def _authenticate(who: Planter, admin: Person) -> Answer:
    person = await who.person()
    return await who.post("/authenticate", user_key=person.user_key, user_secret=person.secret)


async def _find_user_key(who: Planter, admin: Person) -> Answer:
    person = await who.person()
    return await who.post("/userkey", user_id=person.name.upper(), user_secret=person.secret)


async def _refresh(who: Planter, admin: Person) -> Answer:
    token = (await who.person()).refresh_token
    for rotate in (False, True):
        answer = await who.post("/refresh", refresh_token=token, rotate=rotate)
    return answer


async def _revoke(who: Planter, admin: Person) -> Answer:
    return await who.post("/revoke", refresh_token=(await who.person()).refresh_token)


async def _show_me(who: Planter, admin: Person) -> Answer:
    return await who.ask(await who.person(), "GET", "/me")


async def _change_secret(who: Planter, admin: Person) -> Answer:
    person, new_secret = await who.person(), who.flock.new("a changed secret")
    changed = {"user_secret": person.secret, "new_user_secret": new_secret}
    answer = await who.ask(person, "POST", "/me/secret", **changed)
    await who.log_in(person.name, new_secret, person.user_key)
    return answer


async def _erase_me(who: Planter, admin: Person) -> Answer:
    person = await who.person()
    return await who.ask(person, "POST", "/me/erase", user_secret=person.secret)


async def _list_my_events(who: Planter, admin: Person) -> Answer:
    return await who.ask(await who.person(), "GET", "/me/events?limit=1")


async def _list_my_sessions(who: Planter, admin: Person) -> Answer:
    person = await who.again(await who.person())
    return await who.ask(person, "GET", "/sessions?limit=1")


async def _end_my_session(who: Planter, admin: Person) -> Answer:
    person = await who.person()
    return await who.ask(person, "DELETE", f"/sessions/{person.session_id}")


async def _end_my_sessions(who: Planter, admin: Person) -> Answer:
    return await who.ask(await who.person(), "DELETE", "/sessions?keep=current")


async def _create_user(who: Planter, admin: Person) -> Answer:
    wish = {
        "user_id": who.flock.new("a name that an administrator gave", {ANSWER}),
        "user_secret": who.flock.new("a secret that an administrator gave"),
    }
    return await who.ask(admin, "POST", "/users", **wish)


async def _list_users(who: Planter, admin: Person) -> Answer:
    person = await who.person()
    await who.ask(admin, "GET", "/users?limit=1")
    return await who.ask(admin, "GET", f"/users?user_id={person.name}")


async def _show_user(who: Planter, admin: Person) -> Answer:
    return await who.ask(admin, "GET", f"/users/{(await who.person()).user_key}")


async def _list_sessions_of_user(who: Planter, admin: Person) -> Answer:
    person = await who.again(await who.person())
    return await who.ask(admin, "GET", f"/users/{person.user_key}/sessions?limit=1")


async def _end_sessions_of_user(who: Planter, admin: Person) -> Answer:
    return await who.ask(admin, "DELETE", f"/users/{(await who.person()).user_key}/sessions")


async def _set_permissions(who: Planter, admin: Person) -> Answer:
    path = f"/users/{(await who.person()).user_key}/permissions"
    wanted = [who.flock.new("a permission", PERMITTED)]
    return await who.ask(admin, "PUT", path, permissions=wanted)


async def _reset_secret(who: Planter, admin: Person) -> Answer:
    person, new_secret = await who.person(), who.flock.new("a secret that was reset")
    path = f"/users/{person.user_key}/secret"
    answer = await who.ask(admin, "PUT", path, user_secret=new_secret)
    await who.log_in(person.name, new_secret, person.user_key)
    return answer


async def _disable_user(who: Planter, admin: Person) -> Answer:
    return await who.ask(admin, "POST", f"/users/{(await who.person()).user_key}/disable")


async def _enable_user(who: Planter, admin: Person) -> Answer:
    path = f"/users/{(await who.person()).user_key}"
    await who.ask(admin, "POST", f"{path}/disable")
    return await who.ask(admin, "POST", f"{path}/enable")


async def _erase_user(who: Planter, admin: Person) -> Answer:
    return await who.ask(admin, "DELETE", f"/users/{(await who.person()).user_key}")


async def _list_keys(who: Planter, admin: Person) -> Answer:
    return await who.ask(admin, "GET", "/keys")


async def _list_projections(who: Planter, admin: Person) -> Answer:
    return await who.ask(admin, "GET", "/projections")


async def _rebuild_projection(who: Planter, admin: Person) -> Answer:
    await _cancel_rebuild(who, admin)
    return await who.ask(admin, "POST", "/projections/revocations/rebuild", accept=False)


async def _cancel_rebuild(who: Planter, admin: Person) -> Answer:
    return await who.ask(admin, "DELETE", "/projections/revocations/rebuild")


async def _rotate_keys(who: Planter, admin: Person) -> Answer:
    return await who.ask(admin, "POST", "/keys/rotate", now=False)


async def _token(who: Planter, admin: Person) -> Answer:
    """By the form and by the header, for both grants."""
    person, new = await who.person(), who.flock.new
    path = f"/users/{person.user_key}/permissions"
    permission = new("a permission", PERMITTED)
    await who.ask(admin, "PUT", path, permissions=[permission, new("a permission", PERMITTED)])
    granted = {"grant_type": "client_credentials", "scope": permission}
    granted["resource"] = new("a parameter that is passed over")
    await who.form("/oauth/token", {**granted, **in_form(person)})
    await _by_header(who, "/oauth/token", granted, person)
    refreshed = {"grant_type": "refresh_token", "refresh_token": person.refresh_token}
    return await who.form("/oauth/token", {**refreshed, **in_form(person)})


async def _introspect(who: Planter, admin: Person) -> Answer:
    person = await who.person()
    about = {"token": person.access_token, "token_type_hint": who.flock.new("a hint")}
    await who.form("/oauth/introspect", about, person.access_token)
    await _by_header(who, "/oauth/introspect", about, person)
    await who.form("/oauth/introspect", {**in_form(person), "token": person.refresh_token})
    return await who.form("/oauth/introspect", {**in_form(person), **about})


async def _revoke_token(who: Planter, admin: Person) -> Answer:
    person = await who.person()
    about = {"token": person.access_token, "token_type_hint": who.flock.new("a hint")}
    await _by_header(who, "/oauth/revoke", about, person)
    return await who.form("/oauth/revoke", {**in_form(person), "token": person.refresh_token})


async def _list_events(who: Planter, admin: Person) -> Answer:
    path = f"/events?user_key={admin.user_key}"
    accept = f"application/x-ndjson, {who.flock.new('what nobody has')}/json;q=0.1"
    await who.send("GET", path, headers={**admin.bearer, "Accept": accept})
    return await who.ask(admin, "GET", f"{path}&limit=1&order=desc")


async def _follow_events(who: Planter, admin: Person) -> Answer:
    return await who.ask(admin, "GET", f"/events/stream?user_key={admin.user_key}")


async def _list_revocations(who: Planter, admin: Person) -> Answer:
    return await who.get("/revocations?limit=1")


async def _follow_revocations(who: Planter, admin: Person) -> Answer:
    return await who.get("/revocations/stream")


async def _show_keys(who: Planter, admin: Person) -> Answer:
    headers = {"If-None-Match": f'"{who.flock.new("an ETag")}"'}
    return await who.send("GET", "/.well-known/jwks.json", headers=headers)


async def _explain_error(who: Planter, admin: Person) -> Answer:
    return await who.get("/errors/not_found")


def in_form(person: Person) -> dict[str, str]:
    """How somebody says in a form who it is."""
    return {"client_id": person.user_key, "client_secret": person.secret}


def basic(user_key: str, secret: str) -> str:
    """How a client says in a header who it is (RFC 6749 §2.3.1)."""
    both = f"{quote(user_key)}:{quote(secret)}"
    return f"Basic {base64.b64encode(both.encode()).decode()}"


async def _by_header(who: Planter, path: str, form: dict[str, str], person: Person) -> Answer:
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": basic(person.user_key, person.secret),
    }
    return await who.send("POST", path, urlencode(form).encode(), headers)


USES: Final[dict[str, Use]] = {
    "GET /.well-known/jwks.json": _show_keys,
    "POST /authenticate": _authenticate,
    "GET /errors/{code}": _explain_error,
    "GET /events": _list_events,
    "GET /events/stream": _follow_events,
    "GET /keys": _list_keys,
    "POST /keys/rotate": _rotate_keys,
    "GET /me": _show_me,
    "POST /me/erase": _erase_me,
    "GET /me/events": _list_my_events,
    "POST /me/secret": _change_secret,
    "POST /oauth/introspect": _introspect,
    "POST /oauth/revoke": _revoke_token,
    "POST /oauth/token": _token,
    "GET /projections": _list_projections,
    "DELETE /projections/{name}/rebuild": _cancel_rebuild,
    "POST /projections/{name}/rebuild": _rebuild_projection,
    "POST /refresh": _refresh,
    "POST /register": _register,
    "GET /revocations": _list_revocations,
    "GET /revocations/stream": _follow_revocations,
    "POST /revoke": _revoke,
    "DELETE /sessions": _end_my_sessions,
    "GET /sessions": _list_my_sessions,
    "DELETE /sessions/{session_id}": _end_my_session,
    "POST /userkey": _find_user_key,
    "GET /users": _list_users,
    "POST /users": _create_user,
    "DELETE /users/{user_key}": _erase_user,
    "GET /users/{user_key}": _show_user,
    "POST /users/{user_key}/disable": _disable_user,
    "POST /users/{user_key}/enable": _enable_user,
    "PUT /users/{user_key}/permissions": _set_permissions,
    "PUT /users/{user_key}/secret": _reset_secret,
    "DELETE /users/{user_key}/sessions": _end_sessions_of_user,
    "GET /users/{user_key}/sessions": _list_sessions_of_user,
}
TAKING_NOTHING: Final[dict[str, str]] = {
    "GET /.well-known/oauth-authorization-server": "the same for everybody",
    "GET /healthz": "the process says that it is there",
    "GET /metrics": "the figures as they are; they are searched in the end",
    "GET /readyz": "the service looks at itself",
    "GET /version": "the release and the log, whoever asks",
}
"""Operations that take no text from outside but what every request has, and why."""


def gaps(operations: Iterable[Operation] = OPERATIONS) -> Iterator[str]:
    """What is forgotten: an operation without a use, one that does take something, one that isn't.

    With it a new operation can't be left out.
    """
    described = {f"{each}": each for each in operations}
    for name, operation in described.items():
        if name in TAKING_NOTHING and not operation.takes_nothing:
            yield f"{name}: it is said to take nothing, but it does"
        elif name not in TAKING_NOTHING and name not in USES:
            yield f"{name}: nothing is planted there"
    for name in USES.keys() | TAKING_NOTHING.keys():
        if name not in described:
            yield f"{name}: there is no such operation"


async def use_rightly(who: Planter, admin: Person, operation: Operation, tally: Tally) -> None:
    """Ask what the operation is for; every request of it has to succeed."""
    use, before = USES.get(f"{operation}"), len(who.flock.refusals)
    if use is not None:
        await use(who, admin)
    else:
        await who.send(operation.method, operation.path)
    for refused in who.flock.refusals[before:]:
        tally.wrong(f"{operation}, used as it is meant: {refused!r}")
