"""`Verifier`: who is calling, without asking the service about each request.

Puts together keys, the form of tokens and revocations; knows no framework.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Final, Literal

import anyio
import httpx
import msgspec

from gatebook_client.access_token import MAX_LEEWAY, Form, check, kid_of, refusal, take_apart
from gatebook_client.caller import Caller
from gatebook_client.errors import (
    ConfigurationError,
    GatebookError,
    SessionEnded,
    TokenRefused,
    VerifierNotReady,
)
from gatebook_client.flight import landed
from gatebook_client.jwks import STALE_IF_ERROR, Keys, KeySet
from gatebook_client.keys import PublicKey
from gatebook_client.revocations import RevocationFeed
from gatebook_client.service import Service
from gatebook_client.wire import base_url, check_seconds

LEEWAY: Final = 5.0
MAX_STALENESS: Final = 10.0
PATIENCE: Final = 5.0
"""Seconds for which a token waits, for keys and revocations together."""

OnStale = Literal["closed", "open"]


class VerifierState(msgspec.Struct, frozen=True):
    """How a verifier is: for a health check, or a metric. Times are in seconds."""

    ready: bool
    keys_age: float | None
    staleness: float | None
    """Since when nothing is known of revocations; None without the feed, or before it began."""
    revocations: int
    """How many are remembered."""


class Verifier:
    """Says who an access token is of; offline, but for keys and revocations in the background.

        verifier = Verifier("https://auth.example", audience="https://orders.example")
        caller = verifier.verify(token)

    One object serves any number of threads and event loops, before and after a fork.

    Args:
        issuer: the only `iss`, and where keys and revocations are, unless `url` says otherwise.
        audience: the only `aud`; the issuer unless given, as the service does it.
        url: where the service is reached, if not at its issuer.
        leeway: seconds by which a token may be past its time, 0 to 60.
        revocations: follow the feed of revocations, so that the end of a session is known in less
            than a second. Without it a token is good until its time is over.
        on_stale: what to do when the newest word of the feed is older than `max_staleness`:
            `"closed"` raises VerifierNotReady for every token, `"open"` goes on with what is known.
            When the issuer's log was replaced it fails closed either way, until it was read again.
        max_staleness: seconds.
        stale_if_error: seconds past their age for which keys are used while none can be fetched.
        patience: seconds for which a token waits, for keys and revocations together.
        transport: stands in for the network, in tests.
        allow_http: fetch keys over plain http from other machines, too.
    """

    def __init__(
        self,
        issuer: str,
        audience: str | None = None,
        *,
        url: str | None = None,
        leeway: float = LEEWAY,
        revocations: bool = True,
        on_stale: OnStale = "closed",
        max_staleness: float = MAX_STALENESS,
        stale_if_error: float = STALE_IF_ERROR,
        patience: float = PATIENCE,
        transport: httpx.BaseTransport | None = None,
        allow_http: bool = False,
    ) -> None:
        if not 0 <= leeway <= MAX_LEEWAY:
            raise ConfigurationError(f"leeway is 0 to {MAX_LEEWAY:.0f} seconds.")
        if on_stale not in {"closed", "open"}:
            raise ConfigurationError('on_stale is "closed" or "open".')
        check_seconds(max_staleness=max_staleness, stale_if_error=stale_if_error)
        if not issuer:
            raise ConfigurationError("An issuer must be given.")
        self._issuer = issuer
        self._audience = audience or issuer
        self._leeway = leeway
        self._closed = on_stale == "closed"
        self._max_staleness = max_staleness
        self._patience = patience
        service = Service(
            base_url(url or issuer, allow_http=allow_http),
            patience=patience,
            transport=transport,
            idle=0,
        )
        self._service = service
        self._keys = Keys(service, stale_if_error=stale_if_error)
        self._feed: RevocationFeed | None = None
        if revocations:
            self._feed = RevocationFeed(
                service, withdrawn=self._keys.withdrawn, log_changed=self._keys.drop
            )

    def __repr__(self) -> str:
        """What it accepts."""
        return f"Verifier({self._issuer!r}, audience={self._audience!r})"

    def verify(self, token: str) -> Caller:
        """Who the token is of; waits only for keys that aren't there yet.

        Raises:
            TokenExpired, SessionEnded: it was good once.
            TokenRefused: anything else is wrong with it; these two are kinds of it.
            VerifierNotReady: keys or revocations can't be had; it may be as good as any.
        """
        form = take_apart(token)
        until = time.monotonic() + self._patience
        found = self._keys.current()
        known = self._waited(found, until) if isinstance(found, Future) else found
        key = known.by_header.get(form.header)
        if key is None and (newer := self._newer(form, known)) is not None:
            key = self._waited(newer, until).by_header.get(form.header)
        caller = self._checked(form, key)
        if self._feed is not None:
            if (first := self._beginning(self._feed)) is not None:
                with suppress(TimeoutError):
                    first.result(_left(until))
            self._look_up(self._feed, caller, key)
        return caller

    async def verify_async(self, token: str) -> Caller:
        """The same, for a task: no event loop waits for keys."""
        form = take_apart(token)
        until = time.monotonic() + self._patience
        found = self._keys.current()
        known = await self._landed(found, until) if isinstance(found, Future) else found
        key = known.by_header.get(form.header)
        if key is None and (newer := self._newer(form, known)) is not None:
            key = (await self._landed(newer, until)).by_header.get(form.header)
        caller = self._checked(form, key)
        if self._feed is not None:
            if (first := self._beginning(self._feed)) is not None:
                with anyio.move_on_after(_left(until)):
                    await landed(first)
            self._look_up(self._feed, caller, key)
        return caller

    def start(self) -> None:
        """Fetch keys and follow revocations from now on, rather than from the first token on."""
        with suppress(VerifierNotReady):
            self._keys.current()
        if self._feed is not None:
            self._feed.start()

    @property
    def staleness(self) -> float:
        """Seconds since what is known of revocations was true; infinite while nothing is."""
        return float("inf") if self._feed is None else self._feed.staleness

    def state(self) -> VerifierState:
        """How it is now; starts it, if nothing else has."""
        self.start()
        age, staleness = self._keys.age, self.staleness
        fresh = self._feed is None or staleness <= self._max_staleness
        void = self._feed is not None and self._feed.changed
        return VerifierState(
            self._keys.usable and not void and (fresh or not self._closed),
            age,
            None if staleness == float("inf") else staleness,
            0 if self._feed is None else len(self._feed),
        )

    def heard(self, position: int, seconds: float) -> bool:
        """Wait until what was revoked up to a position of the issuer's log is known.

        False when it isn't after so long; True at once for one that follows nothing.
        """
        return self._feed is None or self._feed.heard(position, seconds)

    def close(self) -> None:
        """Follow nothing any more."""
        if self._feed is not None:
            self._feed.close()
        self._service.close()

    def _newer(self, form: Form, known: KeySet) -> Future[KeySet] | None:
        """Newer keys, when the header is one that an unknown key's tokens would have."""
        kid = kid_of(form)
        if kid is None or kid in known.by_kid:
            return None
        return self._keys.after_unknown()

    def _waited(self, flying: Future[KeySet], until: float) -> KeySet:
        try:
            return flying.result(_left(until))
        except TimeoutError:
            self._keys.late()
        except GatebookError:
            pass
        return self._keys.kept()

    async def _landed(self, flying: Future[KeySet], until: float) -> KeySet:
        try:
            with anyio.fail_after(_left(until)):
                return await landed(flying)
        except TimeoutError:
            self._keys.late()
        except GatebookError:
            pass
        return self._keys.kept()

    def _checked(self, form: Form, key: PublicKey | None) -> Caller:
        if key is None:
            raise refusal()
        return check(
            form,
            key,
            issuer=self._issuer,
            audience=self._audience,
            now=time.time(),
            leeway=self._leeway,
        )

    def _beginning(self, feed: RevocationFeed) -> Future[None] | None:
        """What to wait for before the first revocations are known."""
        feed.start()
        if feed.first.done() or time.monotonic() - feed.started_at > self._patience:
            return None
        return feed.first

    def _look_up(self, feed: RevocationFeed, caller: Caller, key: PublicKey | None) -> None:
        if feed.changed:
            raise VerifierNotReady(
                "The issuer's log was replaced, and has not been read again yet.", retry_after=1.0
            )
        if key is not None and feed.revoked(caller.session_id, key.kid):
            raise SessionEnded("The session of this token was ended.")
        if self._closed and (staleness := feed.staleness) > self._max_staleness:
            since = "yet" if staleness == float("inf") else f"since {staleness:.1f} s"
            raise VerifierNotReady(f"Nothing is known of revocations {since}.", retry_after=1.0)


def _left(until: float) -> float:
    return max(0.0, until - time.monotonic())


def bearer(authorization: str | None) -> str | None:
    """The token of an `Authorization` header (RFC 6750 §2.1); None when there is none.

    Raises TokenRefused when the header is something else.
    """
    if not authorization:
        return None
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenRefused("The Authorization header has no bearer token.")
    return token.strip()
