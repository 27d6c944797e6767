"""Keeps one user's tokens good: renews them in good time, once for all who need them.

Knows nothing of the requests that the tokens are for.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import nullcontext
from typing import Final

import msgspec

from gatebook_client.cache import FileCache
from gatebook_client.clocks import ServiceClock
from gatebook_client.credentials import Credentials
from gatebook_client.errors import (
    CacheUnavailable,
    InvalidCredentials,
    InvalidToken,
    Problem,
    ReauthenticationRequired,
)
from gatebook_client.flight import SingleFlight, landed
from gatebook_client.hold import HOLD, HoldOff
from gatebook_client.kept import Kept
from gatebook_client.service import Asked, Service
from gatebook_client.tokens import Tokens, generation_of, newest, read_times, session_of
from gatebook_client.unshown import Unshown
from gatebook_client.wire import http_date, read

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


class _Unkept(Unshown, msgspec.Struct, frozen=True):
    """Tokens that could not be written, and what the cache held when they were got."""

    kept: Kept
    instead_of: Kept
    rotated: bool


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
        self._service = service
        self._credentials = credentials
        self._cache = cache.of(service.url, credentials.identity) if cache else None
        self._margin = margin
        self._rotate = rotate
        self._clock = ServiceClock()
        self._held: Held | None = None
        self._refused: str | None = None
        """The mark of the access token refused last: not to be taken from the cache again."""
        self._forced: str | None = None
        """The mark of the one that was got because of it."""
        self._hold = HoldOff()
        self._found: tuple[tuple[int, ...] | None, Kept] = (None, Kept())
        """What the cache held of ours when it was read last, and its stamp before."""
        self._unkept: _Unkept | None = None
        self._spent: str | None = None
        """The session of which the given refresh token was replaced, and the new one forgotten."""
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
        unkept = self._unkept is not None and self._unkept.rotated
        if (now >= held.old or unkept) and self._hold.over:
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
        if error is not None and (self._cache is None or self._cache.stamp() == self._found[0]):
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
        held, unkept = self._held, self._unkept
        self._held = self._unkept = None
        self._spend(held.tokens.refresh_token if held else None)
        self._spend(unkept.kept.refresh_token if unkept else None)
        if self._cache is not None:
            with self._cache.locked():
                self._spend(self._kept().refresh_token)
                self._cache.write(
                    Kept(
                        url=self._service.url,
                        identity=self._credentials.identity,
                        spent=self._spent,
                    )
                )

    def _spend(self, forgotten: str | None) -> None:
        """The given token must not be shown once its successor has been: that ends the session."""
        given = self._credentials.refresh_token
        if (
            given
            and forgotten
            and session_of(forgotten) == session_of(given)
            and generation_of(forgotten) > generation_of(given)
        ):
            self._spent = session_of(given)

    def close(self) -> None:
        """Wait for nothing any more, and renew no more."""
        self._service.close()

    def _renew(self) -> Held:
        """In the thread of the flight."""
        error, before = self._hold.error, self._found[1].tokens
        if error is not None:
            kept = self._kept()
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
        if self._unkept is None:
            # Read without the lock: whoever has it may be waiting for the service.
            held = self._good_of(self._kept(), refused)
        if held is None:
            with self._cache.locked() if self._cache else nullcontext():
                kept = self._settled(self._kept())
                held = self._good_of(kept, refused) or self._obtained(kept)
        return held

    def _kept(self) -> Kept:
        """What the cache holds of ours."""
        if self._cache is None:
            return Kept()
        stamp = self._cache.stamp()
        kept = self._credentials.ours(self._cache.read(), self._service.url)
        self._found = stamp, kept
        self._spent = self._spent or kept.spent
        return kept

    def _settled(self, found: Kept) -> Kept:
        """What the cache holds, once what could not be written is; raises CacheUnavailable.

        A successor isn't shown before those who share it can know: until it is used, the one that
        they hold brings them the same. It is kept here meanwhile, and written when that is
        possible, unless somebody else has gone on from there.
        """
        waiting, cache = self._unkept, self._cache
        if waiting is None or cache is None:
            return found
        there, here = found.refresh_token, waiting.kept.refresh_token
        if there and here and found != waiting.instead_of:
            newer = generation_of(here) > generation_of(there)
            if session_of(here) != session_of(there) or not newer:
                self._unkept = None
                return found
        self._write(waiting)
        return waiting.kept

    def _write(self, new: _Unkept) -> None:
        if self._cache is None:
            return
        try:
            self._cache.write(new.kept)
        except CacheUnavailable as error:
            again, self._unkept = self._unkept is not None, new
            if new.rotated and again:
                raise
            _logger.warning("The tokens could not be kept: %s", error)
        else:
            self._unkept = None

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
        if given and session_of(given) == self._spent:
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
        if self._cache is not None:
            kept = Kept(
                tokens.access_token,
                tokens.refresh_token,
                self._service.url,
                self._credentials.identity,
                spent=self._spent,
            ).dated(read_times(tokens.access_token).exp - self._clock.now())
            rotated = used is not None and found.refresh_token is not None
            self._unkept = None
            self._write(_Unkept(kept, self._found[1], rotated))
        return self._timed(tokens, None)

    def _timed(self, tokens: Tokens, left: float | None) -> Held:
        times, now = read_times(tokens.access_token), time.monotonic()
        over = now + (times.exp - self._clock.now() if left is None else left)
        margin = min(self._margin, (times.exp - times.iat) / _OF_LIFE)
        return Held(tokens, now, over - margin, over - margin / _OF_MARGIN)


def _mark(tokens: Tokens) -> str:
    """What an access token is known again by, and nobody can use."""
    return hashlib.sha256(tokens.access_token.encode()).hexdigest()
