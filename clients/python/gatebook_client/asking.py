"""How `Gatebook` and `AsyncGatebook` ask: with whose token, page by page, after a lost answer.

Knows no operation but the one that tells whether a lost registration was done.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Self, TypeVar

import anyio
import httpx

from gatebook_client import operations
from gatebook_client.answers import Event, Page, UserKey
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
from gatebook_client.operations import Operation
from gatebook_client.service import (
    PATIENCE,
    TIMEOUT,
    AsyncService,
    Service,
    Tries,
    closed,
    unreachable,
)
from gatebook_client.sse import EventReader
from gatebook_client.wire import Answer, base_url, error_of

T = TypeVar("T")


class Asking:
    """Asks with `auth`, where an operation takes a token; from any thread."""

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
        self._auth = auth
        self._service = Service(
            _address(url, auth, allow_http=allow_http),
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

    def _ask(self, operation: Operation[T]) -> T:
        answer, _, _ = self._service.ask(operation.asked, _bearer(self._auth, operation))
        return operation.answered(answer)

    def _made(self, operation: Operation[UserKey], user_id: str, user_secret: str) -> str:
        tries, lost = Tries(self._service.patience), False
        while True:
            try:
                return self._ask(operation).user_key
            except UserIdTaken as taken:
                if not lost:
                    raise
                try:
                    return self._found(user_id, user_secret)
                except InvalidCredentials:
                    raise taken from None
            except ServiceUnavailable as error:
                lost = True
                time.sleep(tries.next(error))
            try:
                return self._found(user_id, user_secret)
            except InvalidCredentials:
                pass  # It wasn't done, or isn't yet: ask again, and be told.

    def _found(self, user_id: str, user_secret: str) -> str:
        return self._ask(operations.find_user_key(user_id, user_secret)).user_key

    def _items(self, page: Callable[[str | None], Operation[Page[T]]]) -> Iterator[T]:
        after: str | None = None
        while True:
            found = self._ask(page(after))
            yield from found.items
            after = found.next
            if after is None:
                return

    def _followed(self, following: Following) -> Iterator[Event]:
        tries = Tries(self._service.patience)
        while True:
            try:
                yield from self._stream(following, tries)
            except TryLater as error:
                time.sleep(tries.next(error))

    def _stream(self, following: Following, tries: Tries) -> Iterator[Event]:
        """Until it breaks, by TryLater; or raises what it was refused with."""
        auth = _given(self._auth)
        reader = EventReader()
        try:
            with self._service.client().stream(
                "GET",
                f"{self._service.url}{following.path}",
                headers=following.headers,
                auth=auth,
                timeout=following.timeout,
            ) as answer:
                if answer.is_error:
                    raise _refusal(answer.status_code, answer.headers, answer.read())
                told = False
                try:
                    for line in answer.iter_lines():
                        told = True
                        event = following.heard(reader.feed(line))
                        if event is not None:
                            yield event
                finally:
                    if told:  # however long it was quiet, it was there until now
                        tries.restart()
        except httpx.RequestError as error:
            raise unreachable(self._service.url, error) from None
        except RuntimeError:
            if self._service.is_closed:
                raise closed() from None
            raise
        raise ServiceUnavailable("The stream of events ended.")


class AsyncAsking:
    """The same for the tasks of one event loop."""

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
        self._auth = auth
        self._service = AsyncService(
            _address(url, auth, allow_http=allow_http),
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

    async def _ask(self, operation: Operation[T]) -> T:
        answer = await self._service.ask(operation.asked, _bearer(self._auth, operation))
        return operation.answered(answer)

    async def _made(self, operation: Operation[UserKey], user_id: str, user_secret: str) -> str:
        tries, lost = Tries(self._service.patience), False
        while True:
            try:
                return (await self._ask(operation)).user_key
            except UserIdTaken as taken:
                if not lost:
                    raise
                try:
                    return await self._found(user_id, user_secret)
                except InvalidCredentials:
                    raise taken from None
            except ServiceUnavailable as error:
                lost = True
                await anyio.sleep(tries.next(error))
            try:
                return await self._found(user_id, user_secret)
            except InvalidCredentials:
                pass  # It wasn't done, or isn't yet: ask again, and be told.

    async def _found(self, user_id: str, user_secret: str) -> str:
        return (await self._ask(operations.find_user_key(user_id, user_secret))).user_key

    async def _items(self, page: Callable[[str | None], Operation[Page[T]]]) -> AsyncIterator[T]:
        after: str | None = None
        while True:
            found = await self._ask(page(after))
            for each in found.items:
                yield each
            after = found.next
            if after is None:
                return

    async def _followed(self, following: Following) -> AsyncIterator[Event]:
        tries = Tries(self._service.patience)
        while True:
            try:
                async for event in self._stream(following, tries):
                    yield event
            except TryLater as error:
                await anyio.sleep(tries.next(error))

    async def _stream(self, following: Following, tries: Tries) -> AsyncIterator[Event]:
        """Until it breaks, by TryLater; or raises what it was refused with."""
        auth = _given(self._auth)
        reader = EventReader()
        try:
            async with self._service.client.stream(
                "GET",
                f"{self._service.url}{following.path}",
                headers=following.headers,
                auth=auth,
                timeout=following.timeout,
            ) as answer:
                if answer.is_error:
                    raise _refusal(answer.status_code, answer.headers, await answer.aread())
                told = False
                try:
                    async for line in answer.aiter_lines():
                        told = True
                        event = following.heard(reader.feed(line))
                        if event is not None:
                            yield event
                finally:
                    if told:  # however long it was quiet, it was there until now
                        tries.restart()
        except httpx.RequestError as error:
            raise unreachable(self._service.url, error) from None
        except RuntimeError:
            if self._service.is_closed:
                raise closed() from None
            raise
        raise ServiceUnavailable("The stream of events ended.")


def _address(url: str | None, auth: GatebookAuth | None, *, allow_http: bool) -> str:
    if url is not None:
        return base_url(url, allow_http=allow_http)
    if auth is None:
        raise ConfigurationError("Give the url of the service, or auth.")
    return auth.url


def _bearer(auth: GatebookAuth | None, operation: Operation[T]) -> GatebookAuth | None:
    return _given(auth) if operation.bearer else None


def _given(auth: GatebookAuth | None) -> GatebookAuth:
    if auth is None:
        raise ConfigurationError("This takes an access token: Gatebook(auth=GatebookAuth(…)).")
    return auth


def _refusal(status: int, headers: httpx.Headers, body: bytes) -> GatebookError:
    return error_of(Answer(status, headers, body))
