"""`GatebookAuth`: what a program hands to its HTTP client, and then forgets.

Knows how HTTP clients ask for authentication, and leaves the tokens to the keeper.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from gatebook_client.cache import FileCache, cache_of
from gatebook_client.credentials import (
    Credentials,
    Found,
    from_environment,
    from_profile,
)
from gatebook_client.held import MARGIN, Held
from gatebook_client.keeper import Keeper
from gatebook_client.service import PATIENCE, TIMEOUT, Service
from gatebook_client.tokens import Tokens
from gatebook_client.wire import base_url, token_refused

if TYPE_CHECKING:
    from httpx2 import Auth as _Httpx2Auth
else:
    try:
        from httpx2 import Auth as _Httpx2Auth
    except ImportError:

        class _Httpx2Auth:
            """There is no httpx2 here."""


class GatebookAuth(httpx.Auth, _Httpx2Auth):
    """Authenticates every request of an `httpx` or `httpx2` client, sync or async.

        client = httpx.Client(auth=GatebookAuth(url, user_key=…, user_secret=…))

    It authenticates on first use, renews the token before it is over, and where a request is
    refused with 401 `invalid_token` renews it and tries once more. One object serves any number
    of clients, threads and event loops; with `cache` also any number of processes.

    Args:
        url: the service; https, or plain http on the own machine (or with `allow_http`).
        user_key: who authenticates …
        user_secret: … and with what.
        refresh_token: a session to go on with, instead of these or as well.
        cache: a file of mode 0600, or a folder for such, in which tokens are shared and outlive
            the process.
        rotate: change the refresh token with each renewal. It takes a `cache`, where processes
            share the session; under `GATEBOOK_REFRESH_ROTATION=always` the service does so anyway.
        margin: seconds before its end at which a token is renewed, at most a fifth of its life.
        patience: seconds for which a call waits for a service that is away, overloaded or says
            `Retry-After`; a longer `Retry-After` is raised at once.
        timeout: seconds for one request to the service.
        transport: stands in for the network, in tests.
        allow_http: send secrets over plain http to other machines, too.

    Requests raise, beside what the HTTP client does: `ReauthenticationRequired` when everything
    that is held was refused (and again for half a minute, then twice as long each time, without
    asking); `TryLater`, as `ServiceUnavailable`, `TooManyAttempts` or `CacheUnavailable`, when
    there is no good token and patience is at its end; `UnexpectedAnswer` when something else than
    Gatebook answers. `ConfigurationError` is raised at once.
    """

    requires_request_body = False
    requires_response_body = False

    def __init__(
        self,
        url: str,
        *,
        user_key: str | None = None,
        user_secret: str | None = None,
        refresh_token: str | None = None,
        cache: FileCache | Path | str | None = None,
        rotate: bool = False,
        margin: float = MARGIN,
        patience: float = PATIENCE,
        timeout: float = TIMEOUT,
        transport: httpx.BaseTransport | None = None,
        allow_http: bool = False,
    ) -> None:
        self._url = base_url(url, allow_http=allow_http)
        self._credentials = Credentials(user_key, user_secret, refresh_token)
        self._keeper = Keeper(
            Service(self._url, patience=patience, timeout=timeout, transport=transport, idle=0),
            self._credentials,
            cache_of(cache),
            margin=margin,
            rotate=rotate,
        )

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, **more: Any
    ) -> GatebookAuth:
        """With what `GATEBOOK_CLIENT_*` says; `more` as for the class itself."""
        return cls._found(from_environment(environ), more)

    @classmethod
    def from_profile(cls, name: str | None = None, **more: Any) -> GatebookAuth:
        """With what `gatebook-client login` left, `default` unless named; `more` as above."""
        return cls._found(from_profile(name), more)

    @classmethod
    def _found(cls, found: Found, more: dict[str, Any]) -> GatebookAuth:
        held = found.credentials
        return cls(
            found.url,
            user_key=held.user_key,
            user_secret=held.user_secret,
            refresh_token=held.refresh_token,
            **{"cache": found.cache, **more},
        )

    def __repr__(self) -> str:
        """Without secrets and tokens."""
        return f"GatebookAuth({self._url!r}, user_key={self._credentials.user_key!r})"

    @property
    def url(self) -> str:
        """The service."""
        return self._url

    @property
    def tokens(self) -> Tokens | None:
        """What is held now; None before the first use."""
        return self._keeper.held

    def access_token(self) -> str:
        """A good access token, for what isn't sent by an HTTP client."""
        return self._keeper.good().tokens.access_token

    async def async_access_token(self) -> str:
        """The same, for a task."""
        held = await self._keeper.good_soon()
        return held.tokens.access_token

    def forget(self) -> None:
        """Hold no token any more, here and in the cache; ends no session.

        A refresh token that was given and has been replaced since isn't shown any more: without
        key and secret nothing is left to go on with.
        """
        self._keeper.forget()

    def close(self) -> None:
        """Renew no more; requests go on until the token that is held is over.

        Waits up to 10 s for a renewal that is on its way, so that what it brings isn't lost.
        """
        self._keeper.close()

    def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """The same as `sync_auth_flow`, which both libraries prefer."""
        return self.sync_auth_flow(request)

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """What `Client` calls for each request."""
        held, lasts = self._keeper.good(), _can_be_sent_again(request)
        response = yield _bearing(request, held)
        again = self._instead_of(held, request, response)
        if again is not None and lasts:
            yield _bearing(request, self._keeper.got(again))

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """What `AsyncClient` calls for each request."""
        held, lasts = await self._keeper.good_soon(), _can_be_sent_again(request)
        response = yield _bearing(request, held)
        again = self._instead_of(held, request, response)
        if again is not None and lasts:
            yield _bearing(request, await self._keeper.got_soon(again))

    def _instead_of(self, held: Held, request: Any, response: Any) -> Held | Future[Held] | None:
        """What to try after a refusal, or to use from now on; None when the answer stands.

        A redirect to another host has lost the token: what is said there isn't about it.
        """
        asked = response.request
        if asked.url.host != request.url.host or not refuses(response):
            return None
        if asked.headers.get("authorization") != _bearer(held):
            return None
        return self._keeper.instead_of(held)


def refuses(response: Any) -> bool:
    """Whether an answer says that the token it was shown is none."""
    return token_refused(response.status_code, response.headers.get("www-authenticate"))


def _bearing(request: Any, held: Held) -> Any:
    request.headers["Authorization"] = _bearer(held)
    return request


def _bearer(held: Held) -> str:
    return f"Bearer {held.tokens.access_token}"


def _can_be_sent_again(request: Any) -> bool:
    """Whether its body will still be there: one that is made while it is sent is not."""
    try:
        return request.content is not None
    except RuntimeError:  # either library's RequestNotRead
        fields = getattr(request.stream, "fields", None)
        return fields is not None and all(_is_read_from_its_start(each) for each in fields)


def _is_read_from_its_start(field: Any) -> bool:
    """Whether a field of a form is the same each time, as both libraries send files."""
    file = getattr(field, "file", b"")
    if isinstance(file, bytes | str):
        return True
    seekable = getattr(file, "seekable", None)
    return seekable is not None and bool(seekable())
