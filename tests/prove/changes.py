"""Changes besides what people at work do always: `load.CHANGES`, as the log tells them apart.

Each is asked for of somebody new, by the person or by an administrator, and some again when it was
answered 503, so that the log tells whether it is there, and that it is there once; a next signing
key, which is nobody's, is there from the first who asks until it signs. Knows no store but the one
that has to be made before it is served.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import argon2

from app.store import open_store, storage_of
from app.vault import Vault
from app.writer import Wish, Writer
from domain import events
from domain.commands import GrantPermissions
from domain.policy import Policy
from domain.stream import actor_of, user_key_of
from tests.prove.client import Client, a_source
from tests.prove.load import SECRET, at_work, log_in, new_name, register, session_of
from tests.running import MASTER
from tests.store.wishing import commit, meta, user_key
from tests.store.wishing import register as registered

if TYPE_CHECKING:
    import asyncio

    from domain.stream import Recorded
    from tests.prove.client import Answer
    from tests.prove.load import Ledger

CHANGERS: Final = 4
"""People who see to changes beside all others."""
PERMISSION: Final = "events:read"
_NEW_SECRET: Final = "a donkey that eats marmalade"

Change = Callable[[Client, "Ledger", str, str], Awaitable[None]]
"""Somebody is changed, by an access token of an administrator's or by himself."""


def have_administrator(url: str, ledger: Ledger) -> None:
    """Make one in a store that nobody serves, which is made if need be; changes may begin."""
    name = new_name()
    store = open_store(storage_of(url), Vault(MASTER), "ES256")
    writer = Writer(store.log, store.vault, store.ring, Policy())
    secret_hash = argon2.PasswordHasher(1, 8, 1).hash(SECRET)
    permitted = Wish(GrantPermissions(user_key(name), ("admin",)), meta())
    commit(writer, [registered(name, name, secret_hash), permitted])
    store.storage.close()
    ledger.names.add(name)
    ledger.administrator = user_key(name)
    ledger.beside = (partial(changer, list[Change]()),) * CHANGERS


def change_of(recorded: Recorded) -> str | None:  # noqa: C901, PLR0912 - one case an event
    """What a ledger calls the change that was recorded; None for anything else.

    Some are the same event, and who asked tells them apart.
    """
    match recorded.event:
        case events.UserRegistered() if user_key_of(recorded.meta.actor):
            kind = "registered by an administrator"
        case events.UserLoggedIn(by="client_credentials"):
            kind = "service session"
        case events.UserSecretChanged():
            own = recorded.meta.actor == actor_of(recorded.stream)
            kind = "secret" if own else "secret reset"
        case events.UserPermissionsSet(permissions):
            kind = "permissions given" if permissions else "permissions taken"
        case events.UserDisabled():
            kind = "disabled"
        case events.UserEnabled():
            kind = "enabled"
        case events.RefreshTokenRotated():
            kind = "rotated"
        case events.RefreshTokenRevoked(why="owner"):
            kind = "one ended"
        case events.RefreshTokenRevoked(why="end_all"):
            kind = "all ended"
        case events.RefreshTokenRevoked(why="admin"):
            kind = "all ended by an administrator"
        case events.UserErased():
            kind = "erased"
        case events.SigningKeyAdded(kid):
            return f"next key {kid}"
        case _:
            return None
    return f"{kind} {recorded.stream}"


async def changer(ways: list[Change], port: int, ledger: Ledger, over: asyncio.Event) -> None:
    """One change after another until it is over; when the connection is cut, so is the work.

    What is left of the `ways` goes on in the next life: none is asked for again before all were.
    """
    async with Client(port, a_source()) as client:
        with at_work(client, ledger):
            token = ""
            while not over.is_set():
                token = token or await _log_in(client, ledger, ledger.administrator)
                who = await register(client, ledger)
                if token and who:
                    ways.extend(() if ways else random.sample(_WAYS, len(_WAYS)))
                    await ways.pop()(client, ledger, who, token)


async def _log_in(client: Client, ledger: Ledger, who: str, what: str = "access_token") -> str:
    """A token, or nothing; no session that anybody has to have later."""
    ledger.logins[who] += 1
    answer = await client.post("/authenticate", user_key=who, user_secret=SECRET)
    known = ledger.note("/authenticate", answer, 200, 503)
    return str(answer.json[what]) if known else ""


async def _secret(client: Client, ledger: Ledger, who: str, token: str) -> None:
    del token
    if own := await _log_in(client, ledger, who):
        secrets = {"user_secret": SECRET, "new_user_secret": _NEW_SECRET}
        ledger.asked[f"secret {who}"] += 1
        answer = await client.call("POST", "/me/secret", own, **secrets)
        if _note(ledger, f"secret {who}", answer):
            await _try_secrets(client, ledger, who)


async def _reset_secret(client: Client, ledger: Ledger, who: str, token: str) -> None:
    ledger.asked[f"secret reset {who}"] += 1
    path = f"/users/{who}/secret"
    answer = await client.call("PUT", path, token, user_secret=_NEW_SECRET)
    if _note(ledger, f"secret reset {who}", answer):
        await _try_secrets(client, ledger, who)


async def _try_secrets(client: Client, ledger: Ledger, who: str) -> None:
    """Somebody gets in by the new one, and not by the one before."""
    await log_in(client, ledger, who, _NEW_SECRET)
    # An address may try so much in vain.
    async with Client(client.port, a_source()) as elsewhere:
        answer = await elsewhere.post("/authenticate", user_key=who, user_secret=SECRET)
        ledger.note("/authenticate by the secret before", answer, 401, 503)


async def _permissions(client: Client, ledger: Ledger, who: str, token: str) -> None:
    path = f"/users/{who}/permissions"
    for kind, permissions in (("given", [PERMISSION]), ("taken", [])):
        ask = partial(client.call, "PUT", path, token, permissions=permissions)
        if not await _insist(ledger, f"permissions {kind} {who}", ask):
            return


async def _disable(client: Client, ledger: Ledger, who: str, token: str) -> None:
    for kind in ("disable", "enable"):
        ask = partial(client.call, "POST", f"/users/{who}/{kind}", token)
        if not await _insist(ledger, f"{kind}d {who}", ask):
            return


async def _rotate(client: Client, ledger: Ledger, who: str, token: str) -> None:
    del token
    if own := await _log_in(client, ledger, who, "refresh_token"):
        ask = partial(client.post, "/refresh", refresh_token=own, rotate=True)
        await _insist(ledger, f"rotated {who}", ask)


async def _serve(client: Client, ledger: Ledger, who: str, token: str) -> None:
    del token
    ledger.logins[who] += 1
    form = {"grant_type": "client_credentials", "client_id": who, "client_secret": SECRET}
    await _insist(ledger, f"service session {who}", partial(client.form, "/oauth/token", form))


async def _end_one(client: Client, ledger: Ledger, who: str, token: str) -> None:
    del token
    own = await _log_in(client, ledger, who)
    other = await _log_in(client, ledger, who, "refresh_token")
    if own and other:
        ask = partial(client.call, "DELETE", f"/sessions/{session_of(other)}", own)
        if await _insist(ledger, f"one ended {who}", ask):
            ledger.ended[session_of(other)] = other


async def _end_all(client: Client, ledger: Ledger, who: str, token: str) -> None:
    del token
    if own := await _log_in(client, ledger, who):
        ledger.asked[f"all ended {who}"] += 1
        _note(ledger, f"all ended {who}", await client.call("DELETE", "/sessions", own))


async def _end_all_of(client: Client, ledger: Ledger, who: str, token: str) -> None:
    if ended := await _log_in(client, ledger, who, "refresh_token"):
        ask = partial(client.call, "DELETE", f"/users/{who}/sessions", token)
        if await _insist(ledger, f"all ended by an administrator {who}", ask):
            ledger.ended[session_of(ended)] = ended


async def _register(client: Client, ledger: Ledger, who: str, token: str) -> None:
    """Somebody else: of whom it was asked is known only with the answer."""
    del who
    if made := await register(client, ledger, token):
        change = f"registered by an administrator {made}"
        ledger.asked[change] += 1
        ledger.changes[change] = _kind(change)


async def _rotate_keys(client: Client, ledger: Ledger, who: str, token: str) -> None:
    """While a key waits to take over, nothing changes: it is the one that the first asked for."""
    del who
    answer = await client.call("POST", "/keys/rotate", token, now=False)
    if ledger.note("/keys/rotate", answer, 200, 503):
        waiting = [each["kid"] for each in answer.json["items"] if each["state"] == "next"]
        for change in (f"next key {kid}" for kid in waiting):
            if change not in ledger.changes:
                ledger.asked[change] += 1
                ledger.changes[change] = _kind(change)


async def erase(client: Client, ledger: Ledger, who: str, token: str) -> None:
    """An administrator erases somebody, by an access token."""
    ledger.asked[f"erased {who}"] += 1
    _note(ledger, f"erased {who}", await client.call("DELETE", f"/users/{who}", token))


async def _erase_oneself(client: Client, ledger: Ledger, who: str, token: str) -> None:
    del token
    if own := await _log_in(client, ledger, who):
        ledger.asked[f"erased {who}"] += 1
        answer = await client.call("POST", "/me/erase", own, user_secret=SECRET)
        _note(ledger, f"erased {who}", answer)


async def _insist(ledger: Ledger, change: str, ask: Callable[[], Awaitable[Answer]]) -> bool:
    """Ask, and again where it was answered 503; whether it was acknowledged."""
    ledger.asked[change] += 1
    answer = await ask()
    if answer.status == 503:
        ledger.note(_kind(change), answer, 200, 503)
        answer = await ask()
    return _note(ledger, change, answer)


def _note(ledger: Ledger, change: str, answer: Answer) -> bool:
    """Whether it was acknowledged; 202 is of an erasure of which bytes are still in a file."""
    kind = _kind(change)
    success = next((status for status in (200, 202, 204) if status == answer.status), 200)
    if ledger.note(kind, answer, success, 503):
        ledger.changes[change] = kind
    return change in ledger.changes


def _kind(change: str) -> str:
    return change.rpartition(" ")[0]


_WAYS: Final[tuple[Change, ...]] = (
    *(_secret, _reset_secret, _permissions, _disable, erase, _erase_oneself, _rotate, _serve),
    *(_end_one, _end_all, _end_all_of, _register, _rotate_keys),
)
