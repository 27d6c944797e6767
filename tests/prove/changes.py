"""Changes of people besides their sessions: another secret, permissions, disabled, erased.

Each is asked for once of somebody new, by the person or by an administrator, so that the log tells
whether it is there, and that it is there once. Knows no store but the one that has to be made
before it is served.
"""

from __future__ import annotations

import random
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
        case events.UserErased():
            kind = "erased"
        case _:
            return None
    return f"{kind} {recorded.stream}"


async def changer(port: int, ledger: Ledger, over: asyncio.Event) -> None:
    """One change after another until it is over; when the connection is cut, so is the work."""
    async with Client(port, a_source()) as client:
        with at_work(client, ledger):
            token = ""
            while not over.is_set():
                token = token or await _log_in(client, ledger, ledger.administrator)
                who = await register(client, ledger)
                if token and who:
                    await random.choice((_secret, _permissions, _disable, erase, _erase_oneself))(
                        client, ledger, who, token
                    )


async def _log_in(client: Client, ledger: Ledger, who: str) -> str:
    """An access token, or nothing; no session that anybody has to have later."""
    ledger.logins[who] += 1
    answer = await client.post("/authenticate", user_key=who, user_secret=SECRET)
    known = ledger.note("/authenticate", answer, 200, 503)
    return str(answer.json["access_token"]) if known else ""


async def _secret(client: Client, ledger: Ledger, who: str, token: str) -> None:
    del token
    if own := await _log_in(client, ledger, who):
        secrets = {"user_secret": SECRET, "new_user_secret": _NEW_SECRET}
        ledger.asked[f"secret {who}"] += 1
        _note(ledger, f"secret {who}", await client.call("POST", "/me/secret", own, **secrets))


async def _permissions(client: Client, ledger: Ledger, who: str, token: str) -> None:
    path = f"/users/{who}/permissions"
    for kind, permissions in (("given", [PERMISSION]), ("taken", [])):
        ledger.asked[f"permissions {kind} {who}"] += 1
        answer = await client.call("PUT", path, token, permissions=permissions)
        if not _note(ledger, f"permissions {kind} {who}", answer):
            return


async def _disable(client: Client, ledger: Ledger, who: str, token: str) -> None:
    ledger.asked[f"disabled {who}"] += 1
    answer = await client.call("POST", f"/users/{who}/disable", token)
    _note(ledger, f"disabled {who}", answer)


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


def _note(ledger: Ledger, change: str, answer: Answer) -> bool:
    """Whether it was acknowledged; 202 is of an erasure of which bytes are still in a file."""
    kind = change.rpartition(" ")[0]
    success = next((status for status in (200, 202, 204) if status == answer.status), 200)
    if ledger.note(kind, answer, success, 503):
        ledger.changes[change] = kind
    return change in ledger.changes
