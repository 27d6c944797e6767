"""Making users: what a new name and secret must be, and how they become a user.

The same whoever asks: somebody who registers, an administrator, the command line. Knows no
budget, no HTTP, and nothing of how commands reach the writer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Container
from typing import Protocol

import msgspec

from app.identifiers import new_user_key
from app.passwords import HashPool
from domain import user_id, user_secret
from domain.commands import Command, RegisterUser
from domain.sealed import Clear
from domain.stream import Meta, Recorded


class Dispatch(Protocol):
    """How a command is decided and stored: `Dispatcher.dispatch`, or a writer of one's own."""

    def __call__(self, command: Command, meta: Meta) -> Awaitable[tuple[Recorded, ...]]:
        """The events that it led to, once they are durable; raises the refusal."""


class Rules(msgspec.Struct, frozen=True):
    """What the operator decided about new users."""

    open: bool
    min_length: int
    common: Container[str]


class Registration:
    """Checks, hashes and registers."""

    def __init__(self, dispatch: Dispatch, pool: HashPool, rules: Rules) -> None:
        self._dispatch = dispatch
        self._pool = pool
        self._rules = rules

    @property
    def is_open(self) -> bool:
        """Whether anybody may register."""
        return self._rules.open

    def check(self, name: str, secret: str) -> str:
        """The prepared secret; raises `InvalidRequest`, and `UnacceptableSecret` saying why."""
        user_id.prepare(name)
        return self.check_secret(name, secret)

    def check_secret(self, name: str, secret: str, *, pointer: str = "/user_secret") -> str:
        """The prepared form of a new secret for a name that is one; raises as `check` does."""
        return user_secret.check_new(
            secret,
            user_id=name,
            min_length=self._rules.min_length,
            common=self._rules.common,
            pointer=pointer,
        )

    async def hash(self, prepared_secret: str) -> Clear:
        """What is kept of a secret; raises `Overloaded`."""
        return Clear(await self._pool.hash(prepared_secret))

    async def register(self, name: str, prepared_secret: str, meta: Meta) -> str:
        """The new user's key. Raises `UserIdTaken`, `Overloaded`, `Unavailable`."""
        secret_hash = await self.hash(prepared_secret)
        command = RegisterUser(new_user_key(), Clear(name), secret_hash)
        await self._dispatch(command, meta)
        return command.user_key
