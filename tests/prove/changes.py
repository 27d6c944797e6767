"""Changes of people: another secret, permissions, disabled, enabled, erased, rotated, all ended.

Each is asked for of somebody new, by the person or by an administrator, and some again when it was
answered 503, so that the log tells whether it is there, and that it is there once. Knows no store
but the one that has to be made before it is served.
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
from tests.prove.client import Client, a_source
from tests.prove.load import SECRET, at_work, new_name, register
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
    ledger.beside = (changer,) * CHANGERS


def change_of(recorded: Recorded) -> str | None:
    """What a ledger calls the change that was recorded; None for anything else."""
    match recorded.event:
        case events.UserSecretChanged():
            kind = "secret"
        case events.UserPermissionsSet(permissions):
            kind = "permissions given" if permissions else "permissions taken"
        case events.UserDisabled():
            kind = "disabled"
        case events.UserEnabled():
            kind = "enabled"
        case events.RefreshTokenRotated():
            kind = "rotated"
        case events.RefreshTokenRevoked(why="end_all"):
            kind = "all ended"
        case events.UserErased():
            kind = "erased"
        case _:
            return None
    return f"{kind} {recorded.stream}"


async def changer(port: int, ledger: Ledger, over: asyncio.Event) -> None:
    """One change after another until it is over; when the connection is cut, so is the work."""
    async with Client(port, a_source()) as client:
        with at_work(client, ledger):
            token, ways = "", list[Change]()
            while not over.is_set():
                token = token or await _log_in(client, ledger, ledger.administrator)
                who = await register(client, ledger)
                if token and who:
                    ways = ways or random.sample(_WAYS, len(_WAYS))
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
        _note(ledger, f"secret {who}", await client.call("POST", "/me/secret", own, **secrets))


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


async def _end_all(client: Client, ledger: Ledger, who: str, token: str) -> None:
    del token
    if own := await _log_in(client, ledger, who):
        ledger.asked[f"all ended {who}"] += 1
        _note(ledger, f"all ended {who}", await client.call("DELETE", "/sessions", own))


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
    *(_secret, _permissions, _disable, erase, _erase_oneself, _rotate, _end_all),
)
