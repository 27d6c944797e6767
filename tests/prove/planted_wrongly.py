"""Canaries in every place of a request that there is, and in some that there are not.

What is described decides which places those are, so that nothing is forgotten; most of it is
refused. Knows no operation by name.
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlencode

from tests.prove.client import Cut
from tests.prove.flock import ANSWER, DATABASE, REFUSAL
from tests.prove.planted_rightly import basic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.prove.described import Operation, Schema
    from tests.prove.planter import Person, Planter

    New = Callable[..., str]
    """Lets out a canary, by what it stands for."""

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
POINTED: Final = frozenset({REFUSAL})
"""Where the name of what isn't known may be: a refusal points to it (RFC 6901)."""
NAMED: Final = frozenset({ANSWER, DATABASE, REFUSAL})
"""Where a permission may be: it is neither secret nor personal."""
TOO_LONG: Final = 17 * 1024

_SHOWN: Final = {"user_id": frozenset({ANSWER}), "scope": NAMED}

_SCHEMES: Final = (
    "Bearer {}", "bearer  {}", "Basic {}", "Digest {}", "{}", "Bearer eyJ{}.eyJ{}.{}",
)  # fmt: skip
_STRAYS: Final = (
    "/{}", "/errors/{}", "/me/{}", "/%00{}", "/register/..%2f{}", "/{}?{}", "/schema/{}",
)  # fmt: skip
_NO_METHOD: Final = "PATCH"
"""Nothing takes it."""
_HEADERS: Final = (
    "Last-Event-ID", "If-None-Match", "Accept", "Accept-Language", "Forwarded", "X-Real-IP",
    "Proxy-Authorization", "X-Api-Key", "X-Request-Id", "Traceparent", "Host",
)  # fmt: skip


class Wish(NamedTuple):
    """A request; `path` with a query, if it has one."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = {}


class Setting(NamedTuple):
    """Beside whom canaries are planted: what an operation is about is the victim's."""

    admin: Person
    plain: Person
    """Somebody who holds nothing."""
    victim: Person

    def path(self, operation: Operation) -> str:
        """A path that leads somewhere."""
        real = {
            "user_key": self.victim.user_key,
            "session_id": self.victim.session_id,
            "code": "not_found",
            "name": "revocations",
        }
        return operation.path.format_map(real)


async def use_wrongly(who: Planter, setting: Setting, operation: Operation) -> None:
    """Plant in all of its places, as an administrator, as somebody without rights, as nobody."""
    new = partial(_named, who, f"{operation}")
    for wish in wishes(operation, setting, new):
        await plant(who, wish)


async def plant(who: Planter, wish: Wish) -> None:
    """Ask, whatever comes of it."""
    with suppress(Cut):  # a head that is none may be answered with the end of the connection
        await who.send(*wish)


def wishes(operation: Operation, setting: Setting, new: New) -> Iterator[Wish]:
    """Every request that plants there."""
    method, path = operation.method, setting.path(operation)
    nowhere = operation.path.format_map({each: new(each) for each in operation.places})
    for headers in (setting.admin.bearer, setting.plain.bearer, {}):
        yield Wish(method, nowhere, *_body(operation, headers, new))
    queries = [*_queries(operation, new)]
    for query in queries:
        yield Wish(method, f"{path}?{query}", *_body(operation, setting.admin.bearer, new))
    yield Wish(method, f"{path}?{'&'.join(queries)}", *_body(operation, {}, new))
    if operation.members:
        for body in [*_members(operation.members, new), *_no_json(new)]:
            yield Wish(method, path, body, setting.admin.bearer)
    if operation.form:
        yield from _forms(operation, path, setting, new)
    for each in _other_headers(new):
        yield Wish(method, path, None, {**setting.admin.bearer, **each})
    for scheme in _SCHEMES if operation.secured else _SCHEMES[:1]:
        given = {"Authorization": scheme.replace("{}", new("an Authorization header"))}
        yield Wish(method, path, *_body(operation, given, new))
    yield Wish(_NO_METHOD, path, new("a body for another method").encode())


def strays(new: New) -> Iterator[Wish]:
    """What is about no operation at all."""
    for path in _STRAYS:
        yield Wish("GET", path.replace("{}", new("a path")))
    yield Wish(new("a method").upper(), "/me")
    preflight = {
        "Access-Control-Request-Method": new("a method asked for"),
        "Access-Control-Request-Headers": new("a header asked for"),
    }
    yield Wish("OPTIONS", "/me", None, preflight)
    yield Wish("GET", "/me", None, {new("a header's name"): new("a header")})
    yield Wish("GET", f"/{new('a path')}", None, {"Bad\x00": new("a header that is none")})


def _named(who: Planter, where: str, what: str, shown: frozenset[str] = frozenset()) -> str:
    return who.flock.new(f"{where}: {what}", shown)


def _body(
    operation: Operation, headers: Mapping[str, str], new: New
) -> tuple[bytes | None, Mapping[str, str]]:
    """A body in which everything is a canary, if there is to be one; with its headers."""
    if operation.members:
        members = {name: _value(name, each, new) for name, each in operation.members.items()}
        return json.dumps(members).encode(), headers
    if operation.form:
        form = {name: _parameter(name, new) for name in operation.form}
        return urlencode(form).encode(), {"Content-Type": FORM, **headers}
    return None, headers


def _value(name: str, schema: Schema, new: New) -> object:
    """One of the right type, as far as a canary can be of it."""
    if schema["type"] == "array":
        return [new(f"an item of {name}", NAMED), f"{new(f'an item of {name}')} !"]
    if schema["type"] == "boolean":
        return False
    return _parameter(name, new)


def _parameter(name: str, new: New) -> str:
    return new(name, _SHOWN.get(name, frozenset()))


def _queries(operation: Operation, new: New) -> Iterator[str]:
    for name in operation.queries:
        yield f"{name}={new(f'the query parameter {name}')}"
        twice = new(f"the query parameter {name}, twice")
        yield f"{name}={twice}&{name}={twice}"
    yield f"{new('the name of a query parameter', POINTED)}={new('an unknown query parameter')}"
    yield f"access_token={new('a token in the query')}"
    yield new("a query", POINTED)


def _members(members: Mapping[str, Schema], new: New) -> Iterator[bytes]:
    """Objects in which one member is wrong, in every way that comes to mind."""
    right = {name: _value(name, each, new) for name, each in members.items()}
    for name in members:
        secret = new(f"{name} inside of what it can't be")
        for wrong in ([f"{secret} !"], {secret: secret}, {"in": {"it": secret}}, f"{secret}\u2028"):
            yield json.dumps({**right, name: wrong}).encode()
        if name.endswith("token"):
            for form in ("gbr_{}", "eyJ{}.eyJ{}.{}"):
                text = form.replace("{}", new(f"{name} that looks like one"))
                yield json.dumps({**right, name: text.ljust(81, "0")}).encode()
        yield json.dumps({**right, name: new(f"{name}, too short")[:7]}).encode()
        yield json.dumps({**right, name: new(f"{name}, too long") * 60}).encode()
        yield json.dumps({each: right[each] for each in right if each != name}).encode()
        member = f'"{name}": "{new(f"{name}, repeated")}"'
        yield f"{{{member}, {member}}}".encode()
    unknown = {new("the name of a member", POINTED): new("an unknown member")}
    yield json.dumps({**right, **unknown}).encode()
    yield json.dumps({**right, "permissions": {"x": new("permissions that can't be")}}).encode()


def _no_json(new: New) -> Iterator[bytes]:
    broken = new("broken JSON")
    yield f'{{"user_id": "{broken}", "user_secret": "{broken}'.encode()
    yield new("no JSON").encode()
    yield b'{"user_secret": "' + new("invalid UTF-8").encode() + b'\xff"}'
    yield json.dumps([new("a list")]).encode()
    yield json.dumps(new("a text")).encode()
    yield b"[" * 40 + new("a depth").encode()
    yield json.dumps({"user_secret": new("a body, too long")}).encode().ljust(TOO_LONG)
    yield urlencode({"user_secret": new("a form in place of JSON")}).encode()


def _forms(operation: Operation, path: str, setting: Setting, new: New) -> Iterator[Wish]:
    """Forms with a canary in one place, by a client that there is and by one that there isn't."""
    client = setting.plain
    known = {"client_id": client.user_key, "client_secret": client.secret}
    usual = {name: each["enum"][0] for name, each in operation.form.items() if "enum" in each}
    for name in operation.form:
        for each in (_parameter(name, new), f"gbr_{new(name)}".ljust(81, "0"), f"{new(name)} !"):
            yield _form(operation, path, {**usual, **known, name: each})
        twice = new(f"{name}, repeated")
        yield _form(operation, path, [*usual.items(), *known.items(), (name, twice), (name, twice)])
    unknown = {new("the name of a parameter"): new("an unknown parameter")}
    yield _form(operation, path, {**usual, **known, **unknown})
    other = {"grant_type": "refresh_token", "refresh_token": new("a refresh token")}
    yield _form(operation, path, {**other, **known, "token": new("a token")})
    for kind, text in (
        (FORM, f"token=%zz{new('no form')}"),
        (JSON, json.dumps({"token": new("JSON in place of a form")})),
    ):
        yield Wish(operation.method, path, text.encode(), {"Content-Type": kind})
    yield _form(operation, path, {"token": new("a form, too long").ljust(TOO_LONG, "x")})
    for header in _basics(client, new):
        yield _form(operation, path, {**usual, "token": new("a token")}, header)
        yield _form(operation, path, {**usual, **known, "token": new("a token")}, header)


def _basics(client: Person, new: New) -> Iterator[str]:
    """Clients in a header: unknown, with a wrong secret, unreadable."""
    yield basic(new("a client in a header"), new("a secret in a header"))
    yield basic(client.user_key, new("a wrong secret in a header"))
    yield f"Basic {base64.b64encode(new('a header without a colon').encode()).decode()}"
    yield f"Basic {new('a header that is no base64')}!"
    yield f"Bearer {new('a bearer at a form')}"


def _form(
    operation: Operation,
    path: str,
    parameters: Mapping[str, str] | list[tuple[str, str]],
    authorization: str = "",
) -> Wish:
    headers = {"Content-Type": FORM} | ({"Authorization": authorization} if authorization else {})
    return Wish(operation.method, path, urlencode(parameters).encode(), headers)


def _other_headers(new: New) -> Iterator[dict[str, str]]:
    yield {name: new(f"the header {name}") for name in _HEADERS}
    yield {
        "X-Forwarded-For": new("no address"),
        "User-Agent": new("a user agent, and a long one", {ANSWER}) * 12,
    }
    kind = f"application/json; charset={new('a media type')}"
    yield {"Content-Type": kind, "Content-Length": "0"}
