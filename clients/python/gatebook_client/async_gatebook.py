"""`AsyncGatebook`: everything that the service can be asked, as typed calls of tasks.

The same as `Gatebook`, call by call: a test compares the two.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from types import TracebackType
from typing import Literal, Self, TypeVar

import anyio
import httpx
import msgspec

from gatebook_client import operations
from gatebook_client.answers import (
    Event,
    Introspection,
    Me,
    Page,
    Projection,
    Readiness,
    Session,
    SigningKey,
    User,
    UserKey,
    Version,
)
from gatebook_client.auth import GatebookAuth
from gatebook_client.errors import (
    ConfigurationError,
    GatebookError,
    InvalidCredentials,
    ServiceUnavailable,
    TryLater,
    UserIdTaken,
)
from gatebook_client.event_stream import Following
from gatebook_client.operations import Moment, Operation
from gatebook_client.service import PATIENCE, TIMEOUT, AsyncService, Tries, closed, unreachable
from gatebook_client.sse import EventReader
from gatebook_client.tokens import Tokens
from gatebook_client.wire import Answer, base_url, error_of

T = TypeVar("T")
Order = Literal["asc", "desc"]


class AsyncGatebook:
    """Asks the service, from the tasks of one event loop.

        async with AsyncGatebook(auth=…) as gatebook:
            print((await gatebook.me()).user_id)

    `auth` says who asks; without it only what takes no access token can be asked, at `url`.
    A service that is away or overloaded is asked again for `patience` seconds, but for what must
    not be done twice. Raises `Refused` and its kinds for a refusal, `TryLater` when patience is at
    its end, and what `auth` raises. Lists are iterators that read page by page.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        auth: GatebookAuth | None = None,
        patience: float = PATIENCE,
        timeout: float = TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
        allow_http: bool = False,
    ) -> None:
        if url is None and auth is None:
            raise ConfigurationError("Give the url of the service, or auth.")
        self._auth = auth
        self._service = AsyncService(
            base_url(url, allow_http=allow_http) if url else auth.url if auth else "",
            patience=patience,
            timeout=timeout,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        """Nothing is asked yet."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Close the connections; `auth` goes on."""
        await self._service.client.aclose()

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
        tries = Tries(self._service.patience)
        while True:
            try:
                async for event in self._stream(following, tries):
                    yield event
            except TryLater as error:
                await anyio.sleep(tries.next(error))

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

    # How

    async def _ask(self, operation: Operation[T]) -> T:
        answer = await self._service.ask(operation.asked, self._auth_of(operation))
        return operation.answered(answer)

    def _auth_of(self, operation: Operation[T]) -> GatebookAuth | None:
        if not operation.bearer:
            return None
        if self._auth is None:
            raise ConfigurationError("This takes an access token: Gatebook(auth=GatebookAuth(…)).")
        return self._auth

    async def _made(self, operation: Operation[UserKey], user_id: str, user_secret: str) -> str:
        tries, lost = Tries(self._service.patience), False
        while True:
            try:
                return (await self._ask(operation)).user_key
            except UserIdTaken as taken:
                if not lost:
                    raise
                try:
                    return await self.find_user_key(user_id, user_secret)
                except InvalidCredentials:
                    raise taken from None
            except ServiceUnavailable as error:
                lost = True
                await anyio.sleep(tries.next(error))
            try:
                return await self.find_user_key(user_id, user_secret)
            except InvalidCredentials:
                pass  # It wasn't done, or isn't yet: ask again, and be told.

    async def _items(self, page: Callable[[str | None], Operation[Page[T]]]) -> AsyncIterator[T]:
        after: str | None = None
        while True:
            found = await self._ask(page(after))
            for each in found.items:
                yield each
            after = found.next
            if after is None:
                return

    async def _stream(self, following: Following, tries: Tries) -> AsyncIterator[Event]:
        """Until it breaks, by TryLater; or raises what it was refused with."""
        if self._auth is None:
            raise ConfigurationError("This takes an access token: Gatebook(auth=GatebookAuth(…)).")
        reader = EventReader()
        try:
            async with self._service.client.stream(
                "GET",
                f"{self._service.url}{following.path}",
                headers=following.headers,
                auth=self._auth,
                timeout=following.timeout,
            ) as answer:
                if answer.is_error:
                    raise _refusal(answer.status_code, answer.headers, await answer.aread())
                try:
                    async for line in answer.aiter_lines():
                        event = following.heard(reader.feed(line))
                        if event is not None:
                            yield event
                finally:
                    tries.restart()  # however long it was quiet, it was there until now
        except httpx.RequestError as error:
            raise unreachable(self._service.url, error) from None
        except RuntimeError:
            if self._service.is_closed:
                raise closed() from None
            raise
        raise ServiceUnavailable("The stream of events ended.")


def _refusal(status: int, headers: httpx.Headers, body: bytes) -> GatebookError:
    return error_of(Answer(status, headers, body))
