"""A key is taken away while a process is shown tokens, and asked for nothing else.

To log in, to refresh or to be told the key set makes a process look whether its keys are the
store's; so among people who do all of that a process which accepts a dead token is put right before
anybody can tell. Here it is only shown some, straight after another process has answered that
the key is gone, or a command has committed it. Security rules 13 and 16.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from app.caller import command_line
from app.settings import load
from app.signing_keys import KeyRotation
from app.writer import Wish, Writer
from domain.policy import Policy
from tests.prove.client import Client, a_source
from tests.prove.load import SECRET, Refused, new_name, start
from tests.prove.stored import grant, opened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.commands import Command
    from domain.stream import Meta, Recorded
    from projections.storage import Statement
    from tests.prove.tally import Tally

COUNTED: Final = "tokens of a key that was just taken away"


async def take_away(
    given: Mapping[str, str], ports: Sequence[int], count: int, tally: Tally
) -> None:
    """Take `count` keys away; the last process is shown what they signed.

    Another process takes them away, or the caller, where there is no other.
    """
    async with Client(ports[0], a_source()) as other, Client(ports[-1], a_source()) as quiet:
        wish = {"user_id": new_name(), "user_secret": SECRET}
        user_key = (await other.post("/register", **wish)).json["user_key"]
        await asyncio.to_thread(grant, given["GATEBOOK_DATABASE_URL"], user_key, "keys:write")
        begun = await start(other, user_key)
        for number in range(count):
            token = await _token(other, begun.refresh_token)
            for accepted in await _shown(quiet, token):
                tally.expect(accepted, "a token was refused before its key was taken away")
            if len(ports) > 1:
                answer = await other.call("POST", "/keys/rotate", token, now=True)
                tally.expect(answer.status == 200, f"/keys/rotate: {answer.status} {answer.body!r}")
            else:
                await asyncio.to_thread(_beside, given)
            for accepted in await _shown(quiet, token, of_itself_first=number % 2 == 0):
                tally.expect(not accepted, "accepted by a quiet process after its key was gone")
            tally.count(COUNTED)


async def _token(client: Client, refresh_token: str) -> str:
    answer = await client.post("/refresh", refresh_token=refresh_token)
    if answer.status != 200:
        raise Refused(f"/refresh: {answer.status} {answer.body[:200]!r}")
    token: str = answer.json["access_token"]
    return token


async def _shown(client: Client, token: str, *, of_itself_first: bool = False) -> list[bool]:
    """Whether a token is accepted as a bearer, and whether it is active by its own word."""

    async def bearer() -> bool:
        return (await client.get("/me", token)).status == 200

    async def introspected() -> bool:
        answer = await client.form("/oauth/introspect", {"token": token}, token)
        return answer.status == 200 and bool(answer.json["active"])

    asked = [introspected, bearer] if of_itself_first else [bearer, introspected]
    return [await ask() for ask in asked]


def _beside(given: Mapping[str, str]) -> None:
    """As `gatebook keys rotate --now` does; when this returns, it has just been committed."""
    with opened(given["GATEBOOK_DATABASE_URL"]) as store:
        writer = Writer(store.log, store.vault, store.ring, Policy())

        async def dispatch(
            command: Command, meta: Meta, rows: tuple[Statement, ...] = ()
        ) -> tuple[Recorded, ...]:
            (answer,) = writer.commit([Wish(command, meta, rows)])
            if isinstance(answer, Exception):
                raise answer
            return answer

        rotation = KeyRotation(dispatch, store.vault, load(given).settings)
        asyncio.run(rotation.rotate(command_line(), at_once=True))
