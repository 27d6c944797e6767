"""`Gatebook`: everything that the service can be asked, as typed calls.

What is asked is `operations`'; knows how to ask it, page by page, and what to do when an answer
was lost. `AsyncGatebook` is the same for tasks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from types import TracebackType
from typing import Literal, Self, TypeVar

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
from gatebook_client.service import PATIENCE, TIMEOUT, Service, Tries, closed, unreachable
from gatebook_client.sse import EventReader
from gatebook_client.tokens import Tokens
from gatebook_client.wire import Answer, base_url, error_of

T = TypeVar("T")
Order = Literal["asc", "desc"]


class Gatebook:
    """Asks the service, from any thread.

        with Gatebook(auth=GatebookAuth(url, user_key=…, user_secret=…)) as gatebook:
            print(gatebook.me().user_id)

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
        transport: httpx.BaseTransport | None = None,
        allow_http: bool = False,
    ) -> None:
        if url is None and auth is None:
            raise ConfigurationError("Give the url of the service, or auth.")
        self._auth = auth
        self._service = Service(
            base_url(url, allow_http=allow_http) if url else auth.url if auth else "",
            patience=patience,
            timeout=timeout,
            transport=transport,
        )

    def __enter__(self) -> Self:
        """Nothing is asked yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the connections; `auth` goes on."""
        self._service.close()

    # Anybody

    def register(self, user_id: str, user_secret: str) -> str:
        """A new user's key. Raises UserIdTaken, UnacceptableSecret, RegistrationClosed.

        When the answer is lost, `find_user_key` tells whether it was done; so this never raises
        UserIdTaken for its own registration.
        """
        return self._made(operations.register(user_id, user_secret), user_id, user_secret)

    def find_user_key(self, user_id: str, user_secret: str) -> str:
        """The key of somebody who lost it. Raises InvalidCredentials."""
        return self._ask(operations.find_user_key(user_id, user_secret)).user_key

    def authenticate(self, user_key: str, user_secret: str) -> Tokens:
        """The tokens of a new session. Raises InvalidCredentials."""
        return self._ask(operations.authenticate(user_key, user_secret))

    def refresh(self, refresh_token: str, *, rotate: bool = False) -> Tokens:
        """Another access token; keep a `refresh_token` that comes with it, before using it."""
        return self._ask(operations.refresh(refresh_token, rotate=rotate))

    def revoke(self, refresh_token: str) -> None:
        """End a session; no error for an unknown token."""
        self._ask(operations.revoke(refresh_token))

    def version(self) -> Version:
        """Which release answers, and which log it has."""
        return self._ask(operations.version())

    def readiness(self) -> Readiness:
        """Whether it can do its work; raises ServiceUnavailable when it can't."""
        return self._ask(operations.readiness())

    # The holder of a token

    def me(self) -> Me:
        """Who asks."""
        return self._ask(operations.me())

    def change_secret(self, user_secret: str, new_user_secret: str) -> None:
        """Change one's own secret; all other sessions end.

        Isn't repeated: after TryLater it may have been done, and a repeat that raises
        InvalidCredentials says that it was.
        """
        self._ask(operations.change_secret(user_secret, new_user_secret))

    def erase_me(self, user_secret: str) -> bool:
        """Erase oneself; False when it goes on in the background. Isn't repeated, as above."""
        return self._ask(operations.erase_me(user_secret)).finished

    def sessions(self) -> Iterator[Session]:
        """One's own live sessions."""
        return self._items(operations.sessions)

    def end_session(self, session_id: str) -> None:
        """End one of one's own. Raises NotFound for another's."""
        self._ask(operations.end_session(session_id))

    def end_sessions(self, *, keep_current: bool = False) -> None:
        """End all of one's own sessions, or all others."""
        self._ask(operations.end_sessions(keep_current=keep_current))

    def my_events(self, *, order: Order = "desc") -> Iterator[Event]:
        """One's own history, newest first unless told otherwise."""
        return self._items(lambda after: operations.my_events(after, order))

    # Administrators

    def create_user(self, user_id: str, user_secret: str) -> str:
        """As `register`, also where registration is closed."""
        return self._made(operations.create_user(user_id, user_secret), user_id, user_secret)

    def users(self) -> Iterator[User]:
        """Everybody."""
        return self._items(lambda after: operations.users(after, None))

    def find_user(self, user_id: str) -> User | None:
        """The user of this name, in any spelling that is the same name."""
        return next(self._items(lambda after: operations.users(after, user_id)), None)

    def user(self, user_key: str, *, at: Moment | None = None, position: int | None = None) -> User:
        """A user now, or as of a time or a position. Raises NotFound."""
        return self._ask(operations.user(user_key, at, position))

    def sessions_of(self, user_key: str) -> Iterator[Session]:
        """Another user's live sessions."""
        return self._items(lambda after: operations.sessions(after, of=user_key))

    def end_sessions_of(self, user_key: str) -> None:
        """End all of them."""
        self._ask(operations.end_sessions_of(user_key))

    def set_permissions(self, user_key: str, permissions: Collection[str]) -> User:
        """Give these and take all others. Raises LastAdministrator."""
        return self._ask(operations.set_permissions(user_key, permissions))

    def set_secret(self, user_key: str, user_secret: str) -> None:
        """Give a new secret; all sessions end."""
        self._ask(operations.set_secret(user_key, user_secret))

    def disable(self, user_key: str) -> User:
        """Let nobody in as this user; all sessions end. Raises LastAdministrator."""
        return self._ask(operations.disable(user_key))

    def enable(self, user_key: str) -> User:
        """Undo it."""
        return self._ask(operations.enable(user_key))

    def erase_user(self, user_key: str) -> bool:
        """Erase a user; False when it goes on in the background. Raises LastAdministrator."""
        return self._ask(operations.erase_user(user_key)).finished

    def events(
        self,
        *,
        user_key: str | None = None,
        type: str | None = None,  # noqa: A002 - the service's name for it
        since: Moment | None = None,
        until: Moment | None = None,
        after: str | None = None,
        order: Order = "asc",
    ) -> Iterator[Event]:
        """The log, as far as it is; `after` is the `place` of the last event that was seen.

        Raises LogChanged when that is another log's.
        """
        wanted = {
            "user_key": user_key,
            "type": type,
            "since": operations.moment(since),
            "until": operations.moment(until),
        }
        log_id = self.version().log_id
        for event in self._items(lambda place: operations.events(place or after, order, wanted)):
            yield msgspec.structs.replace(event, place=f"{log_id}:{event.position}")

    def follow_events(
        self,
        *,
        user_key: str | None = None,
        type: str | None = None,  # noqa: A002 - the service's name for it
        after: str | None = None,
    ) -> Iterator[Event]:
        """The log as it happens, without end: from now on, or after `after`.

        "Now" is when the first event is asked for. A stream that breaks is resumed where it was,
        nothing missed and nothing twice. Raises what ended it when it couldn't be resumed for
        `patience` seconds, or was refused: LogChanged, InsufficientPermission.
        """
        if after is None:
            # So that a stream which breaks before its first event is resumed from here, too.
            newest = self._ask(operations.newest_event()).items[0]
            after = f"{self.version().log_id}:{newest.position}"
        following = Following(operations.event_stream(user_key, type), after)
        tries = Tries(self._service.patience)
        while True:
            try:
                yield from self._stream(following, tries)
            except TryLater as error:
                time.sleep(tries.next(error))

    def projections(self) -> list[Projection]:
        """The views, and how far each is."""
        return self._ask(operations.projections()).items

    def rebuild(self, name: str, *, accept: bool = False) -> Projection:
        """Fill a view anew. Isn't repeated: RebuildRunning may say that it was begun."""
        return self._ask(operations.rebuild(name, accept=accept))

    def cancel_rebuild(self, name: str) -> None:
        """Leave it as it is."""
        self._ask(operations.cancel_rebuild(name))

    def signing_keys(self) -> list[SigningKey]:
        """The keys that sign access tokens."""
        return self._ask(operations.keys()).items

    def rotate_keys(self, *, now: bool = False) -> list[SigningKey]:
        """Publish another key, which signs later; with `now` at once, and withdraw the old one."""
        return self._ask(operations.rotate_keys(now=now)).items

    def introspect(self, token: str) -> Introspection:
        """What the service says of an access token right now."""
        return self._ask(operations.introspect(token))

    # How

    def _ask(self, operation: Operation[T]) -> T:
        answer, _, _ = self._service.ask(operation.asked, self._auth_of(operation))
        return operation.answered(answer)

    def _auth_of(self, operation: Operation[T]) -> GatebookAuth | None:
        if not operation.bearer:
            return None
        if self._auth is None:
            raise ConfigurationError("This takes an access token: Gatebook(auth=GatebookAuth(…)).")
        return self._auth

    def _made(self, operation: Operation[UserKey], user_id: str, user_secret: str) -> str:
        tries, lost = Tries(self._service.patience), False
        while True:
            try:
                return self._ask(operation).user_key
            except UserIdTaken as taken:
                if not lost:
                    raise
                try:
                    return self.find_user_key(user_id, user_secret)
                except InvalidCredentials:
                    raise taken from None
            except ServiceUnavailable as error:
                lost = True
                time.sleep(tries.next(error))
            try:
                return self.find_user_key(user_id, user_secret)
            except InvalidCredentials:
                pass  # It wasn't done, or isn't yet: ask again, and be told.

    def _items(self, page: Callable[[str | None], Operation[Page[T]]]) -> Iterator[T]:
        after: str | None = None
        while True:
            found = self._ask(page(after))
            yield from found.items
            after = found.next
            if after is None:
                return

    def _stream(self, following: Following, tries: Tries) -> Iterator[Event]:
        """Until it breaks, by TryLater; or raises what it was refused with."""
        if self._auth is None:
            raise ConfigurationError("This takes an access token: Gatebook(auth=GatebookAuth(…)).")
        reader = EventReader()
        try:
            with self._service.client().stream(
                "GET",
                f"{self._service.url}{following.path}",
                headers=following.headers,
                auth=self._auth,
                timeout=following.timeout,
            ) as answer:
                if answer.is_error:
                    raise _refusal(answer.status_code, answer.headers, answer.read())
                try:
                    for line in answer.iter_lines():
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
