"""What processes share of one user's tokens, and what of it could not be written yet.

Knows the order of refresh tokens, and neither the service nor when a token is renewed.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext

import msgspec

from gatebook_client.cache import FileCache
from gatebook_client.credentials import Credentials
from gatebook_client.errors import CacheUnavailable
from gatebook_client.kept import Kept
from gatebook_client.tokens import Tokens, generation_of, session_of
from gatebook_client.unshown import Unshown

_logger = logging.getLogger("gatebook_client")


class _Unkept(Unshown, msgspec.Struct, frozen=True):
    """Tokens that could not be written, and what the cache held when they were got."""

    kept: Kept
    instead_of: Kept
    rotated: bool


class Sharing:
    """A user's part of a cache, or of none; written by who has it locked, read by any thread."""

    def __init__(self, url: str, credentials: Credentials, cache: FileCache | None) -> None:
        self._url = url
        self._credentials = credentials
        self._cache = cache.of(url, credentials.identity) if cache else None
        self._stamp: tuple[int, ...] | None = None
        self._unkept: _Unkept | None = None
        self.found = Kept()
        """What the cache held of ours when it was read last."""
        self.spent: str | None = None
        """The session of which the given refresh token was replaced, and the new one forgotten."""

    @property
    def has_cache(self) -> bool:
        """Whether processes can share anything at all."""
        return self._cache is not None

    @property
    def changed(self) -> bool:
        """Whether somebody may have written since it was read."""
        return self._cache is not None and self._cache.stamp() != self._stamp

    @property
    def unwritten(self) -> bool:
        """Whether the newest tokens are only here."""
        return self._unkept is not None

    @property
    def awaits_writing(self) -> bool:
        """The same of a successor, which others need."""
        unkept = self._unkept
        return unkept is not None and unkept.rotated

    def locked(self) -> AbstractContextManager[None]:
        """Nobody else changes it meanwhile; raises CacheUnavailable when that takes too long."""
        return self._cache.locked() if self._cache else nullcontext()

    def read(self) -> Kept:
        """What the cache holds of ours."""
        if self._cache is None:
            return Kept()
        self._stamp = self._cache.stamp()
        self.found = self._credentials.ours(self._cache.read(), self._url)
        self.spent = self.spent or self.found.spent
        return self.found

    def settled(self) -> Kept:
        """What it holds, once what could not be written is; raises CacheUnavailable.

        A successor isn't shown before those who share it can know: until it is used, the one that
        they hold brings them the same. It is kept here meanwhile, and written when that is
        possible, unless somebody else has gone on from there.
        """
        found, waiting, cache = self.read(), self._unkept, self._cache
        if waiting is None or cache is None:
            return found
        there, here = found.refresh_token, waiting.kept.refresh_token
        if there and here and found != waiting.instead_of:
            newer = generation_of(here) > generation_of(there)
            if session_of(here) != session_of(there) or not newer:
                self._unkept = None
                return found
        self._write(cache, waiting)
        return waiting.kept

    def keep(self, tokens: Tokens, left: float, *, rotated: bool) -> None:
        """Write tokens that are good for `left` seconds; later, if that can't be done now."""
        if self._cache is not None:
            kept = self._ours(tokens).dated(left)
            self._unkept = None
            self._write(self._cache, _Unkept(kept, self.found, rotated))

    def forget(self, refresh_token: str | None) -> None:
        """Keep nothing any more; nor is what was given shown, where this one came after it."""
        unkept, self._unkept = self._unkept, None
        self.spend(refresh_token)
        self.spend(unkept.kept.refresh_token if unkept else None)
        if self._cache is not None:
            self.spend(self.read().refresh_token)
            self._cache.write(self._ours(None))

    def spend(self, forgotten: str | None) -> None:
        """The given token must not be shown once its successor has been: that ends the session."""
        given = self._credentials.refresh_token
        if (
            given
            and forgotten
            and session_of(forgotten) == session_of(given)
            and generation_of(forgotten) > generation_of(given)
        ):
            self.spent = session_of(given)

    def spend_given(self) -> None:
        """Show the given refresh token no more: it is somebody else's."""
        given = self._credentials.refresh_token
        self.spent = session_of(given) if given else None

    def _write(self, cache: FileCache, new: _Unkept) -> None:
        try:
            cache.write(new.kept)
        except CacheUnavailable as error:
            again, self._unkept = self._unkept is not None, new
            if new.rotated and again:
                raise
            _logger.warning("The tokens could not be kept: %s", error)
        else:
            self._unkept = None

    def _ours(self, tokens: Tokens | None) -> Kept:
        return Kept(
            tokens.access_token if tokens else None,
            tokens.refresh_token if tokens else None,
            self._url,
            self._credentials.identity,
            spent=self.spent,
        )
