"""Keeps one user's tokens good: renews them in good time, once for all who need them.

Knows nothing of the requests that the tokens are for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Final

import anyio
import msgspec

from gatebook_client.cache import LOCK_SECONDS, FileCache
from gatebook_client.clocks import ServiceClock
from gatebook_client.credentials import Credentials
from gatebook_client.errors import (
    InvalidCredentials,
    InvalidToken,
    Problem,
    ReauthenticationRequired,
    ServiceUnavailable,
)
from gatebook_client.flight import SingleFlight, landed
from gatebook_client.forks import renewed
from gatebook_client.held import MARGIN, OF_LIFE, Held, held_for
from gatebook_client.hold import HOLD, HoldOff
from gatebook_client.kept import Kept
from gatebook_client.service import Asked, Service
from gatebook_client.sharing import Sharing
from gatebook_client.tokens import Tokens, newest, read_times, session_of
from gatebook_client.unshown import Unshown
from gatebook_client.wire import check_seconds, http_date, read

_ENDLESS: Final = "The renewal doesn't end."
_CLOSE_SECONDS: Final = 10.0
_MOST_ASKED: Final = 3
"""In one renewal: two refresh tokens, then key and secret."""
_STEPS: Final = 4
"""Of a request, each of which may take its whole time: connect, send, wait, read."""

_logger = logging.getLogger("gatebook_client")


class _Answered(Unshown, msgspec.Struct, frozen=True):
    access_token: str
    refresh_token: str | None = None


class Keeper:
    """For any number of threads and event loops.

    Whoever asks reads one attribute; it and all others are written by the run of the flight, of
    which there is one at a time, so that no lock is held while anybody waits. Whoever forgets
    counts it: what was asked for before is void then.
    """

    def __init__(
        self,
        service: Service,
        credentials: Credentials,
        cache: FileCache | None = None,
        *,
        margin: float = MARGIN,
        rotate: bool = False,
    ) -> None:
        credentials.check()
        check_seconds(margin=margin)
        self._service = service
        self._credentials = credentials
        self._shared = Sharing(service.url, credentials, cache)
        self._margin = margin
        self._rotate = rotate
        self._clock = ServiceClock()
        self._held: Held | None = None
        self._forgets = 0
        self._refused: str | None = None
        """The mark of the access token refused last: not to be taken from the cache again."""
        self._forced: str | None = None
        """The mark of the one that was got because of it."""
        self._hold = HoldOff()
        self._flight = SingleFlight("renewal", self._renew, awaited=True)
        self._longest = LOCK_SECONDS + _MOST_ASKED * (service.patience + _STEPS * service.timeout)
        """Seconds that a renewal can take."""
        renewed(self)

    def forked(self) -> None:
        """In a forked process: go on with a session of its own, where none can be shared.

        Copies of one refresh token would else be rotated apart, which ends the session.
        """
        if self._credentials.can_authenticate and not self._shared.has_cache:
            self._shared.spend_given()
            if (held := self._held) is not None:
                tokens = Tokens(held.tokens.access_token)
                self._held = msgspec.structs.replace(held, tokens=tokens)

    @property
    def held(self) -> Tokens | None:
        """What is held now, good or not."""
        held = self._unforgotten
        return held.tokens if held else None

    @property
    def _unforgotten(self) -> Held | None:
        held = self._held
        return held if held and held.forgets == self._forgets else None

    def current(self) -> Held | None:
        """What can be used at once; what is getting old is renewed meanwhile."""
        held = self._unforgotten
        if held is None:
            return None
        now = time.monotonic()
        if now >= held.over:
            return None
        if (now >= held.old or self._shared.awaits_writing) and self._hold.over:
            self._flight.join(lambda: self._other_than(held))
        return held

    def good(self) -> Held:
        """What can be used; waits for it if need be, and raises why there is nothing."""
        return self.current() or self.got(self._fly())

    async def good_soon(self) -> Held:
        """The same, for a task."""
        return self.current() or await self.got_soon(self._fly())

    def got(self, again: Held | Future[Held]) -> Held:
        """What a renewal brings; raises why it brings nothing."""
        if isinstance(again, Held):
            return again
        try:
            return again.result(self._longest)
        except TimeoutError:
            raise ServiceUnavailable(_ENDLESS) from None

    async def got_soon(self, again: Held | Future[Held]) -> Held:
        """The same, for a task."""
        if isinstance(again, Held):
            return again
        try:
            with anyio.fail_after(self._longest):
                return await landed(again)
        except TimeoutError:
            raise ServiceUnavailable(_ENDLESS) from None

    def _fly(self) -> Future[Held]:
        """A renewal, unless the last one has just failed and nobody else has got tokens since."""
        error = self._hold.error
        if error is not None and not self._shared.changed:
            raise error
        return self._flight.join(self._usable)

    def instead_of(self, refused: Held) -> Held | Future[Held] | None:
        """What to try after this was refused; None when another one would be refused as well."""
        held = self._other_than(refused)
        if held is not None:
            # There is one try more: one that is getting old might not last it.
            if time.monotonic() < held.old:
                return held
            return self._flight.join(lambda: self._other_than(held))
        young = time.monotonic() - refused.got < min(HOLD, refused.life / OF_LIFE)
        if refused.mark == self._forced and young:
            return None
        self._refused = refused.mark
        return self._flight.join(lambda: self._other_than(refused))

    def _usable(self) -> Held | None:
        held = self._unforgotten
        return held if held is not None and time.monotonic() < held.over else None

    def _other_than(self, than: Held) -> Held | None:
        held = self._unforgotten
        if held is None or held.tokens.access_token == than.tokens.access_token:
            return None
        return held

    def forget(self) -> None:
        """Hold nothing any more, here and in the cache, nor what a renewal brings that is on."""
        held = self._unforgotten
        self._forgets += 1
        with self._shared.locked():
            self._shared.forget(held.tokens.refresh_token if held else None)
            # Once more: until now there was in the cache what is forgotten.
            self._forgets += 1

    def close(self) -> None:
        """Renew no more; a renewal that is on its way may end, or its answer would be lost."""
        self._service.stop()
        self._flight.settle(_CLOSE_SECONDS)
        self._service.close()

    def _renew(self) -> Held:
        """In the thread of the flight."""
        error, before = self._hold.error, self._shared.found.tokens
        if error is not None:
            kept = self._shared.read()
            if not kept.refresh_token or kept.tokens == before:
                raise error
        refused = self._refused
        try:
            held = self._renewed(refused)
            while held.forgets != self._forgets:
                self._shared.spend(held.tokens.refresh_token)
                held = self._renewed(refused)
        except Exception as failure:
            self._hold.failed(failure)
            _logger.warning("The tokens could not be renewed: %s", failure)
            raise
        self._hold.worked()
        before_it = self._unforgotten
        if refused is not None and before_it and before_it.mark == refused:
            self._forced = held.mark
        self._held = held
        return held

    def _renewed(self, refused: str | None) -> Held:
        held, forgets = None, self._forgets
        if not self._shared.unwritten:
            # Read without the lock: whoever has it may be waiting for the service.
            held = self._good_of(self._shared.read(), refused)
        if held is None:
            with self._shared.locked():
                forgets = self._forgets
                kept = self._shared.settled()
                held = self._good_of(kept, refused) or self._obtained(kept)
        return msgspec.structs.replace(held, forgets=forgets)

    def _good_of(self, kept: Kept, refused: str | None) -> Held | None:
        """What is kept, if it can be used."""
        if kept.access_token:
            tokens = Tokens(kept.access_token, kept.refresh_token)
            left = read_times(tokens.access_token).exp - self._clock.now()
            held = held_for(tokens, left if self._clock.known else kept.still_left, self._margin)
            if time.monotonic() < held.old and held.mark != refused:
                return held
        return None

    def _obtained(self, kept: Kept) -> Held:
        problem = None
        for token in self._refresh_tokens(kept):
            try:
                return self._asked("/refresh", {"refresh_token": token}, token)
            except InvalidToken as error:
                problem = error.problem
        return self._authenticated(problem)

    def _refresh_tokens(self, kept: Kept) -> Iterator[str]:
        """Those worth trying: the newest of the session that is known last, then the given one."""
        held = self.held.refresh_token if self.held else None
        given = self._credentials.refresh_token
        if given and session_of(given) == self._shared.spent:
            given = None
        known = kept.refresh_token or held or given
        if known is None:
            return
        session = session_of(known)
        yield (
            newest(known, *(each for each in (held, given) if each and session_of(each) == session))
            or known
        )
        if given and session_of(given) != session:
            yield given

    def _authenticated(self, problem: Problem | None) -> Held:
        held = self._credentials
        if not held.can_authenticate:
            why = "The refresh token is refused, and there is"
            if problem is None:
                why = "The tokens were forgotten, and the refresh token was replaced; there is"
            raise ReauthenticationRequired(f"{why} no secret to begin a new session with.", problem)
        secret: dict[str, object] = {
            "user_key": held.user_key,
            "user_secret": held.user_secret,
        }
        try:
            return self._asked("/authenticate", secret, None)
        except InvalidCredentials as error:
            raise ReauthenticationRequired(
                "The user_key and its secret are refused.", error.problem
            ) from None

    def _asked(self, path: str, body: dict[str, object], used: str | None) -> Held:
        if self._rotate and used:
            body["rotate"] = True
        answer, sent, received = self._service.ask(Asked("POST", path, msgspec.json.encode(body)))
        date = http_date(answer.headers.get("date"))
        if date is not None:
            self._clock.dated(date, sent)
        found = read(answer, _Answered)
        # `exp` counts on the clock that wrote `iat`, and that one is never a cached second late.
        self._clock.told(read_times(found.access_token).iat, sent, received)
        tokens = Tokens(found.access_token, found.refresh_token or used)
        left = read_times(tokens.access_token).exp - self._clock.now()
        rotated = used is not None and found.refresh_token is not None
        self._shared.keep(tokens, left, rotated=rotated)
        return held_for(tokens, left, self._margin)
