"""Keeps one user's tokens good: renews them in good time, once for all who need them.

Knows nothing of the requests that the tokens are for.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Final

import msgspec

from gatebook_client.cache import FileCache
from gatebook_client.clocks import ServiceClock
from gatebook_client.credentials import Credentials
from gatebook_client.errors import (
    InvalidCredentials,
    InvalidToken,
    Problem,
    ReauthenticationRequired,
)
from gatebook_client.flight import SingleFlight, landed
from gatebook_client.hold import HOLD, HoldOff
from gatebook_client.kept import Kept
from gatebook_client.service import Asked, Service
from gatebook_client.sharing import Sharing
from gatebook_client.tokens import Tokens, newest, read_times, session_of
from gatebook_client.unshown import Unshown
from gatebook_client.wire import check_seconds, http_date, read

MARGIN: Final = 60.0
"""Seconds before its end at which a token is renewed; at most a fifth of its life."""
_OF_LIFE: Final = 5
_OF_MARGIN: Final = 4
"""The last part of the margin, in which a token isn't sent any more: it has to arrive, too."""

_logger = logging.getLogger("gatebook_client")


class Held(Unshown, msgspec.Struct, frozen=True):
    """Tokens; when, on the monotonic clock, they were got, get old, and are over."""

    tokens: Tokens
    got: float
    old: float
    over: float

    def _shown(self) -> list[tuple[str, object]]:
        return [("tokens", self.tokens)]


class _Answered(Unshown, msgspec.Struct, frozen=True):
    access_token: str
    refresh_token: str | None = None


class Keeper:
    """For any number of threads and event loops.

    Whoever asks reads one attribute; all others are written by the run of the flight, of which
    there is one at a time, so that no lock is held while anybody waits.
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
        self._refused: str | None = None
        """The mark of the access token refused last: not to be taken from the cache again."""
        self._forced: str | None = None
        """The mark of the one that was got because of it."""
        self._hold = HoldOff()
        self._flight = SingleFlight("renewal", self._renew)

    @property
    def held(self) -> Tokens | None:
        """What is held now, good or not."""
        return self._held.tokens if self._held else None

    def current(self) -> Held | None:
        """What can be used at once; what is getting old is renewed meanwhile."""
        held = self._held
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
        return self.current() or self._fly().result()

    async def good_soon(self) -> Held:
        """The same, for a task."""
        held = self.current()
        return held if held is not None else await landed(self._fly())

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
        life = refused.over - refused.got
        young = time.monotonic() - refused.got < min(HOLD, life / _OF_LIFE)
        mark = _mark(refused.tokens)
        if mark == self._forced and young:
            return None
        self._refused = mark
        return self._flight.join(lambda: self._other_than(refused))

    def _usable(self) -> Held | None:
        held = self._held
        return held if held is not None and time.monotonic() < held.over else None

    def _other_than(self, than: Held) -> Held | None:
        held = self._held
        if held is None or held.tokens.access_token == than.tokens.access_token:
            return None
        return held

    def forget(self) -> None:
        """Hold nothing any more, here and in the cache."""
        held, self._held = self._held, None
        self._shared.forget(held.tokens.refresh_token if held else None)

    def close(self) -> None:
        """Wait for nothing any more, and renew no more."""
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
        except Exception as failure:
            self._hold.failed(failure)
            _logger.warning("The tokens could not be renewed: %s", failure)
            raise
        self._hold.worked()
        if refused is not None and self._held and _mark(self._held.tokens) == refused:
            self._forced = _mark(held.tokens)
        self._held = held
        return held

    def _renewed(self, refused: str | None) -> Held:
        held = None
        if not self._shared.unwritten:
            # Read without the lock: whoever has it may be waiting for the service.
            held = self._good_of(self._shared.read(), refused)
        if held is None:
            with self._shared.locked():
                kept = self._shared.settled()
                held = self._good_of(kept, refused) or self._obtained(kept)
        return held

    def _good_of(self, kept: Kept, refused: str | None) -> Held | None:
        """What is kept, if it can be used."""
        if kept.access_token:
            tokens = Tokens(kept.access_token, kept.refresh_token)
            held = self._timed(tokens, None if self._clock.known else kept.still_left)
            if time.monotonic() < held.old and _mark(tokens) != refused:
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
        held = self._held.tokens.refresh_token if self._held else None
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
        return self._timed(tokens, None)

    def _timed(self, tokens: Tokens, left: float | None) -> Held:
        times, now = read_times(tokens.access_token), time.monotonic()
        over = now + (times.exp - self._clock.now() if left is None else left)
        margin = min(self._margin, (times.exp - times.iat) / _OF_LIFE)
        return Held(tokens, now, over - margin, over - margin / _OF_MARGIN)


def _mark(tokens: Tokens) -> str:
    """What an access token is known again by, and nobody can use."""
    return hashlib.sha256(tokens.access_token.encode()).hexdigest()
