"""`AsyncGatebook`: everything that the service can be asked, as typed calls of tasks.

The same as `Gatebook`, call by call: a test compares the two.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Literal

import msgspec

from gatebook_client import operations
from gatebook_client.answers import (
    Event,
    Introspection,
    Me,
    Projection,
    Readiness,
    Session,
    SigningKey,
    User,
    Version,
)
from gatebook_client.asking import AsyncAsking
from gatebook_client.event_stream import Following
from gatebook_client.operations import Moment
from gatebook_client.tokens import Tokens

Order = Literal["asc", "desc"]


class AsyncGatebook(AsyncAsking):
    """Asks the service, from the tasks of one event loop.

        async with AsyncGatebook(auth=…) as gatebook:
            print((await gatebook.me()).user_id)

    `auth` says who asks; without it only what takes no access token can be asked, at `url`.
    A service that is away or overloaded is asked again for `patience` seconds, but for what must
    not be done twice. Raises `Refused` and its kinds for a refusal, `TryLater` when patience is at
    its end, and what `auth` raises. Lists are iterators that read page by page.
    """

    # Anybody

    async def register(self, user_id: str, user_secret: str) -> str:
        """A new user's key. Raises UserIdTaken, UnacceptableSecret, RegistrationClosed.

        When the answer is lost, `find_user_key` tells whether it was done; so this never raises
        UserIdTaken for its own registration.
        """
        return await self._made(operations.register(user_id, user_secret), user_id, user_secret)

    async def find_user_key(self, user_id: str, user_secret: str) -> str:
        """The key of somebody who lost it. Raises InvalidCredentials."""
        return (await self._ask(operations.find_user_key(user_id, user_secret))).user_key

    async def authenticate(self, user_key: str, user_secret: str) -> Tokens:
        """The tokens of a new session. Raises InvalidCredentials."""
        return await self._ask(operations.authenticate(user_key, user_secret))

    async def refresh(self, refresh_token: str, *, rotate: bool = False) -> Tokens:
        """Another access token; keep a `refresh_token` that comes with it, before using it."""
        return await self._ask(operations.refresh(refresh_token, rotate=rotate))

    async def revoke(self, refresh_token: str) -> None:
        """End a session; no error for an unknown token."""
        await self._ask(operations.revoke(refresh_token))

    async def version(self) -> Version:
        """Which release answers, and which log it has."""
        return await self._ask(operations.version())

    async def readiness(self) -> Readiness:
        """Whether it can do its work; raises ServiceUnavailable when it can't."""
        return await self._ask(operations.readiness())

    # The holder of a token

    async def me(self) -> Me:
        """Who asks."""
        return await self._ask(operations.me())

    async def change_secret(self, user_secret: str, new_user_secret: str) -> None:
        """Change one's own secret; all other sessions end.

        Isn't repeated: after TryLater it may have been done, and a repeat that raises
        InvalidCredentials says that it was.
        """
        await self._ask(operations.change_secret(user_secret, new_user_secret))

    async def erase_me(self, user_secret: str) -> bool:
        """Erase oneself; False when it goes on in the background. Isn't repeated, as above."""
        return (await self._ask(operations.erase_me(user_secret))).finished

    def sessions(self) -> AsyncIterator[Session]:
        """One's own live sessions."""
        return self._items(operations.sessions)

    async def end_session(self, session_id: str) -> None:
        """End one of one's own. Raises NotFound for another's."""
        await self._ask(operations.end_session(session_id))

    async def end_sessions(self, *, keep_current: bool = False) -> None:
        """End all of one's own sessions, or all others."""
        await self._ask(operations.end_sessions(keep_current=keep_current))

    def my_events(self, *, order: Order = "desc") -> AsyncIterator[Event]:
        """One's own history, newest first unless told otherwise."""
        return self._items(lambda after: operations.my_events(after, order))

    # Administrators

    async def create_user(self, user_id: str, user_secret: str) -> str:
        """As `register`, also where registration is closed."""
        return await self._made(operations.create_user(user_id, user_secret), user_id, user_secret)

    def users(self) -> AsyncIterator[User]:
        """Everybody."""
        return self._items(lambda after: operations.users(after, None))

    async def find_user(self, user_id: str) -> User | None:
        """The user of this name, in any spelling that is the same name."""
        return await anext(self._items(lambda after: operations.users(after, user_id)), None)

    async def user(
        self, user_key: str, *, at: Moment | None = None, position: int | None = None
    ) -> User:
        """A user now, or as of a time or a position. Raises NotFound."""
        return await self._ask(operations.user(user_key, at, position))

    def sessions_of(self, user_key: str) -> AsyncIterator[Session]:
        """Another user's live sessions."""
        return self._items(lambda after: operations.sessions(after, of=user_key))

    async def end_sessions_of(self, user_key: str) -> None:
        """End all of them."""
        await self._ask(operations.end_sessions_of(user_key))

    async def set_permissions(self, user_key: str, permissions: Collection[str]) -> User:
        """Give these and take all others. Raises LastAdministrator."""
        return await self._ask(operations.set_permissions(user_key, permissions))

    async def set_secret(self, user_key: str, user_secret: str) -> None:
        """Give a new secret; all sessions end."""
        await self._ask(operations.set_secret(user_key, user_secret))

    async def disable(self, user_key: str) -> User:
        """Let nobody in as this user; all sessions end. Raises LastAdministrator."""
        return await self._ask(operations.disable(user_key))

    async def enable(self, user_key: str) -> User:
        """Undo it."""
        return await self._ask(operations.enable(user_key))

    async def erase_user(self, user_key: str) -> bool:
        """Erase a user; False when it goes on in the background. Raises LastAdministrator."""
        return (await self._ask(operations.erase_user(user_key))).finished

    async def events(
        self,
        *,
        user_key: str | None = None,
        type: str | None = None,  # noqa: A002 - the service's name for it
        since: Moment | None = None,
        until: Moment | None = None,
        after: str | None = None,
        order: Order = "asc",
    ) -> AsyncIterator[Event]:
        """The log, as far as it is; `after` is the `place` of the last event that was seen.

        Raises LogChanged when that is another log's.
        """
        wanted = {
            "user_key": user_key,
            "type": type,
            "since": operations.moment(since),
            "until": operations.moment(until),
        }
        log_id = (await self.version()).log_id
        async for event in self._items(
            lambda place: operations.events(place or after, order, wanted)
        ):
            yield msgspec.structs.replace(event, place=f"{log_id}:{event.position}")

    async def follow_events(
        self,
        *,
        user_key: str | None = None,
        type: str | None = None,  # noqa: A002 - the service's name for it
        after: str | None = None,
    ) -> AsyncIterator[Event]:
        """The log as it happens, without end: from now on, or after `after`.

        "Now" is when the first event is asked for. A stream that breaks is resumed where it was,
        nothing missed and nothing twice. Raises what ended it when it couldn't be resumed for
        `patience` seconds, or was refused: LogChanged, InsufficientPermission.
        """
        if after is None:
            # So that a stream which breaks before its first event is resumed from here, too.
            newest = (await self._ask(operations.newest_event())).items[0]
            after = f"{(await self.version()).log_id}:{newest.position}"
        following = Following(operations.event_stream(user_key, type), after)
        async for event in self._followed(following):
            yield event

    async def projections(self) -> list[Projection]:
        """The views, and how far each is."""
        return (await self._ask(operations.projections())).items

    async def rebuild(self, name: str, *, accept: bool = False) -> Projection:
        """Fill a view anew. Isn't repeated: RebuildRunning may say that it was begun."""
        return await self._ask(operations.rebuild(name, accept=accept))

    async def cancel_rebuild(self, name: str) -> None:
        """Leave it as it is."""
        await self._ask(operations.cancel_rebuild(name))

    async def signing_keys(self) -> list[SigningKey]:
        """The keys that sign access tokens."""
        return (await self._ask(operations.keys())).items

    async def rotate_keys(self, *, now: bool = False) -> list[SigningKey]:
        """Publish another key, which signs later; with `now` at once, and withdraw the old one."""
        return (await self._ask(operations.rotate_keys(now=now))).items

    async def introspect(self, token: str) -> Introspection:
        """What the service says of an access token right now."""
        return await self._ask(operations.introspect(token))
