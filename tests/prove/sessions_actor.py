"""One of a process's actors: uses and ends sessions, one after the other, and notes everything.

What it knows of other processes stands on the board.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from tests.prove.board import secret
from tests.prove.checker import Did, Op
from tests.prove.client import Client, Cut
from tests.prove.held import Held, sid_of
from tests.prove.load import session_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.prove.client import Answer
    from tests.prove.sessions_client import Process

WATCHED: Final = "users:read"
"""The permission that comes and goes."""
HELD: Final = 2
"""Sessions that a process wants of each user."""
ENDING: Final = 0.2
"""How often an act is an end."""
GRANTING: Final = 0.06
"""How often what isn't an end is a grant to a program."""
PROBES: Final = 2
"""Other sessions of a user that are tried at once when something has ended."""
PAUSE_S: Final = 0.1
"""After a cut, since the process that was asked may not be there yet."""
TRIES: Final = 4
"""Of what a breach may refuse one time in three."""
FORGOTTEN: Final = 0.75
"""How often one that was refused isn't tried again."""

_USES: Final = {"refresh": 30, "rotate": 15, "me": 25, "users": 15, "introspect": 15}
_BEARING: Final = {"me": 25, "users": 15, "introspect": 15}
"""What can be done with an access token alone."""
ENDS: Final = {
    "revoke": 22,
    "end_session": 22,
    "end_all": 8,
    "end_others": 10,
    "change_secret": 10,
    "reset_secret": 6,
    "disable": 7,
    "withdraw": 9,
    "end_sessions_of": 6,
}
INTROSPECT: Final = "/oauth/introspect"
_REFUSED: Final = b'{"code": "invalid_token", "reason": "inactive"}'


class Actor:
    """One thing at a time, on connections of its own to every server."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._order = process.order
        self._clients = [Client(port) for port in process.order.ports]

    async def act(self) -> None:
        """Log in where sessions are wanting, else use one or end some."""
        while self._process.revocations < self._order.revocations:
            user = random.randrange(len(self._order.users) - self._order.mortal)
            held = self._free(user)
            if len(self._process.held[user]) < HELD or not held:
                await self._log_in(user)
            elif random.random() < ENDING:
                await self._end(random.choice(held))
            elif random.random() < GRANTING:
                await self._grant(user)
            else:
                await self._use(random.choice(held))
        for client in self._clients:
            await client.close()

    async def erase(self) -> None:
        """Erase those whose turn it is here; then try what they had, and to log in, anywhere."""
        number = len(self._order.users)
        for user in range(number - self._order.mortal, number):
            if user % self._order.processes == self._order.number:
                await self._erase(user)
        for client in self._clients:
            await client.close()

    async def _erase(self, user: int) -> None:
        while len(self._process.held[user]) < HELD:
            await self._log_in(user)
        had = [*self._process.held[user]]
        for held in had:
            await self._use(held, "me")
        path, what = f"/users/{self._order.users[user]}", "/users/{user_key}"
        answer: Answer | None = None
        while answer is None or answer.status >= 300:
            op = {"did": "erase", "user": user, "what": what}
            answer = await self._ask("DELETE", path, self._order.admin, op)
        for kind in ("me", "refresh", "introspect", "me"):
            for held in had:
                await self._use(held, kind)
            await self._log_in(user)

    async def break_in(self, disabled: int, changed: int) -> None:
        """Use one's session; log in as who was disabled since, and by a secret of before."""
        await self._log_in(disabled)
        await self._log_in(changed)
        (held,) = self._process.held[disabled]
        for _ in range(TRIES):
            await self._use(held, "me")
        for _ in range(TRIES):
            await self._administer("POST", disabled, "disable", "disable")
            await self._administer("PUT", changed, "secret", "secret", 1, user_secret=secret(1))
        await self._log_in(disabled)
        await self._log_in(changed)
        for client in self._clients:
            await client.close()

    def _free(self, user: int) -> list[Held]:
        return [each for each in self._process.held[user] if not each.busy]

    async def _ask(
        self, method: str, path: str, token: str, op: dict[str, Any], **members: object
    ) -> Answer | None:
        """One request, noted as `op` says; None when it was cut."""

        async def send(client: Client, via: str) -> Answer:
            return await client.call(method, path, token, via=via, **members)

        return await self._noted(f"{method} {op.pop('what', path)}", op, send)

    async def _introspect(self, held: Held) -> Answer | None:
        """Let an administrator ask what an access token is worth.

        Of one that is worth nothing it is told as of one that is refused.
        """
        op: dict[str, Any] = {"holder": held.user, "session": held.session}

        async def send(client: Client, via: str) -> Answer:
            form = {"token": held.access_token}
            answer = await client.form(INTROSPECT, form, self._order.admin, via=via)
            if answer.status != 200:
                return answer
            op["demands"] = WATCHED in answer.json.get("scope", "").split()
            return answer if answer.json["active"] else answer._replace(status=401, body=_REFUSED)

        return await self._noted(f"POST {INTROSPECT}", op, send)

    async def _noted(
        self, what: str, op: dict[str, Any], send: Callable[[Client, str], Awaitable[Answer]]
    ) -> Answer | None:
        user = op.get("holder", op.get("user", 0))
        answer: Answer | None = None
        begun = time.monotonic_ns()
        with suppress(Cut):
            via = f"10.{self._order.number}.{user % 256}.1"
            answer = await send(random.choice(self._clients), via)
        answered = time.monotonic_ns()
        status = answer.status if answer else 0
        if answer is None:
            await asyncio.sleep(PAUSE_S)
        if op.get("did") == "begin" and answer and status == 200:
            op["target"] = session_of(answer.json["refresh_token"])
        refused = answer is not None and status == 401 and answer.code == "invalid_token"
        if refused and answer is not None:
            what += f", {answer.json.get('reason')}"
        self._process.history.append(Op(begun, answered, what, status, refused=refused, **op))
        return answer

    async def _log_in(self, user: int) -> None:
        for number in dict.fromkeys(self._process.board.read(user)):
            op = {"did": "begin", "user": user, "value": number}
            wish = {"user_key": self._order.users[user], "user_secret": secret(number)}
            answer = await self._ask("POST", "/authenticate", "", op, **wish)
            if answer is not None and answer.status == 200:
                self._process.held[user].append(Held(user, **answer.json))
                return
        await asyncio.sleep(0.02)  # disabled, or the secret has just been changed

    async def _grant(self, user: int) -> None:
        """Let a program of the user's ask for a token; what it had before is forgotten."""
        for number in dict.fromkeys(self._process.board.read(user)):
            answer = await self._granted(user, number)
            if answer is not None and answer.status == 200:
                held = self._process.held[user]
                held[:] = [each for each in held if each.refresh_token or each.busy]
                held.append(Held(user, answer.json["access_token"]))
                return

    async def _granted(self, user: int, number: int) -> Answer | None:
        op: dict[str, Any] = {"did": "grant", "user": user, "value": number}

        async def send(client: Client, via: str) -> Answer:
            form = {"grant_type": "client_credentials", "client_secret": secret(number)}
            form |= {"client_id": self._order.users[user]}
            answer = await client.form("/oauth/token", form, via=via)
            if answer.status == 200:
                op["session"] = sid_of(answer.json["access_token"])
            return answer

        return await self._noted("POST /oauth/token", op, send)

    async def _use(self, held: Held, kind: str = "") -> None:
        held.busy = True
        try:
            uses = _USES if held.refresh_token else _BEARING
            kind = kind or random.choices([*uses], [*uses.values()])[0]
            if kind in {"refresh", "rotate"}:
                answer = await self._refresh(held, rotate=kind == "rotate")
            else:
                answer = await self._show(held, kind)
        finally:
            held.busy = False
        if answer is not None and answer.status == 401 and random.random() < FORGOTTEN:
            self._forget(held)

    async def _refresh(self, held: Held, *, rotate: bool) -> Answer | None:
        op = {"holder": held.user, "session": held.session}
        wish: dict[str, object] = {"refresh_token": held.refresh_token}
        wish |= {"rotate": True} if rotate else {}
        # Without a clear answer the token may be retired: it is shown again, while it may.
        while True:
            answer = await self._ask("POST", "/refresh", "", op.copy(), **wish)
            if answer is not None and answer.status != 503:
                break
        if answer.status == 200:
            held.access_token = answer.json["access_token"]
            held.refresh_token = answer.json.get("refresh_token", held.refresh_token)
        return answer

    async def _show(self, held: Held, kind: str) -> Answer | None:
        token = held.access_token
        op: dict[str, Any] = {"holder": held.user, "session": held.session}
        if kind == "introspect":
            return await self._introspect(held)
        if kind == "users":
            op |= {"demands": True, "what": "/users"}
            return await self._ask("GET", "/users?limit=1", token, op)
        return await self._ask("GET", "/me", token, op)

    def _forget(self, held: Held) -> None:
        if held in self._process.held[held.user]:
            self._process.held[held.user].remove(held)

    async def _end(self, held: Held) -> None:
        """End something, as this session's owner or as an administrator; then try what ended.

        The session itself is used just before, so that whoever remembers anything remembers it.
        """
        kind = self._process.draw()
        await self._use(held, "users")
        if kind in {"change_secret", "reset_secret"}:
            mine = held.user % self._order.processes == self._order.number
            done = mine and await self._change_secret(held, kind)
        elif kind == "end_session":
            done = await self._end_one(held)
        else:
            done = await self._end_by(held, kind)
        if not done:
            # Without a clear answer it may have been done.
            await self._restore(held.user, kind)
            return
        self._process.revocations += 1
        others = [each for each in self._process.held[held.user] if each is not held]
        for each in [held, *random.sample(others, min(PROBES, len(others)))]:
            if not each.busy:
                demanding = random.choice(("users", "introspect"))
                await self._use(each, demanding if kind == "withdraw" else "")
        await self._restore(held.user, kind)

    async def _restore(self, user: int, kind: str) -> None:
        """Enable whom this disabled, and give the permission back that it took."""
        if kind in {"disable", "withdraw"}:
            while not await self._give_back(user, kind):  # noqa: ASYNC110 - by hand, again
                await asyncio.sleep(0.05)

    async def _give_back(self, user: int, kind: str) -> bool:
        if kind == "disable":
            answer = await self._administer("POST", user, "enable", "enable")
        else:
            answer = await self._administer(
                "PUT", user, "permissions", "permit", 1, permissions=[WATCHED]
            )
        return answer is not None and answer.status == 200

    async def _end_by(self, held: Held, kind: str) -> bool:
        own = {"holder": held.user, "session": held.session, "user": held.user}
        answer: Answer | None
        match kind:
            case "revoke":
                answer = await self._revoke(held)
            case "end_all":
                op = {**own, "did": "end_all"}
                answer = await self._ask("DELETE", "/sessions", held.access_token, op)
            case "end_others":
                op = {**own, "did": "end_all", "target": held.session}
                path = "/sessions?keep=current"
                answer = await self._ask("DELETE", path, held.access_token, op)
            case "disable":
                answer = await self._administer("POST", held.user, "disable", "disable")
            case "withdraw":
                answer = await self._administer(
                    "PUT", held.user, "permissions", "permit", 0, permissions=[]
                )
            case _:
                answer = await self._administer("DELETE", held.user, "sessions", "end_all")
        return answer is not None and answer.status < 300

    async def _revoke(self, held: Held) -> Answer | None:
        op: dict[str, Any] = {"did": "end_session", "target": held.session, "user": held.user}
        if held.refresh_token:
            wish = {"refresh_token": held.refresh_token}
            return await self._ask("POST", "/revoke", "", op, **wish)

        async def send(client: Client, via: str) -> Answer:
            form = {"token": held.access_token, "client_id": self._order.users[held.user]}
            return await client.form("/oauth/revoke", form, via=via)

        return await self._noted("POST /oauth/revoke", op, send)

    async def _end_one(self, held: Held) -> bool:
        """End one of the user's sessions, whichever process began it."""
        own = {"holder": held.user, "session": held.session}
        answer = await self._ask("GET", "/sessions", held.access_token, own.copy())
        if answer is None or answer.status != 200:
            return False
        items = answer.json["items"]
        target = random.choice(items)["session_id"] if items else held.session
        op = {**own, "did": "end_session", "user": held.user, "target": target}
        op["what"] = "/sessions/{session_id}"
        answer = await self._ask("DELETE", f"/sessions/{target}", held.access_token, op)
        return answer is not None and answer.status == 204

    async def _administer(
        self, method: str, user: int, what: str, did: Did, value: int = 0, **members: object
    ) -> Answer | None:
        op = {"did": did, "user": user, "value": value, "what": f"/users/{{user_key}}/{what}"}
        path = f"/users/{self._order.users[user]}/{what}"
        return await self._ask(method, path, self._order.admin, op, **members)

    async def _change_secret(self, held: Held, kind: str) -> bool:
        """Set the next secret, and again until it is sure which one holds."""
        board, user = self._process.board, held.user
        async with self._process.locks[user]:
            before, _ = board.read(user)
            after = before + 1
            board.write(user, before, after)
            if kind == "change_secret":
                op = {"holder": user, "session": held.session, "did": "secret", "user": user}
                op |= {"target": held.session, "value": after}
                wish = {"user_secret": secret(before), "new_user_secret": secret(after)}
                answer = await self._ask("POST", "/me/secret", held.access_token, op, **wish)
                if answer is not None and 400 <= answer.status < 500:
                    board.write(user, before, before)
                    return False
                if answer is not None and answer.status == 204:
                    board.write(user, after, after)
                    return True
            while True:
                answer = await self._administer(
                    "PUT", user, "secret", "secret", after, user_secret=secret(after)
                )
                if answer is not None and answer.status == 204:
                    board.write(user, after, after)
                    return True
                await asyncio.sleep(0.05)
